/*
 * hostile: what end-to-end tests set against an agent, and what they measure beside it.
 *
 *   hostile attack DIR SECONDS SEED    writes, damages, cuts, replaces and floods ring files in DIR
 *                                      from two threads; prints how often each was done
 *   hostile measure DIR                an honest producer of stream "measured"; each line "SECONDS"
 *                                      on its input is answered by "ok EVENTS P50 P999 MAX": one
 *                                      event a millisecond, and how long each took from its commit
 *                                      to being accepted
 *
 * Owns:   its ring files; names that are left are the test's to remove.
 * Thread: attack: one for files, one that writes bytes into what is there.
 * Units:  microseconds in what is printed.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "ring/ring_builder.h"
#include "shm_client.h"

enum { SLOTS = 24, FLOOD_FILES = 1500, EVENTS_MAX = 200000, OPS = 12 };

static const char *const op_names[OPS] = {
    "open", "frames", "minimal frames", "definitions", "random superblock", "truncate", "holes",
    "grow", "replace", "unlink", "chmod", "flood",
};

struct slot {
    pthread_mutex_t mutex;
    struct built ring;                  /* fd < 0: none */
    char name[32];
};

static struct slot slots[SLOTS];
static int dir;
static _Atomic int ending;
static uint64_t op_counts[OPS], op_refused, byte_writes;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* Splitmix64. */
static uint64_t next(uint64_t *state, uint64_t bound)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ULL;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return (x ^ x >> 31) % bound;
}

static void pause_us(long us)
{
    const struct timespec t = {.tv_nsec = us * 1000};

    (void)ppoll(NULL, 0, &t, NULL);
}

static void put(const struct slot *s, const void *data, size_t len, uint64_t offset)
{
    if (pwrite(s->ring.fd, data, len, (off_t)offset) < 0 && errno != ENOSPC && errno != EFBIG)
        perror("pwrite");
}

/* ---- Files ---- */

static void slot_drop(struct slot *s)
{
    if (s->ring.fd < 0)
        return;
    (void)unlinkat(dir, s->name, 0);
    built_close(&s->ring);
}

/* A ring as it should be, with a few events; what was in the slot dies. */
static void slot_open(struct slot *s, uint64_t *random)
{
    static uint64_t number;
    char hidden[40], stream[24];

    slot_drop(s);
    snprintf(s->name, sizeof(s->name), "h%" PRIu64 ".ring", number++);
    snprintf(hidden, sizeof(hidden), ".%s", s->name);
    built_open(&s->ring, dir, hidden, SHM_RING_BYTES_MIN << next(random, 5));
    snprintf(stream, sizeof(stream), "hostile-%" PRIu64, next(random, 8));
    built_define(&s->ring, stream);
    for (unsigned i = 0; i < 8; i++)
        built_append(&s->ring, 1, SHM_KIND_TEXT, "hostile", 7);
    built_lock(&s->ring);
    INVARIANT(renameat(dir, hidden, dir, s->name) == 0);
}

static void head_put(struct slot *s, uint64_t head)
{
    put(s, &head, sizeof(head), s->ring.page_bytes + BUILT_HEAD_OFFSET);
}

/* By the file, not by the mapping: that may have lost its pages. */
static void frames_put(struct slot *s, uint32_t len, uint64_t count)
{
    uint64_t data = s->ring.file_bytes - (3 * s->ring.page_bytes + SHM_DEFS_BYTES);
    uint64_t bytes = shm_frame_bytes(len), at = s->ring.pos & (data - 1);
    uint8_t *frames;

    if (count > (data - at) / bytes)
        count = (data - at) / bytes;
    frames = calloc(count + 1, bytes);
    INVARIANT(frames != NULL);
    for (uint64_t i = 0; i < count; i++)
        built_frame(frames + i * bytes, 1, SHM_KIND_TEXT, "hostile frames", len);
    put(s, frames, count * bytes, s->ring.file_bytes - data + at);
    free(frames);
    s->ring.pos += count * bytes;
    head_put(s, s->ring.pos);
}

