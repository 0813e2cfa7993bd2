/*
 * A ring file of arbitrary bytes: opening it, its head and its definitions never fault, and what
 * passes the checks keeps their promises.
 *
 * Input: one byte that says what the rest is, so that the checks behind the first ones are reached:
 *   0  the whole file, as long as the input
 *   1  the superblock of a file of honest size, its checksum put right
 *   2  head (8), from (8), published length of definitions (4), then the definitions
 */
#include <errno.h>
#include <stdint.h>

#include "libshm-client/fields.h"
#include "ring/attach.h"
#include "ring/ring_builder.h"

#define WHOLE "whole.ring"
#define HONEST "honest.ring"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir_path[64];
static int dir, whole_fd;
static struct built honest;
static struct shm_superblock honest_super;

static void dir_remove(void)
{
    built_dir_close(dir, dir_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    dir = built_dir_open(dir_path);
    INVARIANT(atexit(dir_remove) == 0);
    whole_fd = openat(dir, WHOLE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    INVARIANT(whole_fd >= 0);
    built_open(&honest, dir, HONEST, SHM_RING_BYTES_MIN);
    honest_super = *honest.super;
    return 0;
}

struct walk {
    uint32_t count;
    struct frames_schemas schemas;
};

/* A schema is of a stream before it, and its body can be walked to its end. */
static void schema_check(const struct walk *walk, const struct ring_def *def)
{
    struct shmc_fields_one one;
    struct shmc_fields fields;
    unsigned int index, count = 0;

    INVARIANT(def->stream > 0 && def->stream < def->number);
    INVARIANT(!frames_schemas_has(&walk->schemas, def->stream));
    INVARIANT(shmc_fields_open(&fields, def->body, def->body_len, &index) == SHMC_FIELDS_GOOD);
    for (; shmc_fields_next(&fields, &one); count++)
        INVARIANT(one.name_len > 0 && one.at < fields.fixed_bytes);
    INVARIANT(count == fields.count);
}

static int on_def(void *ctx, const struct ring_def *def)
{
    struct walk *walk = ctx;

    INVARIANT(def->number == ++walk->count && walk->count <= SHM_DEFS_MAX);
    INVARIANT(def->type == SHM_DEF_STREAM || def->type == SHM_DEF_SCHEMA);
    INVARIANT(memchr(def->name, '\0', sizeof(def->name)) != NULL);
    INVARIANT((def->type == SHM_DEF_STREAM) == (def->name[0] != '\0'));
    if (def->type == SHM_DEF_SCHEMA) {
        schema_check(walk, def);
        frames_schemas_add(&walk->schemas, def->number);
    }
    for (const char *c = def->name; *c != '\0'; c++)
        INVARIANT(*c > ' ' && *c < 0x7f && *c != '/');
    return 0;
}

/* Opens it and reads what an agent reads first; returns 0 or -errno of the opening. */
static int attach_once(const char *name, uint64_t from)
{
    struct walk walk = { .count = 0 };
    struct ring_file ring;
    enum shm_quarantine reason;
    struct errmsg err;
    uint64_t head;
    int res = ring_file_open(dir, name, -1, &ring, &reason, &err);

    INVARIANT((res == -EBADMSG) == (reason != SHM_QUARANTINE_NONE));
    if (res < 0) {
        ring_file_close(&ring);
        return res;
    }
    INVARIANT(ring.super.file_bytes == ring.stat.size_bytes);
    res = ring_file_head(&ring, from, &head, &reason);
    INVARIANT(res == 0 ? head - from <= ring.super.data_bytes : reason == SHM_QUARANTINE_POSITION);
    res = ring_file_defs(&ring, on_def, &walk, &reason);
    INVARIANT(res == 0 || (res == -EBADMSG && reason == SHM_QUARANTINE_DEFINITION));
    INVARIANT(walk.count == ring.defs_count && ring.defs_read <= SHM_DEFS_BYTES);
    INVARIANT(ring_file_intact(&ring));
    ring_file_close(&ring);
    return 0;
}

static void fuzz_whole(const uint8_t *data, size_t size)
{
    INVARIANT(ftruncate(whole_fd, 0) == 0);
    INVARIANT(pwrite(whole_fd, data, size, 0) == (ssize_t)size);
    attach_once(WHOLE, 0);
}

static void fuzz_superblock(const uint8_t *data, size_t size)
{
    size_t len = size < sizeof(honest_super) ? size : sizeof(honest_super);

    memcpy(honest.super, data, len);
    built_seal_superblock(&honest);
    attach_once(HONEST, 0);
    *honest.super = honest_super;
}

static void fuzz_words_and_defs(const uint8_t *data, size_t size)
{
    uint64_t head, from;
    uint32_t published;
    size_t len;

    if (size < 20)
        return;
    memcpy(&head, data, 8);
    memcpy(&from, data + 8, 8);
    memcpy(&published, data + 16, 4);
    len = size - 20 < SHM_DEFS_BYTES ? size - 20 : SHM_DEFS_BYTES;
    memcpy(honest.defs, data + 20, len);
    atomic_store(&honest.head->head, head);
    atomic_store(&honest.producer->defs_bytes, published);
    INVARIANT(attach_once(HONEST, from) == 0);
    memset(honest.defs, 0, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0]) {
    case 0:
        fuzz_whole(data + 1, size - 1);
        break;
    case 1:
        fuzz_superblock(data + 1, size - 1);
        break;
    case 2:
        fuzz_words_and_defs(data + 1, size - 1);
        break;
    default:
        break;
    }
    return 0;
}
