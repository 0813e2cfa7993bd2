/*
 * real_dirs: two fresh real directories for each test, on a disk and in /dev/shm, for the contract
 * tests over the kernel. A host's temporary directory may itself be a tmpfs; then so is the first.
 *
 * Owns:   the directories, from setup to teardown.
 * Thread: the test's.
 */
#ifndef IO_REAL_DIRS_H
#define IO_REAL_DIRS_H

#include <ftw.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "io/file_contract.h"

static char real_root[64], real_other[64];

/*
 * cmocka takes SIGBUS for itself in each test and puts back what it found; guards take it once in a
 * process. So each test that maps a guard gives it back to them first.
 */
static inline void real_guards_begin(void)
{
    static struct sigaction of_guards;
    static bool known;
    struct file_guard guard;
    int fd;

    if (!known) {
        fd = file_open(FILE_CWD, path_in(contract_other, "guarded"), O_RDWR | O_CREAT, 0600);
        assert_true(fd >= 0);
        assert_int_equal(file_guard_map(fd, 0, 4096, &guard), 0);
        file_guard_unmap(&guard);
        file_close(fd);
        assert_int_equal(sigaction(SIGBUS, NULL, &of_guards), 0);
        known = true;
    }
    assert_int_equal(sigaction(SIGBUS, &of_guards, NULL), 0);
}

static inline int real_dirs_setup(void **state)
{
    struct statfs fs;

    (void)state;
    snprintf(real_root, sizeof(real_root), "/var/tmp/hydrant-io-XXXXXX");
    snprintf(real_other, sizeof(real_other), "/dev/shm/hydrant-io-XXXXXX");
    if (mkdtemp(real_root) == NULL || mkdtemp(real_other) == NULL)
        return -1;
    if (statfs(real_root, &fs) != 0)
        return -1;
    contract_before_guards = real_guards_begin;
    contract_root = real_root;
    contract_root_tmpfs = fs.f_type == TMPFS_MAGIC;
    contract_other = real_other;
    return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline int real_dirs_teardown(void **state)
{
    (void)state;
    if (nftw(real_root, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return -1;
    return nftw(real_other, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