static void definitions_put(struct slot *s)
{
    static uint8_t defs[SHM_DEFS_BYTES];
    uint32_t len = 0, count = 0;

    for (; count < SHM_DEFS_MAX && len + 32 <= SHM_DEFS_BYTES; count++, len += 32) {
        struct shm_def def = {.bytes = 32, .number = (uint16_t)(count + 1),
                              .type = SHM_DEF_STREAM, .body_len = 12};
        char name[16];

        snprintf(name, sizeof(name), "hostile-%04u", count);
        memcpy(defs + len, &def, sizeof(def));
        memcpy(defs + len + sizeof(def), name, 12);
    }
    put(s, defs, len, 3 * s->ring.page_bytes);
    put(s, &len, sizeof(len), s->ring.page_bytes + offsetof(struct shm_producer, defs_bytes));
    frames_put(s, 8, 1);
}

/* What the kernel refuses is no attack. */
static void tried(int res)
{
    op_refused += res < 0;
}

static void replace(struct slot *s, uint64_t *random)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char other[40];
    int fd;

    snprintf(other, sizeof(other), "second-%s", s->name);
    if (next(random, 5) == 0) {         /* a second name; both go with the slot's next owner */
        tried(linkat(dir, s->name, dir, other, 0));
        return;
    }
    (void)unlinkat(dir, s->name, 0);
    switch (next(random, 4)) {
    case 0:
        tried(symlinkat(next(random, 2) ? s->name : "/etc/passwd", dir, s->name));
        break;
    case 1:
        tried(mkfifoat(dir, s->name, 0600));
        break;
    case 2:
        tried(mkdirat(dir, s->name, 0700));
        (void)unlinkat(dir, s->name, AT_REMOVEDIR);
        break;
    default:
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir, s->name);
        tried(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)));
        close(fd);
        break;
    }
}

/* Files that have rings' names, some of them beginning like rings. */
static void flood(uint64_t *random)
{
    const uint64_t magic = SHM_MAGIC;
    char name[40];

    for (unsigned i = 0; i < FLOOD_FILES; i++) {
        int fd;

        snprintf(name, sizeof(name), "flood%u.ring", i);
        fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        INVARIANT(fd >= 0);
        if (next(random, 2))
            INVARIANT(pwrite(fd, &magic, sizeof(magic), 0) == sizeof(magic));
        close(fd);
    }
    for (unsigned i = 0; i < FLOOD_FILES; i++) {
        snprintf(name, sizeof(name), "flood%u.ring", i);
        (void)unlinkat(dir, name, 0);
    }
}

static void operate(struct slot *s, unsigned op, uint64_t *random)
{
    uint8_t bytes[128];

    op_counts[op]++;
    switch (op) {
    case 0:
        slot_open(s, random);
        break;
    case 1:
        frames_put(s, 14, 1 + next(random, 200));
        break;
    case 2:
        frames_put(s, 0, UINT32_MAX);
        break;
    case 3:
        definitions_put(s);
        break;
    case 4:
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)next(random, 256);
        put(s, bytes, sizeof(bytes), 0);
        break;
    case 5:
        INVARIANT(ftruncate(s->ring.fd, (off_t)next(random, s->ring.file_bytes)) == 0);
        break;
    case 6:
        tried(fallocate(s->ring.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)(4096 * next(random, 40)), 4096 * 8));
        break;
    case 7:
        INVARIANT(ftruncate(s->ring.fd, (off_t)(s->ring.file_bytes + 4096)) == 0);
        break;
    case 8:
        replace(s, random);
        break;
    case 9:
        (void)unlinkat(dir, s->name, 0);
        break;
    case 10:
        (void)fchmod(s->ring.fd, (mode_t)next(random, 01000));
        break;
    default:
        flood(random);
        break;
    }
}

/* ---- Bytes, all the time ---- */

