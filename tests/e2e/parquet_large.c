/*
 * parquet_large: one Parquet file of typed records, as large as is asked for, made as an output of
 * the agent makes it: encoding, writer, blocks of a bounded pool, spool, direct writes.
 *
 *   parquet_large DIR MIB     DIR/large.parquet of a little more than MIB
 *
 * Prints one line: rows, bytes, bytes of the footer, and the most memory that the process ever
 * held, in bytes. Most of a row does not shrink, so that little work makes a large file.
 *
 * Owns:   what it writes, until it ends.
 * Thread: one.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/invariant.h"
#include "encode/encoding.h"
#include "encode/writer.h"
#include "io/file.h"
#include "io/loop.h"
#include "sink/spool.h"
#include "support/rng.h"

enum {
    NOTE_BYTES = 900, FIXED_BYTES = 40, USERS = 5000, LOOP_ENTRIES = 64,
    POOL_BYTES = 16 << 20, ROW_GROUP_BYTES = 32 << 20, FOOTER_END_BYTES = 8,
};

struct work {
    struct io_loop *loop;
    struct spool_queue queue;
    struct spool spool;
    struct block_pool pool;
    struct block_chain chain;
    struct writer *writer;
    uint64_t rng, bytes;
    int done;                   /* 1: not yet; else what spool_finish() ended with */
    uint8_t record[FIXED_BYTES + 32 + NOTE_BYTES];
};

/* t timestamp, id u64, amount f64, user string, note bytes. */
static const struct {
    uint8_t type;
    const char *name;
} fields[] = {{SHM_FIELD_TIMESTAMP, "t"}, {SHM_FIELD_U64, "id"}, {SHM_FIELD_F64, "amount"},
              {SHM_FIELD_STRING, "user"}, {SHM_FIELD_BYTES, "note"}};

static struct record_type *type_make(struct record_types *types)
{
    uint8_t body[128] = {sizeof(fields) / sizeof(fields[0])};
    struct record_type *type;
    size_t len = 4;

    for (size_t i = 0; i < body[0]; i++) {
        struct shm_field field = {fields[i].type, 0, (uint8_t)strlen(fields[i].name), 0};

        memcpy(body + len, &field, sizeof(field));
        memcpy(body + len + sizeof(field), fields[i].name, field.name_len);
        len += sizeof(field) + field.name_len;
    }
    record_types_init(types);
    INVARIANT(record_types_get(types, body, len, &type) == 0);
    return type;
}

static struct event row_make(struct work *w, struct record_type *type, uint64_t id)
{
    uint64_t t = 1700000000000000 + id * 20, r = rng_next(&w->rng);
    double amount = (double)(r % 1000000) / 100;
    char user[16];
    int user_len = snprintf(user, sizeof(user), "user-%d", (int)(r >> 40) % USERS);
    struct shm_ref refs[2] = {{FIXED_BYTES, (uint32_t)user_len},
                              {FIXED_BYTES + (uint32_t)user_len, NOTE_BYTES}};

    memcpy(w->record, &t, sizeof(t));
    memcpy(w->record + 8, &id, sizeof(id));
    memcpy(w->record + 16, &amount, sizeof(amount));
    memcpy(w->record + 24, refs, sizeof(refs));
    memcpy(w->record + refs[0].at, user, refs[0].len);
    for (uint32_t at = 0; at + sizeof(r) <= NOTE_BYTES; at += (uint32_t)sizeof(r)) {
        r = rng_next(&w->rng);
        memcpy(w->record + refs[1].at + at, &r, sizeof(r));
    }
    return (struct event){.data = w->record, .len = refs[1].at + NOTE_BYTES,
                          .kind = SHM_KIND_RECORD, .time_ns = 1, .record = type};
}

static void on_done(struct spool *s, int result)
{
    struct work *w = (struct work *)((char *)s - offsetof(struct work, spool));

    w->done = result;
}

