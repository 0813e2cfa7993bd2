/*
 * file_contract: what file.h promises, as tests that run over the kernel (file_test.c) and over the
 * simulator (sim_test.c), so that the two cannot drift apart. loop_contract.h does it for loop.h.
 *
 * The including file sets the two directories, on different file systems, before each test, and
 * empties them afterwards. Functions are inline so that nobody has to use them all.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#ifndef IO_FILE_CONTRACT_H
#define IO_FILE_CONTRACT_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/file.h"

static const char *contract_root;       /* a disk, or as near to one as the host has */
static bool contract_root_tmpfs;
static const char *contract_other;      /* a tmpfs */

/* What a host needs before a test maps guards, or NULL. */
static void (*contract_before_guards)(void);

static char contract_paths[4][512];
static unsigned contract_path_next;

static inline const char *path_in(const char *dir, const char *name)
{
    char *path = contract_paths[contract_path_next++ % 4];

    snprintf(path, sizeof(contract_paths[0]), "%s/%s", dir, name);
    return path;
}

static inline int open_dir(const char *path)
{
    int fd = file_open(FILE_CWD, path, O_RDONLY | O_DIRECTORY, 0);

    assert_true(fd >= 0);
    return fd;
}

static inline int make_file(int dir, const char *name, const char *text)
{
    int fd = file_open(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, text, strlen(text), 0), 0);
    return fd;
}

static inline void assert_content(int dir, const char *name, const char *text)
{
    char buf[256];
    int fd = file_open(dir, name, O_RDONLY, 0);
    ssize_t n;

    assert_true(fd >= 0);
    n = file_read(fd, buf, sizeof(buf), 0);
    file_close(fd);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, strlen(text));
}

/* ---- file.h ---- */

static inline void a_file_reads_back_what_was_written(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "hello");
    char buf[16];
    struct file_stat st;

    (void)state;
    assert_int_equal(file_write(fd, "world", 5, 5000), 0);
    assert_int_equal(file_read(fd, buf, 10, 4998), 7);
    assert_memory_equal(buf, "\0\0world", 7);
    assert_int_equal(file_read(fd, buf, 10, 6000), 0);
    assert_int_equal(file_stat(fd, &st), 0);
    assert_int_equal(st.size_bytes, 5005);
    assert_true(S_ISREG(st.mode));
    assert_int_equal(st.mode & 0777, 0600);
    assert_int_equal(st.nlink, 1);
    assert_int_equal(file_truncate(fd, 3), 0);
    assert_int_equal(file_sync(fd), 0);
    file_close(fd);
    assert_content(dir, "a", "hel");
    file_close(dir);
}

static inline void what_a_truncation_cut_off_reads_as_zeros_later(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "hello");
    char buf[5];

    (void)state;
    assert_int_equal(file_truncate(fd, 2), 0);
    assert_int_equal(file_truncate(fd, 5), 0);
    assert_int_equal(file_read(fd, buf, 5, 0), 5);
    assert_memory_equal(buf, "he\0\0\0", 5);
    file_close(fd);
    file_close(dir);
}

static inline void allocation_fills_holes_and_extends(void **state)
{
    int dir = open_dir(contract_other);
    int fd = file_open(dir, "a", O_RDWR | O_CREAT | O_EXCL, 0600);
    struct file_stat st;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(file_truncate(fd, 65536), 0);
    assert_int_equal(file_stat(fd, &st), 0);
    assert_true(st.allocated_bytes < st.size_bytes);
    assert_int_equal(file_allocate(fd, 0, 131072), 0);
    assert_int_equal(file_stat(fd, &st), 0);
    assert_int_equal(st.size_bytes, 131072);
    assert_true(st.allocated_bytes >= st.size_bytes);
    file_close(fd);
    file_close(dir);
}

static inline void a_rename_never_replaces(void **state)
{
    int dir = open_dir(contract_root);
    struct file_stat st;

    (void)state;
    file_close(make_file(dir, "a", "one"));
    file_close(make_file(dir, "b", "two"));
    assert_int_equal(file_rename(dir, "a", dir, "b"), -EEXIST);
    assert_content(dir, "b", "two");
    assert_int_equal(file_rename(dir, "a", dir, "c"), 0);
    assert_int_equal(file_stat_at(dir, "a", &st), -ENOENT);
    assert_content(dir, "c", "one");
    assert_int_equal(file_rename(dir, "a", dir, "d"), -ENOENT);
    assert_int_equal(file_replace(dir, "c", dir, "b"), 0);
    assert_content(dir, "b", "one");
    assert_int_equal(file_sync(dir), 0);
    file_close(dir);
}