static void *bytes_run(void *seed)
{
    uint64_t random = *(uint64_t *)seed + 1;

    while (!atomic_load(&ending)) {
        struct slot *s = &slots[next(&random, SLOTS)];

        pthread_mutex_lock(&s->mutex);
        for (unsigned i = 0; s->ring.fd >= 0 && i < 8; i++) {
            uint64_t word = next(&random, UINT64_MAX) << next(&random, 64);
            uint64_t at = next(&random, next(&random, 4) ? 4 * s->ring.page_bytes
                                                         : s->ring.file_bytes);

            /* Most of the time a head that may be: the agent is to read. */
            if (next(&random, 3) > 0)
                head_put(s, s->ring.pos += 8 * next(&random, 64));
            else
                put(s, &word, sizeof(word), at);
            byte_writes++;
        }
        pthread_mutex_unlock(&s->mutex);
        pause_us(100);
    }
    return NULL;
}

static int attack(double seconds, uint64_t seed)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), random = seed;
    pthread_t thread;

    for (unsigned i = 0; i < SLOTS; i++) {
        pthread_mutex_init(&slots[i].mutex, NULL);
        slots[i].ring.fd = -1;
        slot_open(&slots[i], &random);
    }
    INVARIANT(pthread_create(&thread, NULL, bytes_run, &seed) == 0);
    while (now_ns() < end) {
        struct slot *s = &slots[next(&random, SLOTS)];
        unsigned op = (unsigned)next(&random, OPS);

        if (op == OPS - 1 && next(&random, 20) > 0)
            op = 0;                     /* a flood now and then */
        pthread_mutex_lock(&s->mutex);
        operate(s, op, &random);
        pthread_mutex_unlock(&s->mutex);
        pause_us(300);
    }
    atomic_store(&ending, 1);
    INVARIANT(pthread_join(thread, NULL) == 0);
    for (unsigned i = 0; i < SLOTS; i++)
        slot_drop(&slots[i]);
    for (unsigned i = 0; i < OPS; i++)
        printf("%s %" PRIu64 ", ", op_names[i], op_counts[i]);
    printf("bytes %" PRIu64 ", refused %" PRIu64 "\n", byte_writes, op_refused);
    return 0;
}

/* ---- The honest one ---- */

static int order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int measure_for(struct shmc *ring, uint16_t stream, double seconds)
{
    static uint64_t took[EVENTS_MAX], number;
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    size_t count = 0;

    while (now_ns() < end && count < EVENTS_MAX) {
        char event[64];
        int len = snprintf(event, sizeof(event), "{\"p\": \"measured\", \"n\": %" PRIu64 "}",
                           number);
        uint64_t begin = now_ns();
        int rc = shmc_write(ring, stream, SHMC_JSON, event, (size_t)len);

        if (rc == 0) {
            number++;
            rc = shmc_flush(ring, SHMC_ACCEPTED, 60000000000ULL);
        }
        if (rc != 0) {
            printf("error %s: %s\n", strerrorname_np(-rc), shmc_error(ring));
            return 1;
        }
        took[count++] = now_ns() - begin;
        pause_us(1000);
    }
    qsort(took, count, sizeof(took[0]), order);
    printf("ok %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", number, took[count / 2] / 1000,
           took[count * 999 / 1000] / 1000, took[count - 1] / 1000);
    fflush(stdout);
    return 0;
}

static int measure(const char *shm_dir)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *ring;
    uint16_t stream;
    char line[64];
    int rc;

    opt.shm_dir = shm_dir;
    opt.name = "measured";
    rc = shmc_open(&opt, &ring);
    if (rc == 0)
        rc = shmc_stream(ring, "measured", &stream);
    if (rc != 0) {
        printf("error open: %s\n", shmc_error(NULL));
        return 1;
    }
    while (fgets(line, sizeof(line), stdin) != NULL)
        if (measure_for(ring, stream, strtod(line, NULL)) != 0)
            return 1;
    return shmc_close(ring) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2]);
    if (argc == 5 && strcmp(argv[1], "attack") == 0) {
        dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0)
            return attack(strtod(argv[3], NULL), strtoull(argv[4], NULL, 0));
        perror(argv[2]);
        return 1;
    }
    fprintf(stderr, "usage: hostile attack DIR SECONDS SEED | hostile measure DIR\n");
    return 2;
}
