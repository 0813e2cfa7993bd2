/*
 * formats_bench: whole files by format, as an output of the agent makes them, beside DuckDB's COPY
 * of the same rows on one thread: typed records and JSON lines to Parquet (snappy), records to CSV
 * and to JSON lines; and JSON lines passed through, beside a plain copy, both by direct writes.
 *
 * A row is (ts, user, country, amount, status, url of 40 bytes); it is made from its number, none
 * repeats but in what would. Ours are made span by span, outside of what is measured; DuckDB has
 * its rows in a table, or reads them as JSON lines from a file. Needs tests/node/install; without
 * it DuckDB's cases are left out, which is said.
 *
 * A file is removed when it was measured, and the lines are on the disk before the first: else the
 * kernel slows down whoever writes while so much waits to be written.
 *
 * --rows N: rows of each file (default 1,000,000).
 */
#include "base/bytes.h"
#include "base/invariant.h"
#include "benchmarks/harness.h"
#include "encode/encoding.h"
#include "encode/writer.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPAN = 8192, EVENT_BYTES_MAX = 256, FIXED_BYTES = 44, USERS = 20000, COUNTRIES = 60,
       ROWS_USUAL = 1000000 };

#define COLUMNS "ts i64, user string, country string, amount f64, status i32, url string"

struct span {
    uint8_t *bytes;             /* owned; SPAN events of up to EVENT_BYTES_MAX */
    uint32_t at[SPAN + 1];
};

struct duckdb {
    pid_t pid;                  /* 0: not to be had */
    FILE *to, *from;
};

struct work {
    const char *dir;
    uint64_t rows;
    struct span span;
    struct record_types types;
    struct record_type *type;
    struct parquet_workspace *space;
    struct block_pool pool;
    struct block_chain out;
    struct duckdb duckdb;
    char lines[PATH_MAX];       /* the rows as JSON */
};

typedef int (*make_fn)(uint8_t *at, uint64_t number);

struct task {
    struct work *work;
    const char *file;
    const char *format;         /* ours; NULL: a plain copy */
    make_fn make;
    const char *columns;        /* of rows out of JSON */
    bool direct;
    const char *sql;            /* DuckDB's, before the file's name */
};

/* --- rows ----------------------------------------------------------------------------------- */

static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

struct row {
    int64_t ts;
    char user[16], country[2], url[41];
    uint32_t cents;
    int32_t status;
};

static struct row row_of(uint64_t number)
{
    static const int32_t statuses[] = {200, 200, 200, 200, 200, 200, 304, 404, 500, 302};
    uint64_t bits = mixed(number + 1), more = mixed(bits);
    uint32_t user = (uint32_t)(bits >> 32), country = (uint32_t)(more & 0xffff) % COUNTRIES;
    struct row r = {.ts = 1700000000000000 + (int64_t)number * 250 + (int64_t)(bits % 250)};

    /* Small numbers more often than large ones. */
    user = (uint32_t)((uint64_t)(user % USERS) * (user >> 16) >> 16);
    (void)snprintf(r.user, sizeof(r.user), "user-%05u", user % USERS);
    r.country[0] = (char)('A' + country % 26);
    r.country[1] = (char)('A' + country / 3);
    r.cents = (uint32_t)(more >> 20) % 1000000;
    r.status = statuses[(more >> 40) % 10];
    (void)snprintf(r.url, sizeof(r.url), "https://shop.example/items/%013llx",
                   (unsigned long long)(bits & 0xfffffffffffff));
    return r;
}

static int make_record(uint8_t *at, uint64_t number)
{
    struct row r = row_of(number);
    uint32_t user_len = (uint32_t)strlen(r.user), end = FIXED_BYTES + user_len;
    struct shm_ref refs[3] = {{FIXED_BYTES, user_len}, {end, 2}, {end + 2, 40}};
    double amount = r.cents / 100.0;

    memcpy(at, &r.ts, 8);
    memcpy(at + 8, refs, 16);
    memcpy(at + 24, &amount, 8);
    memcpy(at + 32, &refs[2], 8);
    memcpy(at + 40, &r.status, 4);
    memcpy(at + FIXED_BYTES, r.user, user_len);
    memcpy(at + end, r.country, 2);
    memcpy(at + end + 2, r.url, 40);
    return (int)end + 42;
}

static int make_json(uint8_t *at, uint64_t number)
{
    struct row r = row_of(number);

    return snprintf((char *)at, EVENT_BYTES_MAX,
                    "{\"ts\":%lld,\"user\":\"%s\",\"country\":\"%.2s\",\"amount\":%u.%02u,"
                    "\"status\":%d,\"url\":\"%s\"}", (long long)r.ts, r.user, r.country,
                    r.cents / 100, r.cents % 100, (int)r.status, r.url);
}

