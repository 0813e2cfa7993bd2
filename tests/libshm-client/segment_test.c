/*
 * The ring's file: where it may lie, what is in it, and how long its lock is held.
 */
#include "libshm-client/ring_reader.h"

#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "handle.h"

/* ---- directory ---- */

static int dir_judge(mode_t mode, uid_t owner, int64_t fs_type, struct shmc_text *text)
{
    struct stat st = {.st_mode = mode, .st_uid = owner};

    return shmc_dir_check(&st, fs_type, 1000, 900, text);
}

static void trusts_only_directories_of_root_itself_and_the_agent(void **state)
{
    struct stat agents = {.st_mode = S_IFDIR | 0700, .st_uid = 900};
    struct shmc_text text;

    (void)state;
    assert_int_equal(dir_judge(S_IFDIR | 0700, 0, TMPFS_MAGIC, &text), 0);
    assert_int_equal(dir_judge(S_IFDIR | 0700, 1000, TMPFS_MAGIC, &text), 0);
    assert_int_equal(dir_judge(S_IFDIR | 0700, 900, TMPFS_MAGIC, &text), 0);
    assert_int_equal(dir_judge(S_IFDIR | 0700, 1001, TMPFS_MAGIC, &text), -EPERM);
    assert_non_null(strstr(text.s, "owned by uid 1001"));
    assert_int_equal(shmc_dir_check(&agents, TMPFS_MAGIC, 1000, 0, &text), -EPERM);
    assert_int_equal(dir_judge(S_IFREG | 0700, 0, TMPFS_MAGIC, &text), -ENOTDIR);
}

static void asks_for_the_sticky_bit_where_others_can_write(void **state)
{
    struct shmc_text text;

    (void)state;
    assert_int_equal(dir_judge(S_IFDIR | 0770, 0, TMPFS_MAGIC, &text), -EPERM);
    assert_int_equal(dir_judge(S_IFDIR | 0702, 0, TMPFS_MAGIC, &text), -EPERM);
    assert_non_null(strstr(text.s, "sticky"));
    assert_int_equal(dir_judge(S_IFDIR | 03773, 900, TMPFS_MAGIC, &text), 0);
    assert_int_equal(dir_judge(S_IFDIR | 0755, 0, TMPFS_MAGIC, &text), 0);
}

static void refuse(const char *dir, int error, const char *text)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *h;

    opt.shm_dir = dir;
    assert_int_equal(shmc_open(&opt, &h), error);
    if (strstr(shmc_error(NULL), text) == NULL)
        fail_msg("'%s' does not say '%s'", shmc_error(NULL), text);
}

static void refuses_what_is_no_directory_on_tmpfs(void **state)
{
    struct scratch *scratch = *state;
    char path[128], target[128];
    int fd;

    refuse("/proc", -EMEDIUMTYPE, "not on tmpfs");
    (void)snprintf(path, sizeof(path), "%s/no/such", scratch->dir);
    refuse(path, -ENOENT, path);
    (void)snprintf(path, sizeof(path), "%s/file", scratch->dir);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    refuse(path, -ENOTDIR, path);

    (void)snprintf(target, sizeof(target), "%s/target", scratch->dir);
    (void)snprintf(path, sizeof(path), "%s/link", scratch->dir);
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(symlink(target, path), 0);
    refuse(path, -ENOTDIR, path);
    (void)snprintf(path, sizeof(path), "%s/link//", scratch->dir);
    refuse(path, -ENOTDIR, "link");
    assert_int_equal(scratch_count(target), 0);
    assert_int_equal(chmod(target, 0777), 0);
    refuse(target, -EPERM, "mode 0777");
    assert_int_equal(scratch_count(target), 0);
}

static void makes_a_missing_directory_for_itself_alone(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    mode_t umask_kept = umask(0);
    char path[128], file[512];
    struct stat st;
    struct shmc *h;

    (void)snprintf(path, sizeof(path), "%s/made/", scratch->dir);
    opt.shm_dir = path;
    h = scratch_open(&opt);
    (void)umask(umask_kept);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    (void)snprintf(file, sizeof(file), "%s/%s", path, shmc_name(h));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(shmc_close(h), 0);
}

static void gives_a_ring_to_the_group_of_a_setgid_directory(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    mode_t umask_kept = umask(077);
    char file[512];
    struct stat st;
    struct shmc *h;

    assert_int_equal(chmod(scratch->dir, 03773), 0);
    h = scratch_open(&opt);
    (void)umask(umask_kept);
    (void)snprintf(file, sizeof(file), "%s/%s", scratch->dir, shmc_name(h));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(shmc_close(h), 0);
}

