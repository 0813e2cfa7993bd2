/*
 * Claims about opening a ring file, its head and its definitions: an honest ring is read, each lie
 * has its reason. Real files below /dev/shm. attach_live_test.c has liveness and publishing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "ring/attach.h"
#include "ring/ring_builder.h"

#define RING "a.1.ring"
#define DATA_BYTES SHM_RING_BYTES_MIN

/* cmocka catches SIGBUS during a test; this is the guards' action, for the test that needs it. */
static struct sigaction guard_action;

struct place {
    int dir;
    char path[64];
    struct built built;         /* RING */
    struct ring_file ring;
};

static int place_open(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return -1;
    p->dir = built_dir_open(p->path);
    p->ring.fd = -1;
    built_open(&p->built, p->dir, RING, DATA_BYTES);
    *state = p;
    return 0;
}

static int place_close(void **state)
{
    struct place *p = *state;

    ring_file_close(&p->ring);
    built_close(&p->built);
    built_dir_close(p->dir, p->path);
    free(p);
    return 0;
}

/* Opens RING; 0, -errno, or the reason as a positive number. */
static int try_open(struct place *p, const char *name)
{
    enum shm_quarantine reason = SHM_QUARANTINE_COUNT;
    struct errmsg err = { "" };
    int res;

    ring_file_close(&p->ring);
    res = ring_file_open(p->dir, name, -1, &p->ring, &reason, &err);
    assert_int_equal(res == -EBADMSG, reason != SHM_QUARANTINE_NONE);
    /* What was refused is left open, for the caller to look at. */
    assert_int_equal(res < 0 && res != -EBADMSG, p->ring.fd < 0);
    assert_int_equal(res == 0, p->ring.guard.addr != NULL);
    assert_int_equal(res < 0, err.text[0] != '\0');
    assert_in_range(reason, 0, SHM_QUARANTINE_COUNT - 1);
    return res == -EBADMSG ? (int)reason : res;
}

static void only_published_names_are_valid(void **state)
{
    static const char *const good[] = { "a.ring", "_.ring", "0.ring", "A-b.c_d.12.ring",
                                        "a..ring", "a.ring.ring" };
    static const char *const bad[] = { "", ".", "..", ".ring", "a", "a.rin", "a.ringx", ".a.ring",
                                       "-a.ring", "a/b.ring", "a b.ring", "a\n.ring", "\xc3.ring",
                                       "../a.ring", "a.RING" };
    char text[SHM_RING_NAME_MAX + 2];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(ring_name_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(ring_name_valid(bad[i]));
    memset(text, 'x', sizeof(text));
    memcpy(text + SHM_RING_NAME_MAX - 5, ".ring", 6);
    assert_true(ring_name_valid(text));
    memcpy(text + SHM_RING_NAME_MAX - 5, "x.ring", 7);
    assert_false(ring_name_valid(text));
}

static void opens_an_honest_ring(void **state)
{
    struct place *p = *state;

    assert_int_equal(try_open(p, RING), 0);
    assert_string_equal(p->ring.name, RING);
    assert_int_equal(p->ring.super.data_bytes, DATA_BYTES);
    assert_int_equal(p->ring.stat.uid, geteuid());
    assert_memory_equal(&p->ring.super, p->built.super, sizeof(p->ring.super));
    assert_true(ring_file_intact(&p->ring));
    assert_int_equal(p->built.consumer->agent_epoch, 0);
}

static void what_is_no_plain_file_is_refused_without_blocking(void **state)
{
    struct place *p = *state;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(symlinkat(RING, p->dir, "link.ring"), 0);
    assert_int_equal(try_open(p, "link.ring"), -ELOOP);
    assert_int_equal(symlinkat("/etc/passwd", p->dir, "out.ring"), 0);
    assert_int_equal(try_open(p, "out.ring"), -ELOOP);
    assert_int_equal(mkfifoat(p->dir, "fifo.ring", 0600), 0);
    assert_int_equal(try_open(p, "fifo.ring"), -ENXIO);
    assert_int_equal(mkdirat(p->dir, "dir.ring", 0700), 0);
    assert_int_equal(try_open(p, "dir.ring"), -ENXIO);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/sock.ring", p->path);
    assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(try_open(p, "sock.ring"), -ENXIO);
    close(sock);
    /* Root may make one; /dev/shm is mounted nodev in places, then opening it is -EACCES. */
    if (mknodat(p->dir, "null.ring", S_IFCHR | 0600, makedev(1, 3)) == 0) {
        int res = try_open(p, "null.ring");

        assert_true(res == -ENXIO || res == -EACCES);
    }
    assert_int_equal(try_open(p, "gone.ring"), -ENOENT);
    assert_int_equal(try_open(p, "." RING), -EINVAL);
    assert_int_equal(try_open(p, "dir.ring/../" RING), -EINVAL);
}

static void a_file_outside_tmpfs_is_no_ring(void **state)
{
    struct place *p = *state;
    char path[] = "/var/tmp/ring-test-XXXXXX";
    enum shm_quarantine reason;
    struct file_fs fs;
    int dir, fd;

    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    assert_int_equal(file_fs(dir, &fs), 0);
    fd = openat(dir, RING, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p->built.map, p->built.file_bytes), p->built.file_bytes);
    close(fd);
    /* Where all of the host is in memory, the copy is a ring like any other. */
    assert_int_equal(ring_file_open(dir, RING, -1, &p->ring, &reason, NULL),
                     fs.tmpfs ? 0 : -EINVAL);
    assert_int_equal(reason, SHM_QUARANTINE_NONE);
    built_dir_close(dir, path);
}