static uint32_t span_make(struct work *w, make_fn make, uint64_t number)
{
    uint64_t left = w->rows - number;
    uint32_t count = left < SPAN ? (uint32_t)left : SPAN;

    for (uint32_t i = 0; i < count; i++)
        w->span.at[i + 1] = w->span.at[i] + (uint32_t)make(w->span.bytes + w->span.at[i],
                                                           number + i);
    return count;
}

static void type_make(struct work *w)
{
    static const struct {
        uint8_t type;
        const char *name;
    } fields[] = {{SHM_FIELD_I64, "ts"},      {SHM_FIELD_STRING, "user"},
                  {SHM_FIELD_STRING, "country"}, {SHM_FIELD_F64, "amount"},
                  {SHM_FIELD_I32, "status"},  {SHM_FIELD_STRING, "url"}};
    uint8_t body[128] = {sizeof(fields) / sizeof(fields[0])};
    size_t len = 4;

    for (size_t i = 0; i < body[0]; i++) {
        struct shm_field field = {fields[i].type, 0, (uint8_t)strlen(fields[i].name), 0};

        memcpy(body + len, &field, sizeof(field));
        memcpy(body + len + sizeof(field), fields[i].name, field.name_len);
        len += sizeof(field) + field.name_len;
    }
    record_types_init(&w->types);
    INVARIANT(record_types_get(&w->types, body, len, &w->type) == 0);
}

/* --- ours ----------------------------------------------------------------------------------- */

struct out_file {
    int fd;
    bool direct;
    uint64_t bytes;
};

/* Full blocks, or all. */
static int blocks_write(struct work *w, struct out_file *f, bool all)
{
    struct block *b;
    int err = 0;

    while ((b = chain_shift(&w->out, all)) != NULL) {
        uint64_t len = f->direct ? bytes_round_up(b->len, FILE_BLOCK_BYTES) : b->len;
        ssize_t n = err != 0 ? 0 : pwrite(f->fd, b->data, len, (off_t)f->bytes);

        if (err == 0 && n != (ssize_t)len)
            err = n < 0 ? -errno : -EIO;
        f->bytes += b->len;
        block_give(&w->pool, b);
    }
    return err;
}

static const char *out_path(const struct task *t)
{
    static char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", t->work->dir, t->file);
    return path;
}

static int out_open(struct out_file *f, const struct task *t)
{
    const char *path = out_path(t);

    f->bytes = 0;
    f->direct = t->direct;
    if (t->direct)
        f->fd = file_open_direct(FILE_CWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600, &f->direct);
    else
        f->fd = file_open(FILE_CWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    return f->fd < 0 ? f->fd : 0;
}

/* One span through the encoding, or copied. */
static int span_write(const struct task *t, struct encoding *e, struct writer **writer,
                      uint32_t count, struct out_file *f)
{
    struct work *w = t->work;
    bool record = t->make == make_record;
    int err = 0;

    for (uint32_t i = 0; err == 0 && i < count; i++) {
        struct event ev = {.data = w->span.bytes + w->span.at[i],
                           .len = w->span.at[i + 1] - w->span.at[i],
                           .kind = record ? SHM_KIND_RECORD : SHM_KIND_JSON,
                           .time_ns = 1, .record = record ? w->type : NULL};
        enum writer_result result = WRITER_TAKEN;

        if (e == NULL) {
            INVARIANT(chain_reserve(&w->out, (uint64_t)ev.len + 1));
            chain_append(&w->out, ev.data, ev.len);
            chain_append(&w->out, "\n", 1);
        } else {
            INVARIANT(encoding_look(e, &ev, *writer == NULL) == 0);
            if (*writer == NULL)
                INVARIANT(writer_open(e, &ev, NULL, writer) == 0);
            while ((result = writer_take(*writer, &ev, &w->out)) != WRITER_TAKEN && err == 0) {
                INVARIANT(result == WRITER_AGAIN || result == WRITER_NO_ROOM);
                err = blocks_write(w, f, false);
            }
        }
        if (w->out.first != w->out.last && err == 0)
            err = blocks_write(w, f, false);
    }
    return err;
}

static int ours_write(const struct task *t, struct encoding *e, const struct bench_clock *clock,
                      double *ret_seconds, struct out_file *f)
{
    struct work *w = t->work;
    struct writer *writer = NULL;
    uint64_t ticks = 0, start;
    int err = 0;

    for (uint64_t number = 0; err == 0 && number < w->rows;) {
        uint32_t count = span_make(w, t->make, number);

        start = bench_ticks(clock);
        err = span_write(t, e, &writer, count, f);
        ticks += bench_ticks(clock) - start;
        number += count;
    }
    start = bench_ticks(clock);
    if (writer != NULL)
        while (err == 0 && writer_finish(writer, &w->out) != WRITER_TAKEN)
            err = blocks_write(w, f, false);
    if (err == 0)
        err = blocks_write(w, f, true);
    ticks += bench_ticks(clock) - start;
    writer_close(writer);
    *ret_seconds = bench_ticks_ns(clock, ticks) / 1e9;
    return err;
}

static int ours_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    static char none[] = "";
    const struct task *t = ctx;
    struct work *w = t->work;
    struct output_settings set = {
        .format = (char *)(uintptr_t)t->format, .prefix = none, .error_prefix = none,
        .columns = t->columns ? (char *)(uintptr_t)t->columns : none, .fields = none,
        .drop_fields = none, .add_fields = none, .partition_by = none, .infer_bytes = 1 << 20,
        .row_group_bytes = 32 << 20, .compression_level = -1,
        .compression = t->format && strcmp(t->format, "parquet") == 0 ? SETTINGS_COMPRESSION_SNAPPY
                                                                      : SETTINGS_COMPRESSION_NONE};
    struct encoding *e = NULL;
    struct out_file f;
    double seconds;
    int rc = t->format ? encoding_open(&set, "host", "bench", w->space, &e, err) : 0;

    if (rc == 0)
        rc = out_open(&f, t);
    if (rc == 0) {
        rc = ours_write(t, e, &run->bench->clock, &seconds, &f);
        file_close(f.fd);
        (void)unlink(out_path(t));
    }
    encoding_close(e);
    if (rc != 0)
        return errmsg_set(err, rc, "%s/%s: %s", w->dir, t->file, strerror(-rc));
    bench_add(run, 0, (double)w->rows / seconds / 1e6);
    bench_add(run, 1, (double)f.bytes / (double)w->rows);
    return 0;
}