static void looks_in_the_option_then_the_environment_then_by_uid(void **state)
{
    struct shmc_text text;
    char path[64], cwd[512], want[600];

    (void)state;
    assert_int_equal(shmc_dir_path("/o/", "/e", 0, path, sizeof(path), &text), 0);
    assert_string_equal(path, "/o");
    assert_int_equal(shmc_dir_path(NULL, "/e", 0, path, sizeof(path), &text), 0);
    assert_string_equal(path, "/e");
    assert_int_equal(shmc_dir_path("", "", 0, path, sizeof(path), &text), 0);
    assert_string_equal(path, "/dev/shm/hydrant");
    assert_int_equal(shmc_dir_path(NULL, NULL, 999, path, sizeof(path), &text), 0);
    assert_string_equal(path, "/dev/shm/hydrant");
    assert_int_equal(shmc_dir_path(NULL, NULL, 1000, path, sizeof(path), &text), 0);
    assert_string_equal(path, "/dev/shm/hydrant-1000");
    assert_int_equal(shmc_dir_path("/0123456", NULL, 0, path, 8, &text), -ENAMETOOLONG);
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    (void)snprintf(want, sizeof(want), "%s/rel", cwd);
    assert_int_equal(shmc_dir_path("rel", NULL, 0, cwd, sizeof(cwd), &text), 0);
    assert_string_equal(cwd, want);
}

/* ---- file ---- */

static void names_the_file_by_program_process_and_chance(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    char want[SHM_RING_NAME_MAX + 1], longer[300];
    struct shmc *a, *b;

    opt.name = "-my app/\xc3\xa4.x-1";
    a = scratch_open(&opt);
    b = scratch_open(&opt);
    (void)snprintf(want, sizeof(want), "_my_app___.x-1.%ld.", (long)getpid());
    assert_int_equal(strncmp(shmc_name(a), want, strlen(want)), 0);
    assert_int_equal(strspn(shmc_name(a) + strlen(want), "0123456789abcdef"), 16);
    assert_string_equal(shmc_name(a) + strlen(want) + 16, SHM_RING_SUFFIX);
    assert_string_not_equal(shmc_name(a), shmc_name(b));
    assert_int_equal(shmc_close(a), 0);
    assert_int_equal(shmc_close(b), 0);

    memset(longer, 'n', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    opt.name = longer;
    a = scratch_open(&opt);
    assert_true(strlen(shmc_name(a)) <= SHM_RING_NAME_MAX);
    assert_int_equal(shmc_close(a), 0);
    assert_int_equal(scratch_count(scratch->dir), 3);
}

static void writes_the_superblock_that_the_file_has(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    const struct shm_superblock *super;
    struct ring_reader reader;
    uint64_t page;
    struct stat st;

    assert_int_equal(reader_crc32c("123456789", 9), 0xe3069283U);
    reader_open(&reader, scratch->dir, shmc_name(h));
    super = &reader.super;
    page = super->page_bytes;
    assert_true(super->magic == SHM_MAGIC);
    assert_int_equal(super->version_major, SHM_VERSION_MAJOR);
    assert_int_equal(super->version_minor, SHM_VERSION_MINOR);
    assert_int_equal(super->incompat, 0);
    assert_int_equal(page, sysconf(_SC_PAGESIZE));
    assert_int_equal(super->head_offset % 128, 0);
    assert_in_range(super->head_offset, SHM_HEAD_OFFSET_MIN, page - 128);
    assert_int_equal(super->defs_offset, 3 * page);
    assert_int_equal(super->defs_bytes, SHM_DEFS_BYTES);
    assert_int_equal(super->data_offset, 3 * page + SHM_DEFS_BYTES);
    assert_int_equal(super->data_bytes, 65536);
    assert_int_equal(super->file_bytes, super->data_offset + super->data_bytes);
    assert_int_equal(super->pid, getpid());
    assert_int_equal(super->crc32c,
                     reader_crc32c(super, offsetof(struct shm_superblock, crc32c)));
    assert_int_equal(fstat(reader.fd, &st), 0);
    assert_int_equal(st.st_size, super->file_bytes);
    assert_int_equal(st.st_blocks * 512, super->file_bytes);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

/* The protection of the mapping that starts at `at`, as in "rw-s"; "" when there is none. */
static void protection_of(const void *at, char ret_protection[5])
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long from, to;
    char line[512];

    assert_non_null(maps);
    ret_protection[0] = '\0';
    while (ret_protection[0] == '\0' && fgets(line, sizeof(line), maps) != NULL) {
        char protection[5];

        if (sscanf(line, "%lx-%lx %4s", &from, &to, protection) == 3 && (uintptr_t)at == from)
            memcpy(ret_protection, protection, sizeof(protection));
    }
    (void)fclose(maps);
}

static void maps_the_data_twice_and_the_agents_page_read_only(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);
    const struct shmc_segment *segment = &h->segment;
    char protection[5];

    segment->data[0] = 0x5a;
    segment->data[segment->data_bytes + 100] = 0xa5;
    assert_int_equal(segment->data[segment->data_bytes], 0x5a);
    assert_int_equal(segment->data[100], 0xa5);
    protection_of(segment->consumer, protection);
    assert_string_equal(protection, "r--s");
    assert_int_equal(shmc_close(h), 0);
}