static void a_ring_of_another_owner_is_refused_where_one_is_expected(void **state)
{
    struct place *p = *state;
    enum shm_quarantine reason;
    int64_t uid = geteuid();

    assert_int_equal(ring_file_open(p->dir, RING, uid + 1, &p->ring, &reason, NULL), -EPERM);
    assert_int_equal(reason, SHM_QUARANTINE_NONE);
    assert_int_equal(ring_file_open(p->dir, RING, uid, &p->ring, &reason, NULL), 0);
}

static void each_field_of_the_superblock_is_checked(void **state)
{
    struct place *p = *state;
    const uint64_t page = p->built.page_bytes;
    const struct {
        size_t offset, len;
        uint64_t value;
        int reason;
    } cases[] = {
        { 0, 8, SHM_MAGIC + 1, SHM_QUARANTINE_SUPERBLOCK },
        { 8, 2, SHM_VERSION_MAJOR + 1, SHM_QUARANTINE_SUPERBLOCK },
        { 10, 2, SHM_VERSION_MINOR + 1, 0 },    /* a newer minor may be read */
        { 12, 4, 1, SHM_QUARANTINE_SUPERBLOCK },
        { 12, 4, 0x80000000U, SHM_QUARANTINE_SUPERBLOCK },
        { 16, 4, 2 * page, SHM_QUARANTINE_SUPERBLOCK },
        { 16, 4, 0, SHM_QUARANTINE_SUPERBLOCK },
        { 20, 4, 0, SHM_QUARANTINE_SUPERBLOCK },
        { 20, 4, SHM_HEAD_OFFSET_MIN, 0 },
        { 20, 4, SHM_HEAD_OFFSET_MIN + 64, SHM_QUARANTINE_SUPERBLOCK },
        { 20, 4, page - 128, 0 },
        { 20, 4, page, SHM_QUARANTINE_SUPERBLOCK },
        { 20, 4, 0xffffff80U, SHM_QUARANTINE_SUPERBLOCK },
        { 24, 8, 3 * page + 8, SHM_QUARANTINE_SUPERBLOCK },
        { 32, 8, SHM_DEFS_BYTES / 2, SHM_QUARANTINE_SUPERBLOCK },
        { 40, 8, 3 * page, SHM_QUARANTINE_SUPERBLOCK },
        { 48, 8, DATA_BYTES / 2, SHM_QUARANTINE_SUPERBLOCK },
        { 48, 8, DATA_BYTES + 8, SHM_QUARANTINE_SUPERBLOCK },
        { 48, 8, 2 * DATA_BYTES, SHM_QUARANTINE_SUPERBLOCK },   /* file_bytes no longer fits */
        { 48, 8, UINT64_MAX, SHM_QUARANTINE_SUPERBLOCK },
        { 56, 8, 0, SHM_QUARANTINE_SUPERBLOCK },
        { 56, 8, UINT64_MAX, SHM_QUARANTINE_SUPERBLOCK },
        { 80, 8, 0, SHM_QUARANTINE_FOREIGN },
        { 88, 8, 0, SHM_QUARANTINE_FOREIGN },
        { 104, 4, 1, 0 },                       /* the pid is informative */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct shm_superblock good = *p->built.super;

        memcpy(p->built.map + cases[i].offset, &cases[i].value, cases[i].len);
        built_seal_superblock(&p->built);
        assert_int_equal(try_open(p, RING), cases[i].reason);
        *p->built.super = good;
    }
    assert_int_equal(try_open(p, RING), 0);
}