static inline void links_share_an_inode_until_the_last_name_goes(void **state)
{
    int dir = open_dir(contract_root);
    struct file_stat a, b;

    (void)state;
    file_close(make_file(dir, "a", "one"));
    assert_int_equal(file_link(dir, "a", dir, "b"), 0);
    assert_int_equal(file_link(dir, "a", dir, "b"), -EEXIST);
    assert_int_equal(file_stat_at(dir, "a", &a), 0);
    assert_int_equal(file_stat_at(dir, "b", &b), 0);
    assert_int_equal(a.ino, b.ino);
    assert_int_equal(a.dev, b.dev);
    assert_int_equal(a.nlink, 2);
    assert_int_equal(file_unlink(dir, "a"), 0);
    assert_int_equal(file_unlink(dir, "a"), -ENOENT);
    assert_content(dir, "b", "one");
    file_close(dir);
}

static inline void an_unlinked_file_lives_while_it_is_open(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "one");
    struct file_stat st;
    char buf[3];

    (void)state;
    assert_int_equal(file_unlink(dir, "a"), 0);
    assert_int_equal(file_stat(fd, &st), 0);
    assert_int_equal(st.nlink, 0);
    assert_int_equal(file_read(fd, buf, 3, 0), 3);
    assert_memory_equal(buf, "one", 3);
    file_close(fd);
    file_close(dir);
}

static inline void nothing_moves_between_file_systems(void **state)
{
    int dir = open_dir(contract_root), other = open_dir(contract_other);
    struct file_fs a, b;

    (void)state;
    file_close(make_file(dir, "a", "one"));
    assert_int_equal(file_rename(dir, "a", other, "a"), -EXDEV);
    assert_int_equal(file_replace(dir, "a", other, "a"), -EXDEV);
    assert_int_equal(file_link(dir, "a", other, "a"), -EXDEV);
    assert_int_equal(file_fs(dir, &a), 0);
    assert_int_equal(file_fs(other, &b), 0);
    assert_int_equal(a.tmpfs, contract_root_tmpfs);
    assert_true(b.tmpfs);
    assert_true(a.free_bytes <= a.total_bytes && a.free_bytes > 0);
    file_close(dir);
    file_close(other);
}

static inline void directories_are_made_with_their_parents(void **state)
{
    int dir = open_dir(contract_root);
    struct file_stat st;

    (void)state;
    assert_int_equal(file_mkdir(dir, "x/y", 0755), -ENOENT);
    assert_int_equal(file_mkdirs(dir, "x//y/z/", 0755), 0);
    assert_int_equal(file_mkdirs(dir, "x/y/z", 0755), 0);
    assert_int_equal(file_mkdir(dir, "x", 0755), 0);
    assert_int_equal(file_stat_at(dir, "x/y/z", &st), 0);
    assert_true(S_ISDIR(st.mode));
    assert_int_equal(file_mkdirs(FILE_CWD, path_in(contract_root, "x/u/v"), 0755), 0);
    assert_int_equal(file_stat_at(dir, "x/u/v", &st), 0);
    file_close(make_file(dir, "plain", ""));
    assert_int_equal(file_mkdir(dir, "plain", 0755), -ENOTDIR);
    assert_int_equal(file_mkdirs(dir, "plain/z", 0755), -ENOTDIR);
    assert_true(file_unlink(dir, "x") < 0);
    file_close(dir);
}

static inline void only_an_empty_directory_is_removed(void **state)
{
    int dir = open_dir(contract_root), inside;
    struct file_stat st;

    (void)state;
    file_close(make_file(dir, "plain", ""));
    assert_int_equal(file_mkdir(dir, "x", 0755), 0);
    assert_int_equal(file_mkdir(dir, "x/y", 0755), 0);
    inside = file_open(dir, "x/y", O_RDONLY | O_DIRECTORY, 0);
    assert_int_equal(file_rmdir(dir, "x"), -ENOTEMPTY);
    assert_int_equal(file_rmdir(dir, "plain"), -ENOTDIR);
    assert_int_equal(file_rmdir(dir, "none"), -ENOENT);
    assert_int_equal(file_rmdir(dir, "x/y"), 0);
    assert_int_equal(file_rmdir(dir, "x"), 0);
    assert_int_equal(file_stat_at(dir, "x", &st), -ENOENT);
    /* Who has it open finds nothing in it and can put nothing there. */
    assert_int_equal(file_stat_at(inside, "a", &st), -ENOENT);
    assert_int_equal(file_rename(dir, "plain", inside, "a"), -ENOENT);
    file_close(inside);
    file_close(dir);
}