static void spreads_the_heads_of_many_rings(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    uint64_t seen = 0;

    for (int i = 0; i < 20; i++) {
        struct shmc *h = scratch_open(&opt);

        seen |= 1ULL << ((uintptr_t)h->segment.head / 128 % 32);
        assert_int_equal(shmc_close(h), 0);
    }
    assert_true(__builtin_popcountll(seen) >= 5); /* by chance fewer: about once in 10^13 */
}

/* ---- lock ---- */

/* A child that opens a ring, does `act`, tells the ring's name and lives until it is killed. */
static pid_t producer_start(const struct scratch *scratch, void (*act)(void),
                            char ret_name[SHM_RING_NAME_MAX + 1])
{
    int told[2];
    pid_t pid;

    assert_int_equal(pipe(told), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct shmc_options opt = scratch_options(scratch);
        struct shmc *h;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (shmc_open(&opt, &h) != 0)
            _exit(1);
        (void)dup2(told[1], STDIN_FILENO);
        act();
        if (write(STDIN_FILENO, shmc_name(h), SHM_RING_NAME_MAX + 1) != SHM_RING_NAME_MAX + 1)
            _exit(2);
        for (;;)
            (void)pause();
    }
    (void)close(told[1]);
    assert_int_equal(read(told[0], ret_name, SHM_RING_NAME_MAX + 1), SHM_RING_NAME_MAX + 1);
    (void)close(told[0]);
    return pid;
}

static void act_nothing(void)
{
}

static void act_closefrom(void)
{
    closefrom(3);
}

/* The ring's lock is held while the process lives, and free once it was killed. */
static void lock_follows_life(const struct scratch *scratch, void (*act)(void))
{
    char name[SHM_RING_NAME_MAX + 1];
    pid_t pid = producer_start(scratch, act, name);
    struct ring_reader reader;

    reader_open(&reader, scratch->dir, name);
    assert_true(reader_producer_lives(&reader));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(child_wait(pid), -SIGKILL);
    assert_false(reader_producer_lives(&reader));
    assert_int_equal(atomic_load(&reader.producer->closed), 0);
    reader_close(&reader);
}

static void the_lock_tells_a_living_producer_from_a_killed_one(void **state)
{
    lock_follows_life(*state, act_nothing);
}

static void the_lock_outlives_the_close_of_every_descriptor(void **state)
{
    lock_follows_life(*state, act_closefrom);
}

/* The grandchild lives as long as the test keeps its end of this open. */
static int grandchild_pipe[2];

static void act_fork(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        char byte;

        (void)close(grandchild_pipe[1]);
        _exit((int)read(grandchild_pipe[0], &byte, 1));
    }
    if (pid < 0)
        _exit(3);
}

static void the_lock_is_not_kept_by_a_living_child(void **state)
{
    assert_int_equal(pipe(grandchild_pipe), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    lock_follows_life(*state, act_fork);
    /* The grandchild is still there: it can only end now. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0);
    (void)close(grandchild_pipe[1]);
    assert_true(waitpid(-1, NULL, 0) > 0);
    (void)close(grandchild_pipe[0]);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

struct opener {
    struct shmc_options opt;
    _Atomic bool stop;
    int opened;
};

static void *opener_run(void *context)
{
    struct opener *opener = context;
    struct shmc *h;

    while (!atomic_load(&opener->stop)) {
        if (shmc_open(&opener->opt, &h) != 0 || shmc_close(h) != 0)
            return NULL;
        opener->opened++;
    }
    return opener;
}

/* 0 unless a descriptor of a file in dir is open here. */
static int descriptors_below(const char *dir)
{
    char path[64], target[512];

    for (int fd = 0; fd < 64; fd++) {
        ssize_t len;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, target, sizeof(target) - 1);
        if (len > 0 && strncmp(target, dir, strlen(dir)) == 0)
            return 1;
    }
    return 0;
}

static void a_fork_during_an_open_inherits_no_descriptor(void **state)
{
    struct scratch *scratch = *state;
    struct opener opener = {.opt = scratch_options(scratch)};
    pthread_t thread;
    void *done;

    assert_int_equal(pthread_create(&thread, NULL, opener_run, &opener), 0);
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(descriptors_below(scratch->dir));
        assert_int_equal(child_wait(pid), 0);
    }
    atomic_store(&opener.stop, true);
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_non_null(done);
    assert_true(opener.opened > 0);
}