/* --- DuckDB --------------------------------------------------------------------------------- */

/* Runs a statement: its seconds, or below 0 with err set. */
static double duckdb_sql(struct duckdb *d, const char *sql, struct errmsg *err)
{
    char answer[1024];

    if (fprintf(d->to, "%s\n", sql) < 0 || fflush(d->to) != 0
        || fgets(answer, sizeof(answer), d->from) == NULL)
        return errmsg_set(err, -EPIPE, "DuckDB has ended");
    if (strncmp(answer, "error", 5) == 0)
        return errmsg_set(err, -EIO, "DuckDB: %s", answer);
    return strtod(answer, NULL);
}

static int duckdb_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct task *t = ctx;
    struct work *w = t->work;
    const char *path = out_path(t);
    char sql[3 * PATH_MAX];
    struct stat st;
    double seconds;

    (void)snprintf(sql, sizeof(sql), t->sql, path, w->lines);
    seconds = duckdb_sql(&w->duckdb, sql, err);
    if (seconds < 0)
        return -EIO;
    if (stat(path, &st) != 0)
        return errmsg_set(err, -errno, "%s: %s", path, strerror(errno));
    (void)unlink(path);
    bench_add(run, 0, (double)w->rows / seconds / 1e6);
    bench_add(run, 1, (double)st.st_size / (double)w->rows);
    return 0;
}