struct visit {
    unsigned seen, stop_after;
    uint64_t sum;
};

static inline int on_name(void *ctx, const char *name)
{
    struct visit *visit = ctx;

    visit->seen++;
    visit->sum += strtoull(name, NULL, 10);
    return visit->seen == visit->stop_after ? 7 : 0;
}

static inline void a_list_shows_every_name_until_told_to_stop(void **state)
{
    int dir = open_dir(contract_root);
    struct visit visit = {0, 0, 0};
    char name[16];

    (void)state;
    for (int i = 1; i <= 500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        file_close(make_file(dir, name, ""));
    }
    for (int round = 0; round < 2; round++) {
        memset(&visit, 0, sizeof(visit));
        assert_int_equal(file_list(dir, on_name, &visit), 0);
        assert_int_equal(visit.seen, 500);
        assert_int_equal(visit.sum, 500 * 501 / 2);
    }
    memset(&visit, 0, sizeof(visit));
    visit.stop_after = 3;
    assert_int_equal(file_list(dir, on_name, &visit), 7);
    assert_int_equal(visit.seen, 3);
    file_close(dir);
}

static inline void a_listing_goes_on_where_it_stopped(void **state)
{
    int dir = open_dir(contract_root);
    struct visit visit = {0, 0, 0};
    struct file_listing *listing;
    char name[16];

    (void)state;
    for (int i = 1; i <= 500; i++) {
        snprintf(name, sizeof(name), "%d", i);
        file_close(make_file(dir, name, ""));
    }
    assert_int_equal(file_listing_open(dir, &listing), 0);
    for (visit.stop_after = 1; visit.stop_after <= 500; visit.stop_after++)
        assert_int_equal(file_listing_step(listing, on_name, &visit), 7);
    assert_int_equal(file_listing_step(listing, on_name, &visit), 0);
    assert_int_equal(visit.sum, 500 * 501 / 2);
    file_listing_close(listing);
    file_listing_close(NULL);
    assert_int_equal(file_listing_open(-1, &listing), -EBADF);
    assert_null(listing);
    file_close(dir);
}

static inline void a_group_and_a_mode_are_given(void **state)
{
    int dir = open_dir(contract_other);
    struct file_stat stat;

    (void)state;
    assert_int_equal(file_own(dir, getegid(), 03773), 0);
    assert_int_equal(file_stat(dir, &stat), 0);
    assert_int_equal(stat.gid, getegid());
    assert_int_equal(stat.mode & 07777, 03773);
    assert_int_equal(file_own(dir, getegid(), 0700), 0);
    assert_int_equal(file_own(-1, getegid(), 0700), -EBADF);
    file_close(dir);
}

static inline void a_lock_is_of_the_inode_and_one_description_has_it(void **state)
{
    int dir = open_dir(contract_root), a = make_file(dir, "a", ""), b;

    (void)state;
    assert_int_equal(file_link(dir, "a", dir, "b"), 0);
    b = file_open(dir, "b", O_RDWR, 0);
    assert_int_equal(file_lock(a, false), 0);
    assert_int_equal(file_lock(a, true), 0);
    assert_int_equal(file_lock(b, false), -EWOULDBLOCK);
    file_close(a);
    assert_int_equal(file_lock(b, true), 0);
    file_close(b);
    assert_int_equal(file_lock(dir, false), 0);
    file_close(dir);
}

static inline void nobody_lives_in_a_file_that_nobody_locked(void **state)
{
    int dir = open_dir(contract_other), fd = make_file(dir, "a", "");

    (void)state;
    assert_int_equal(file_lock_probe(fd), 0);
    file_close(fd);
    file_close(dir);
}