/* ---- a full mount ---- */

static bool text_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    (void)close(fd);
    return written;
}

/* A mount namespace of its own, for who is not root within a user namespace. */
static bool mounts_unshare(void)
{
    unsigned int uid = geteuid(), gid = getegid();
    char uid_map[64], gid_map[64];

    if (unshare(CLONE_NEWNS) == 0)
        return true;
    (void)snprintf(uid_map, sizeof(uid_map), "%u %u 1\n", uid, uid);
    (void)snprintf(gid_map, sizeof(gid_map), "%u %u 1\n", gid, gid);
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           text_write("/proc/self/setgroups", "deny") &&
           text_write("/proc/self/uid_map", uid_map) && text_write("/proc/self/gid_map", gid_map);
}

/* 0 as it should be, 77 where it cannot be tried, else the number of what was wrong. */
static int full_mount_open(const char *dir)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *h, *small;

    if (!mounts_unshare())
        return 77;
    (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "size=512k,mode=0700") < 0)
        return 77;
    opt.shm_dir = dir;
    if (shmc_open(&opt, &h) != -ENOSPC)
        return 1;
    if (strstr(shmc_error(NULL), "--shm-size") == NULL)
        return 2;
    if (scratch_count(dir) != 0)
        return 3;
    opt.ring_bytes = 65536;
    if (shmc_open(&opt, &small) != 0)
        return 4;
    return 0;
}

static void a_full_mount_is_an_error_that_names_the_remedy(void **state)
{
    struct scratch *scratch = *state;
    pid_t pid = fork();
    int code;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(full_mount_open(scratch->dir));
    code = child_wait(pid);
    if (code == 77)
        SKIP_UNLESS_CI("a small tmpfs cannot be mounted here");
    assert_int_equal(code, 0);
}

/* A path that means another place by now, as after chroot, says nothing. */
static void knows_a_removed_file_where_its_directory_can_be_reached(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_segment segment;
    struct shmc_text text;
    char path[512], dir[256];

    (void)snprintf(dir, sizeof(dir), "%s/rings", scratch->dir);
    assert_int_equal(shmc_segment_create(dir, 0, "p", 65536, &segment, &text), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, segment.name);
    assert_false(shmc_segment_removed(&segment, dir));
    assert_int_equal(unlink(path), 0);
    assert_true(shmc_segment_removed(&segment, dir));
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_true(shmc_segment_removed(&segment, dir));       /* another file of that name */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    errno = EXDEV;
    assert_true(shmc_segment_removed(&segment, dir));
    assert_int_equal(errno, EXDEV);
    segment.root_ino++;
    assert_false(shmc_segment_removed(&segment, dir));
    segment.root_ino--;
    assert_false(shmc_segment_removed(&segment, "/dev/null"));
    shmc_segment_unmap(&segment);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(trusts_only_directories_of_root_itself_and_the_agent),
        CLAIM(asks_for_the_sticky_bit_where_others_can_write),
        CLAIM(refuses_what_is_no_directory_on_tmpfs),
        CLAIM(makes_a_missing_directory_for_itself_alone),
        CLAIM(gives_a_ring_to_the_group_of_a_setgid_directory),
        CLAIM(looks_in_the_option_then_the_environment_then_by_uid),
        CLAIM(names_the_file_by_program_process_and_chance),
        CLAIM(writes_the_superblock_that_the_file_has),
        CLAIM(maps_the_data_twice_and_the_agents_page_read_only),
        CLAIM(spreads_the_heads_of_many_rings),
        CLAIM(the_lock_tells_a_living_producer_from_a_killed_one),
        CLAIM(the_lock_outlives_the_close_of_every_descriptor),
        CLAIM(the_lock_is_not_kept_by_a_living_child),
        CLAIM(a_fork_during_an_open_inherits_no_descriptor),
        CLAIM(a_full_mount_is_an_error_that_names_the_remedy),
        CLAIM(knows_a_removed_file_where_its_directory_can_be_reached),
    };

    return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