static void duckdb_start(struct duckdb *d)
{
    int to[2], from[2];

    if (access("tests/node/node_modules/@duckdb", F_OK) != 0) {
        (void)fprintf(stderr, "formats_bench: without DuckDB: run tests/node/install\n");
        return;
    }
    INVARIANT(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    d->pid = fork();
    INVARIANT(d->pid >= 0);
    if (d->pid == 0) {
        if (dup2(to[0], 0) == 0 && dup2(from[1], 1) == 1)
            execlp("node", "node", "benchmarks/encode/duckdb_sql.mjs", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    d->to = fdopen(to[1], "w");
    d->from = fdopen(from[0], "r");
    INVARIANT(d->to != NULL && d->from != NULL);
}

static void duckdb_end(struct duckdb *d)
{
    if (d->pid == 0)
        return;
    (void)fclose(d->to);
    (void)fclose(d->from);
    while (waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

#define READ_JSON                                                                                  \
    "read_json('%2$s', format = 'newline_delimited', columns = {ts: 'BIGINT', user: 'VARCHAR', "  \
    "country: 'VARCHAR', amount: 'DOUBLE', status: 'INTEGER', url: 'VARCHAR'})"

/* --- the whole ------------------------------------------------------------------------------ */

/* The rows as JSON lines, in a file and as DuckDB's table. */
static int rows_prepare(struct work *w, struct errmsg *err)
{
    char sql[2 * PATH_MAX];
    FILE *f = fopen(w->lines, "we");

    if (f == NULL)
        return errmsg_set(err, -errno, "%s: %s", w->lines, strerror(errno));
    for (uint64_t number = 0; number < w->rows;) {
        uint32_t count = span_make(w, make_json, number);

        for (uint32_t i = 0; i < count; i++) {
            (void)fwrite(w->span.bytes + w->span.at[i], 1, w->span.at[i + 1] - w->span.at[i], f);
            (void)fputc('\n', f);
        }
        number += count;
    }
    if (ferror(f) || fflush(f) != 0 || fdatasync(fileno(f)) != 0) {
        (void)fclose(f);
        return errmsg_set(err, -EIO, "%s: cannot be written", w->lines);
    }
    if (fclose(f) != 0)
        return errmsg_set(err, -EIO, "%s: cannot be written", w->lines);
    (void)snprintf(sql, sizeof(sql), "CREATE TABLE %1$s AS SELECT * FROM " READ_JSON, "t",
                   w->lines);
    return duckdb_sql(&w->duckdb, sql, err) < 0 ? -EIO : 0;
}

static int groups_run(struct bench *b, struct work *w, struct errmsg *err)
{
    static const struct bench_metric metrics[] = {{"", "Mrows/s", BENCH_MORE},
                                                  {".size", "bytes/row", BENCH_PLAIN}};
    static const struct bench_plan plan = {.rounds = 3, .seconds = 1};
    static struct task tasks[5][2] = {
        {{.file = "a.parquet", .format = "parquet", .make = make_record},
         {.file = "b.parquet", .sql = "COPY t TO '%1$s' (FORMAT parquet, COMPRESSION snappy)"}},
        {{.file = "a.parquet", .format = "parquet", .make = make_json, .columns = COLUMNS},
         {.file = "b.parquet",
          .sql = "COPY (SELECT * FROM " READ_JSON ") TO '%1$s' (FORMAT parquet, "
                 "COMPRESSION snappy)"}},
        {{.file = "a.csv", .format = "csv", .make = make_record},
         {.file = "b.csv", .sql = "COPY t TO '%1$s' (FORMAT csv, HEADER)"}},
        {{.file = "a.json", .format = "json", .make = make_record},
         {.file = "b.json", .sql = "COPY t TO '%1$s' (FORMAT json)"}},
        {{.file = "a.json", .format = "json", .make = make_json, .direct = true},
         {.file = "b.json", .make = make_json, .direct = true}}};
    static const char *const names[5][2] = {{"records/parquet", "table/parquet.duckdb"},
                                            {"json/parquet", "json/parquet.duckdb"},
                                            {"records/csv", "table/csv.duckdb"},
                                            {"records/json", "table/json.duckdb"},
                                            {"json/json", "json/copy"}};
    char params[32];
    int rc = 0;

    (void)snprintf(params, sizeof(params), "rows=%llu", (unsigned long long)w->rows);
    for (size_t i = 0; rc == 0 && i < 5; i++) {
        size_t count = tasks[i][1].sql && w->duckdb.pid == 0 ? 1 : 2;
        struct bench_case cases[2];

        for (size_t k = 0; k < 2; k++) {
            tasks[i][k].work = w;
            cases[k] = (struct bench_case){names[i][k], params, metrics, 2,
                                           tasks[i][k].sql ? duckdb_run : ours_run, &tasks[i][k]};
        }
        rc = bench_group(b, &plan, cases, count, err);
    }
    return rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    struct work *w = calloc(1, sizeof(*w));
    char dir[PATH_MAX / 2];
    int rc;

    INVARIANT(w != NULL);
    w->rows = b->rows ? b->rows : ROWS_USUAL;
    (void)snprintf(dir, sizeof(dir), "%s/formats", b->dir);
    w->dir = dir;
    rc = file_mkdirs(FILE_CWD, dir, 0700);
    if (rc != 0) {
        free(w);
        return errmsg_set(err, rc, "%s: %s", dir, strerror(-rc));
    }
    (void)snprintf(w->lines, sizeof(w->lines), "%s/rows.json", dir);
    w->span.bytes = malloc((size_t)SPAN * EVENT_BYTES_MAX);
    w->space = parquet_workspace_open();
    INVARIANT(w->span.bytes != NULL && w->space != NULL);
    type_make(w);
    block_pool_init(&w->pool, 256 * BLOCK_BYTES);
    chain_init(&w->out, &w->pool);
    if (!b->list)
        duckdb_start(&w->duckdb);
    if (w->duckdb.pid > 0)
        rc = rows_prepare(w, err);
    if (rc == 0)
        rc = groups_run(b, w, err);
    duckdb_end(&w->duckdb);
    (void)bench_remove_tree(dir);
    chain_fini(&w->out);
    block_pool_fini(&w->pool);
    record_types_fini(&w->types);
    parquet_workspace_close(w->space);
    free(w->span.bytes);
    free(w);
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("formats_bench", argc, argv, body);
}