static inline void only_a_plain_file_beneath_is_opened_for_a_stranger(void **state)
{
    int dir = open_dir(contract_other), fd;
    char buf[3];

    (void)state;
    file_close(make_file(dir, "a", "one"));
    assert_int_equal(file_mkdirs(dir, "d/e", 0755), 0);
    fd = file_open_beneath(dir, "a");
    assert_true(fd >= 0);
    assert_int_equal(file_read(fd, buf, 3, 0), 3);
    assert_int_equal(file_write(fd, "two", 3, 0), 0);
    file_close(fd);
    assert_int_equal(file_open_beneath(dir, "d"), -ENXIO);
    assert_int_equal(file_open_beneath(dir, "d/e"), -ENXIO);
    assert_int_equal(file_open_beneath(dir, "none"), -ENOENT);
    assert_int_equal(file_open_beneath(dir, ".."), -EXDEV);
    assert_int_equal(file_open_beneath(dir, path_in(contract_other, "a")), -EXDEV);
    file_close(dir);
}

static inline void direct_io_wants_aligned_blocks(void **state)
{
    int dir = open_dir(contract_root), fd;
    uint8_t *block = aligned_alloc(FILE_BLOCK_BYTES, FILE_BLOCK_BYTES);
    bool direct = false;

    (void)state;
    assert_non_null(block);
    memset(block, 'x', FILE_BLOCK_BYTES);
    fd = file_open_direct(dir, "a", O_RDWR | O_CREAT | O_EXCL, 0600, &direct);
    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, block, FILE_BLOCK_BYTES, FILE_BLOCK_BYTES), 0);
    assert_int_equal(file_read(fd, block, FILE_BLOCK_BYTES, 0), FILE_BLOCK_BYTES);
    assert_int_equal(block[0], 0);
    if (direct)
        assert_int_equal(file_write(fd, block + 1, 100, 0), -EINVAL);
    assert_int_equal(file_open_direct(dir, "a", O_RDWR | O_CREAT | O_EXCL, 0600, &direct),
                     -EEXIST);
    file_close(fd);
    file_close(dir);
    free(block);
}

struct events {
    unsigned added, closed, removed, overflow;
    char last_added[64];
};

static inline void on_event(void *ctx, unsigned mask, const char *name)
{
    struct events *events = ctx;

    if (mask & FILE_EVENT_OVERFLOW) {
        assert_null(name);
        events->overflow++;
        return;
    }
    assert_non_null(name);
    events->closed += (mask & FILE_EVENT_CLOSED) != 0;
    events->removed += (mask & FILE_EVENT_REMOVED) != 0;
    if (mask & FILE_EVENT_ADDED) {
        events->added++;
        snprintf(events->last_added, sizeof(events->last_added), "%s", name);
    }
}

static inline void a_watch_tells_what_happened_in_its_directory(void **state)
{
    int dir = open_dir(contract_other), watch = file_watch_open(contract_other);
    struct events events;

    (void)state;
    assert_true(watch >= 0);
    memset(&events, 0, sizeof(events));
    assert_int_equal(file_watch_read(watch, on_event, &events), 0);
    file_close(make_file(dir, ".a", "x"));
    assert_int_equal(file_rename(dir, ".a", dir, "a"), 0);
    assert_int_equal(file_watch_read(watch, on_event, &events), 4);
    assert_int_equal(events.added, 2);
    assert_int_equal(events.closed, 1);
    assert_int_equal(events.removed, 1);
    assert_string_equal(events.last_added, "a");
    assert_int_equal(file_link(dir, "a", dir, "b"), 0);
    assert_int_equal(file_unlink(dir, "a"), 0);
    assert_int_equal(file_watch_read(watch, on_event, &events), 2);
    assert_string_equal(events.last_added, "b");
    assert_int_equal(events.removed, 2);
    assert_int_equal(events.overflow, 0);
    file_close(watch);
    file_close(dir);
    assert_int_equal(file_watch_open(path_in(contract_other, "none")), -ENOENT);
}

static inline void a_guard_shows_the_file_itself(void **state)
{
    int dir = open_dir(contract_other), fd = make_file(dir, "a", "");
    struct file_guard guard, none;
    char buf[3];

    (void)state;
    if (contract_before_guards != NULL)
        contract_before_guards();
    assert_int_equal(file_allocate(fd, 0, 3 * FILE_BLOCK_BYTES), 0);
    assert_int_equal(file_guard_map(fd, FILE_BLOCK_BYTES, 2 * FILE_BLOCK_BYTES, &guard), 0);
    memcpy(guard.addr, "one", 3);
    assert_int_equal(file_read(fd, buf, 3, FILE_BLOCK_BYTES), 3);
    assert_memory_equal(buf, "one", 3);
    assert_int_equal(file_write(fd, "two", 3, FILE_BLOCK_BYTES), 0);
    assert_memory_equal(guard.addr, "two", 3);
    assert_false(file_guard_faulted(&guard));
    assert_int_equal(file_guard_map(fd, 1, FILE_BLOCK_BYTES, &none), -EINVAL);
    file_close(fd);
    assert_memory_equal(guard.addr, "two", 3);
    file_guard_unmap(&guard);
    memset(&none, 0, sizeof(none));
    file_guard_unmap(&none);
    assert_false(file_guard_faulted(&none));
    file_close(dir);
}