static void each_flipped_bit_of_the_superblock_is_noticed(void **state)
{
    struct place *p = *state;

    for (size_t bit = 0; bit < 8 * sizeof(struct shm_superblock); bit++) {
        p->built.map[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(try_open(p, RING), SHM_QUARANTINE_SUPERBLOCK);
        p->built.map[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void size_and_blocks_must_be_exact(void **state)
{
    struct place *p = *state;
    const uint64_t size = p->built.file_bytes, page = p->built.page_bytes;
    const uint64_t sizes[] = { 0, 1, sizeof(struct shm_superblock), page, 3 * page - 1, 3 * page,
                               size - page, size - 1, size + 1, size + page };

    for (uint64_t at = 0; at < size; at += page) {
        int want = at == 0 ? SHM_QUARANTINE_SUPERBLOCK : SHM_QUARANTINE_SIZE;
        uint8_t *saved = malloc(page);

        assert_non_null(saved);
        memcpy(saved, p->built.map + at, page);
        assert_int_equal(fallocate(p->built.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   (off_t)at, (off_t)page), 0);
        assert_int_equal(try_open(p, RING), want);
        memcpy(p->built.map + at, saved, page);
        free(saved);
    }
    assert_int_equal(try_open(p, RING), 0);
    /* Largest first would leave holes behind; so each grows back by whole blocks. */
    for (size_t i = sizeof(sizes) / sizeof(sizes[0]); i-- > 0;) {
        struct shm_superblock super = *p->built.super;

        assert_int_equal(ftruncate(p->built.fd, (off_t)sizes[i]), 0);
        assert_int_equal(try_open(p, RING), SHM_QUARANTINE_SIZE);
        assert_int_equal(ftruncate(p->built.fd, (off_t)size), 0);
        assert_int_equal(posix_fallocate(p->built.fd, 0, (off_t)size), 0);
        *p->built.super = super;
        assert_int_equal(try_open(p, RING), 0);
    }
}

static void random_bytes_are_no_ring(void **state)
{
    struct place *p = *state;
    uint64_t seed = 1;

    for (int round = 0; round < 50; round++) {
        for (uint64_t at = 0; at < p->built.file_bytes; at += 8) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            memcpy(p->built.map + at, &seed, 8);
        }
        assert_int_equal(try_open(p, RING), SHM_QUARANTINE_SUPERBLOCK);
    }
}

/* The reason that ring_file_head() gives, 0 for none. */
static int try_head(struct place *p, uint64_t from, uint64_t head)
{
    enum shm_quarantine reason;
    uint64_t seen;
    int res;

    atomic_store(&p->built.head->head, head);
    res = ring_file_head(&p->ring, from, &seen, &reason);
    assert_int_equal(res, reason == SHM_QUARANTINE_NONE ? 0 : -EBADMSG);
    assert_int_equal(seen, res == 0 ? head : from);
    return (int)reason;
}

static void head_is_at_most_a_ring_ahead(void **state)
{
    static const uint64_t starts[] = { 0, 8, 1ULL << 32, 1ULL << 63, UINT64_MAX - 7 };
    struct place *p = *state;

    assert_int_equal(try_open(p, RING), 0);
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        uint64_t from = starts[i];

        assert_int_equal(try_head(p, from, from), 0);
        assert_int_equal(try_head(p, from, from + 8), 0);
        assert_int_equal(try_head(p, from, from + DATA_BYTES), 0);
        assert_int_equal(try_head(p, from, from + DATA_BYTES + 8), SHM_QUARANTINE_POSITION);
        assert_int_equal(try_head(p, from, from - 8), SHM_QUARANTINE_POSITION);
        assert_int_equal(try_head(p, from, from + (1ULL << 63)), SHM_QUARANTINE_POSITION);
        assert_int_equal(try_head(p, from, from + 12), SHM_QUARANTINE_POSITION);
    }
}

static void a_ring_cut_while_attached_faults_and_harms_nobody(void **state)
{
    struct place *p = *state;
    enum shm_quarantine reason;
    uint64_t head;

    assert_int_equal(sigaction(SIGBUS, &guard_action, NULL), 0);
    assert_int_equal(try_open(p, RING), 0);
    assert_int_equal(try_head(p, 0, 64), 0);
    assert_int_equal(ftruncate(p->built.fd, 0), 0);
    assert_int_equal(ring_file_head(&p->ring, 64, &head, &reason), -EBADMSG);
    assert_int_equal(reason, SHM_QUARANTINE_FAULT);
    assert_int_equal(head, 64);
    assert_int_equal(ring_file_defs(&p->ring, NULL, NULL, &reason), -EBADMSG);
    assert_int_equal(reason, SHM_QUARANTINE_FAULT);
    assert_false(ring_file_intact(&p->ring));
    ring_file_publish(&p->ring, SHM_POS_ACCEPTED, 64);
    ring_file_quarantine(&p->ring, SHM_QUARANTINE_FAULT, 64);
    assert_int_equal(ring_file_wanted(&p->ring, SHM_POS_DURABLE), 0);
    /* Grown again it has its size back, and no pages. */
    assert_int_equal(ftruncate(p->built.fd, (off_t)p->built.file_bytes), 0);
    assert_false(ring_file_intact(&p->ring));
}

static void a_ring_punched_or_grown_while_attached_is_not_intact(void **state)
{
    struct place *p = *state;
    const off_t page = (off_t)p->built.page_bytes, size = (off_t)p->built.file_bytes;

    assert_int_equal(try_open(p, RING), 0);
    assert_true(ring_file_intact(&p->ring));
    assert_int_equal(ftruncate(p->built.fd, size + page), 0);
    assert_false(ring_file_intact(&p->ring));
    assert_int_equal(ftruncate(p->built.fd, size), 0);
    assert_true(ring_file_intact(&p->ring));
    assert_int_equal(fallocate(p->built.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               size - page, page), 0);
    assert_false(ring_file_intact(&p->ring));
}

static void a_deleted_ring_is_read_on_through_its_descriptor(void **state)
{
    struct place *p = *state;
    struct built other;
    uint8_t copy[64];

    assert_int_equal(try_open(p, RING), 0);
    built_append(&p->built, 1, SHM_KIND_TEXT, "still here", 10);
    assert_int_equal(unlinkat(p->dir, RING, 0), 0);
    assert_true(ring_file_intact(&p->ring));
    assert_int_equal(try_head(p, 0, p->built.pos), 0);
    assert_int_equal(file_read(p->ring.fd, copy, p->built.pos, p->ring.super.data_offset),
                     p->built.pos);
    assert_memory_equal(copy + sizeof(struct shm_frame), "still here", 10);
    assert_int_equal(ring_file_remove(p->dir, &p->ring), -ENOENT);
    built_open(&other, p->dir, RING, DATA_BYTES);
    assert_int_equal(ring_file_remove(p->dir, &p->ring), -ESTALE);
    assert_int_equal(faccessat(p->dir, RING, F_OK, 0), 0);
    built_close(&other);
}

static void remove_takes_its_own_name_away(void **state)
{
    struct place *p = *state;

    assert_int_equal(try_open(p, RING), 0);
    assert_int_equal(ring_file_remove(p->dir, &p->ring), 0);
    assert_int_equal(faccessat(p->dir, RING, F_OK, 0), -1);
    assert_int_equal(ring_file_remove(p->dir, &p->ring), -ENOENT);
}

static void close_is_fine_twice_and_on_an_empty_one(void **state)
{
    struct place *p = *state;
    struct ring_file empty = { .fd = -1 };

    assert_int_equal(try_open(p, RING), 0);
    ring_file_close(&p->ring);
    assert_int_equal(p->ring.fd, -1);
    ring_file_close(&p->ring);
    ring_file_close(&empty);
    assert_int_equal(empty.fd, -1);
}

/* The first guard of a process installs the action. */
static void guard_action_learn(void)
{
    struct file_guard guard;
    char path[64];
    int dir = built_dir_open(path);
    int fd = openat(dir, "page", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    INVARIANT(fd >= 0 && ftruncate(fd, sysconf(_SC_PAGESIZE)) == 0);
    INVARIANT(file_guard_map(fd, 0, (size_t)sysconf(_SC_PAGESIZE), &guard) == 0);
    INVARIANT(sigaction(SIGBUS, NULL, &guard_action) == 0);
    file_guard_unmap(&guard);
    close(fd);
    built_dir_close(dir, path);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, place_open, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_published_names_are_valid),
        CLAIM(opens_an_honest_ring),
        CLAIM(what_is_no_plain_file_is_refused_without_blocking),
        CLAIM(a_file_outside_tmpfs_is_no_ring),
        CLAIM(a_ring_of_another_owner_is_refused_where_one_is_expected),
        CLAIM(each_field_of_the_superblock_is_checked),
        CLAIM(each_flipped_bit_of_the_superblock_is_noticed),
        CLAIM(size_and_blocks_must_be_exact),
        CLAIM(random_bytes_are_no_ring),
        CLAIM(head_is_at_most_a_ring_ahead),
        CLAIM(a_ring_cut_while_attached_faults_and_harms_nobody),
        CLAIM(a_ring_punched_or_grown_while_attached_is_not_intact),
        CLAIM(a_deleted_ring_is_read_on_through_its_descriptor),
        CLAIM(remove_takes_its_own_name_away),
        CLAIM(close_is_fine_twice_and_on_an_empty_one),
    };

    guard_action_learn();
    return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