/* Full blocks go to the spool, all at the end; `wait` for the disk to give some back. */
static void blocks_out(struct work *w, bool all, bool wait)
{
    struct block *b;

    while ((b = chain_shift(&w->chain, all)) != NULL) {
        w->bytes += b->len;
        INVARIANT(spool_append(&w->spool, b) == 0);
    }
    INVARIANT(loop_turn(w->loop, wait ? loop_refresh_ns(w->loop) + 100000000 : 0) >= 0);
}

static uint64_t rows_write(struct work *w, struct encoding *e, struct record_type *type,
                           uint64_t bytes_least)
{
    uint64_t rows = 0;
    enum writer_result result;

    for (; w->bytes < bytes_least; rows++) {
        struct event ev = row_make(w, type, rows);

        INVARIANT(encoding_look(e, &ev, rows == 0) == 0);
        if (rows == 0)
            INVARIANT(writer_open(e, &ev, NULL, &w->writer) == 0);
        while ((result = writer_take(w->writer, &ev, &w->chain)) != WRITER_TAKEN) {
            INVARIANT(result == WRITER_AGAIN || result == WRITER_NO_ROOM);
            blocks_out(w, false, result == WRITER_NO_ROOM);
        }
        if (w->chain.first != w->chain.last)
            blocks_out(w, false, false);
    }
    while ((result = writer_finish(w->writer, &w->chain)) != WRITER_TAKEN) {
        INVARIANT(result == WRITER_AGAIN || result == WRITER_NO_ROOM);
        blocks_out(w, false, result == WRITER_NO_ROOM);
    }
    blocks_out(w, true, false);
    w->done = 1;
    spool_finish(&w->spool, on_done);
    while (w->done == 1)
        blocks_out(w, true, true);
    return rows;
}

static uint32_t footer_bytes(int dir, const char *name, uint64_t file_bytes)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    uint32_t len = 0;

    INVARIANT(fd >= 0 && pread(fd, &len, sizeof(len), (off_t)file_bytes - FOOTER_END_BYTES)
                             == (ssize_t)sizeof(len));
    close(fd);
    return len;
}

int main(int argc, char **argv)
{
    static char none[] = "", parquet[] = "parquet", name[] = "large.parquet";
    static struct work w = {.rng = 0x9e3779b97f4a7c15ULL};
    struct output_settings set = {
        .format = parquet, .prefix = none, .error_prefix = none, .columns = none, .fields = none,
        .drop_fields = none, .add_fields = none, .partition_by = none,
        .row_group_bytes = ROW_GROUP_BYTES, .compression_level = -1,
        .compression = SETTINGS_COMPRESSION_SNAPPY};
    struct parquet_workspace *space = parquet_workspace_open();
    static struct record_types types;
    struct record_type *type = type_make(&types);
    struct encoding *e;
    struct errmsg err;
    struct rusage usage;
    uint64_t rows;
    int dir;

    if (argc != 3) {
        fputs("usage: parquet_large DIR MIB\n", stderr);
        return 2;
    }
    dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    INVARIANT(dir >= 0 && space != NULL);
    INVARIANT(encoding_open(&set, "host", "large", space, &e, &err) == 0);
    INVARIANT(loop_open(LOOP_ENTRIES, &w.loop, &err) == 0);
    block_pool_init(&w.pool, POOL_BYTES);
    chain_init(&w.chain, &w.pool);
    spool_queue_init(&w.queue);
    spool_init(&w.spool, w.loop, &w.pool, &w.queue, dir, name, 0600);
    rows = rows_write(&w, e, type, strtoull(argv[2], NULL, 10) << 20);
    if (w.done != 0) {
        fprintf(stderr, "%s/%s: %s\n", argv[1], name, strerror(-w.done));
        return 1;
    }
    INVARIANT(getrusage(RUSAGE_SELF, &usage) == 0);
    printf("%" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu64 "\n", rows, w.bytes,
           footer_bytes(dir, name, w.bytes), (uint64_t)usage.ru_maxrss << 10);
    writer_close(w.writer);
    spool_fini(&w.spool);
    encoding_close(e);
    record_types_fini(&types);
    parquet_workspace_close(space);
    chain_fini(&w.chain);
    loop_close(w.loop);
    block_pool_fini(&w.pool);
    close(dir);
    return 0;
}