static inline void a_guard_survives_the_loss_of_its_pages(void **state)
{
    int dir = open_dir(contract_other), fd = make_file(dir, "a", "");
    struct file_guard guard, other;

    (void)state;
    if (contract_before_guards != NULL)
        contract_before_guards();
    assert_int_equal(file_allocate(fd, 0, 3 * FILE_BLOCK_BYTES), 0);
    assert_int_equal(file_guard_map(fd, 0, 3 * FILE_BLOCK_BYTES, &guard), 0);
    assert_int_equal(file_guard_map(fd, 0, FILE_BLOCK_BYTES, &other), 0);
    ((volatile uint8_t *)guard.addr)[2 * FILE_BLOCK_BYTES] = 1;
    assert_int_equal(file_truncate(fd, FILE_BLOCK_BYTES), 0);
    ((volatile uint8_t *)other.addr)[0] = 1;
    assert_int_equal(((volatile uint8_t *)guard.addr)[2 * FILE_BLOCK_BYTES], 0);
    assert_true(file_guard_faulted(&guard));
    assert_false(file_guard_faulted(&other));
    ((volatile uint8_t *)guard.addr)[2 * FILE_BLOCK_BYTES] = 2;
    file_guard_unmap(&guard);
    file_guard_unmap(&other);
    file_close(fd);
    file_close(dir);
}

static inline void random_bytes_differ_and_a_boot_has_one_id(void **state)
{
    uint8_t a[16], b[16];

    (void)state;
    file_random(a, sizeof(a));
    file_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(file_boot_id(a), 0);
    assert_int_equal(file_boot_id(b), 0);
    assert_memory_equal(a, b, sizeof(a));
    memset(b, 0, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

#define FILE_CONTRACT_TESTS(setup, teardown)                                                      \
    cmocka_unit_test_setup_teardown(a_file_reads_back_what_was_written, setup, teardown),         \
    cmocka_unit_test_setup_teardown(what_a_truncation_cut_off_reads_as_zeros_later, setup,        \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(allocation_fills_holes_and_extends, setup, teardown),         \
    cmocka_unit_test_setup_teardown(a_rename_never_replaces, setup, teardown),                    \
    cmocka_unit_test_setup_teardown(links_share_an_inode_until_the_last_name_goes, setup,         \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(an_unlinked_file_lives_while_it_is_open, setup, teardown),    \
    cmocka_unit_test_setup_teardown(nothing_moves_between_file_systems, setup, teardown),         \
    cmocka_unit_test_setup_teardown(directories_are_made_with_their_parents, setup, teardown),    \
    cmocka_unit_test_setup_teardown(only_an_empty_directory_is_removed, setup, teardown),         \
    cmocka_unit_test_setup_teardown(a_list_shows_every_name_until_told_to_stop, setup, teardown), \
    cmocka_unit_test_setup_teardown(a_listing_goes_on_where_it_stopped, setup, teardown),         \
    cmocka_unit_test_setup_teardown(a_group_and_a_mode_are_given, setup, teardown),               \
    cmocka_unit_test_setup_teardown(a_lock_is_of_the_inode_and_one_description_has_it, setup,     \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(nobody_lives_in_a_file_that_nobody_locked, setup, teardown),  \
    cmocka_unit_test_setup_teardown(only_a_plain_file_beneath_is_opened_for_a_stranger, setup,    \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(direct_io_wants_aligned_blocks, setup, teardown),             \
    cmocka_unit_test_setup_teardown(a_watch_tells_what_happened_in_its_directory, setup,          \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(a_guard_shows_the_file_itself, setup, teardown),              \
    cmocka_unit_test_setup_teardown(a_guard_survives_the_loss_of_its_pages, setup, teardown),     \
    cmocka_unit_test_setup_teardown(random_bytes_differ_and_a_boot_has_one_id, setup, teardown)

#endif
