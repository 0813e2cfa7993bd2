/*
 * cli_wal_ls: `hydrant wal ls`: the files of a log.
 *
 * The groups of a segment that has ended are counted from its end: each COMMIT says where the one
 * before it ended, so that no body is read. Where the last one ends has to be found by reading it.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include "cli/cli_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clockfmt.h"
#include "cli/cli_exit.h"
#include "cli/cli_fields.h"
#include "cli/cli_table.h"
#include "cli/cli_wal_walk.h"

/* What is to be said of one file. */
struct row {
    const struct wal_file *file;
    bool read;                  /* a segment that a start would read; else the rest is unknown */
    uint64_t from_lsn, to_lsn, groups;
    char state[128];
};

/*
 * Reads the COMMIT at lsn, which ends at or before end_lsn. 1: *ret_commit is valid, 0: there is
 * none, or -errno.
 */
static int commit_read(int fd, const struct wal_segment *seg, uint64_t lsn, uint64_t end_lsn,
                       struct wal_commit *ret_commit)
{
    struct wal_identity id = { .epoch = seg->header.epoch, .segment = seg->header.number };
    uint64_t offset = lsn - seg->header.start_lsn;
    uint8_t block[WAL_BLOCK], *record;
    uint32_t bytes;
    ssize_t n = file_read(fd, block, sizeof(block), offset);
    int r = 0;

    if (n < (ssize_t)sizeof(block) || !wal_commit_begins(block, lsn))
        return n < 0 ? (int)n : 0;
    bytes = bytes_get_u32(block + 8);
    if (bytes < WAL_BLOCK || bytes > end_lsn - lsn)
        return 0;
    memcpy(id.uuid, seg->header.uuid, sizeof(id.uuid));
    record = malloc(bytes);
    if (record == NULL)
        return -ENOMEM;
    n = file_read(fd, record, bytes, offset);
    if (n < 0)
        r = (int)n;
    else
        r = wal_commit_parse(&id, record, (size_t)n, lsn, ret_commit) == 0
            && ret_commit->group_lsn >= wal_walk_start(seg);
    free(record);
    return r;
}

/*
 * Counts the groups of a segment that ends at end_lsn. 1: they are all there, 0: some can't be
 * read, or -errno.
 */
static int groups_count(const struct wal_dir *dir, const struct wal_segment *seg, uint64_t end_lsn,
                        uint64_t *ret_groups)
{
    uint64_t first = wal_walk_start(seg) == seg->header.start_lsn
                         ? seg->header.start_lsn + WAL_BLOCK
                         : wal_walk_start(seg);
    int fd = file_open(dir->fd, seg->name, O_RDONLY, 0);
    uint64_t at = end_lsn;
    int whole = 1, r = fd < 0 ? fd : 0;

    *ret_groups = 0;
    while (r >= 0 && at > first) {
        struct wal_commit commit;
        uint64_t lsn = at;

        do {
            lsn -= WAL_BLOCK;
            r = commit_read(fd, seg, lsn, at, &commit);
        } while (r == 0 && lsn > first);
        if (r <= 0)
            break;
        whole = whole && lsn + commit.bytes == at;
        at = commit.group_lsn;
        ++*ret_groups;
    }
    file_close(fd);
    return r < 0 ? r : whole && at == first;
}

/* The last segment's end, and how many groups it has. 0 or -errno. */
static int end_find(struct wal_dir *dir, const struct wal_segment *seg, uint64_t *ret_end_lsn,
                    uint64_t *ret_groups)
{
    struct wal_group_view g;
    struct wal_reader r;
    int n;

    wal_reader_init(&r, dir);
    r.lsn = wal_walk_start(seg);
    *ret_end_lsn = seg->header.start_lsn + WAL_BLOCK;
    *ret_groups = 0;
    while ((n = wal_reader_next(&r, UINT64_MAX, &g)) > 0) {
        *ret_end_lsn = g.end_lsn;
        ++*ret_groups;
    }
    wal_reader_fini(&r);
    return n;
}

static void segment_row(struct row *row, struct wal_dir *dir, uint32_t i)
{
    const struct wal_segment *seg = &dir->segments[i];
    uint64_t size_end = seg->header.start_lsn + seg->size_bytes, unused;
    bool last = i + 1 == dir->count, whole = true;
    char human[CLI_HUMAN_BYTES];
    int r;

    row->from_lsn = wal_walk_start(seg);
    if (last) {
        r = end_find(dir, seg, &row->to_lsn, &row->groups);
    } else {
        row->to_lsn = wal_walk_start(&dir->segments[i + 1]);
        r = groups_count(dir, seg, row->to_lsn, &row->groups);
        whole = r != 0;
    }
    row->read = r >= 0;
    if (r < 0) {
        (void)snprintf(row->state, sizeof(row->state), r == -ENOENT ? "removed meanwhile"
                                                                    : "unreadable: %s",
                       strerror(-r));
        return;
    }
    unused = size_end > row->to_lsn ? size_end - row->to_lsn : 0;
    (void)snprintf(row->state, sizeof(row->state), "%s%s%s%s",
                   !last              ? "closed"
                   : row->file->locked ? "being written"
                                       : "ends here",
                   unused > 0 ? ", unused: " : "", unused > 0 ? cli_human_bytes(unused, human) : "",
                   whole ? "" : ", damaged: see wal verify");
}

/* The state of what is no segment, or none that a start would read. */
static void other_row(struct row *row)
{
    const struct wal_file *file = row->file;
    const char *state = "no part of the log";

    if (file->kind == WAL_FILE_ASIDE)
        state = "set aside";
    else if (file->kind == WAL_FILE_NEW)
        state = file->locked ? "being made" : file->err == 0 ? "spare" : "unfinished";
    else if (file->kind == WAL_FILE_SEGMENT && file->err == 0)
        state = "unreadable: of another log, or contradicts the one before";
    if (file->kind == WAL_FILE_SEGMENT && file->err != 0)
        (void)snprintf(row->state, sizeof(row->state), "unreadable: %s", wal_file_trouble(file));
    else
        (void)snprintf(row->state, sizeof(row->state), "%s", state);
}

struct ls {
    const struct wal_args *args;
    const struct wal_files *files;
    struct row *rows;           /* owned; one a file */
    bool stale;                 /* segments have come or gone since the listing */
    int code;
};

static int shard_rows(void *ctx, uint32_t shard)
{
    struct ls *ls = ctx;
    struct errmsg err = { "" };
    struct wal_walk walk;

    if (wal_walk_open(&walk, ls->args->wal_dir, shard, &err) != 0) {
        ls->code = cli_fail(ls->args->command, "%s", err.text);
        return 0;
    }
    for (uint32_t i = 0; i < walk.dir.count; i++) {
        const struct wal_file *file = wal_files_find(ls->files, walk.dir.segments[i].name);

        if (file == NULL)
            ls->stale = true;
        else
            segment_row(&ls->rows[file - ls->files->items], &walk.dir, i);
    }
    for (size_t i = 0; i < ls->files->count; i++) {
        const struct wal_file *file = &ls->files->items[i];
        struct file_stat stat;

        if (file->kind == WAL_FILE_SEGMENT && file->shard == shard && !ls->rows[i].read)
            ls->stale |= file_stat_at(walk.dir.fd, file->name, &stat) == -ENOENT;
    }
    wal_walk_close(&walk);
    return 0;
}

/* The seconds of an epoch are its upper half. */
static uint64_t epoch_ns(uint64_t epoch)
{
    return (epoch >> 32) * UINT64_C(1000000000);
}

static void totals(const struct ls *ls, uint64_t *ret_segments, uint64_t *ret_groups,
                   uint64_t *ret_bytes)
{
    *ret_segments = *ret_groups = *ret_bytes = 0;
    for (size_t i = 0; i < ls->files->count; i++) {
        *ret_segments += ls->rows[i].read;
        *ret_groups += ls->rows[i].groups;
        *ret_bytes += ls->files->items[i].stat.size_bytes;
    }
}

static void print_table(const struct ls *ls)
{
    static const char *const heads[] = { "FILE", "STARTED", "FROM", "TO", "SIZE", "GROUPS",
                                         "STATE" };
    char human[CLI_HUMAN_BYTES], time_text[CLOCKFMT_ISO_BYTES];
    uint64_t segments, groups, bytes;
    struct cli_table table;

    cli_table_init(&table, "llrrrrl");
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        cli_table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < ls->files->count; i++) {
        const struct row *row = &ls->rows[i];

        cli_table_cell(&table, "%s", row->file->name);
        cli_table_cell(&table, "%s", row->file->epoch != 0
                                         ? clockfmt_iso(epoch_ns(row->file->epoch), time_text)
                                         : "-");
        cli_table_cell(&table, row->read ? "%" PRIu64 : "-", row->from_lsn);
        cli_table_cell(&table, row->read ? "%" PRIu64 : "-", row->to_lsn);
        cli_table_cell(&table, "%s", cli_human_bytes(row->file->stat.size_bytes, human));
        cli_table_cell(&table, row->read ? "%" PRIu64 : "-", row->groups);
        cli_table_cell(&table, "%s", row->state);
    }
    cli_table_print(&table, cli_colour(stdout), stdout);
    cli_table_fini(&table);
    totals(ls, &segments, &groups, &bytes);
    printf("%" PRIu64 " segments, %" PRIu64 " groups, %zu files, %s\n", segments, groups,
           ls->files->count, cli_human_bytes(bytes, human));
}

static void print_json(const struct ls *ls)
{
    static const char *const kinds[] = { "segment", "new", "aside", "other" };
    struct cli_fields f = { .out = stdout, .json = true };
    uint64_t segments, groups, bytes;

    cli_fields_open(&f);
    cli_fields_bytes(&f, "directory", ls->args->wal_dir, strlen(ls->args->wal_dir));
    cli_fields_list(&f, "files");
    for (size_t i = 0; i < ls->files->count; i++) {
        const struct row *row = &ls->rows[i];

        cli_fields_open(&f);
        cli_fields_bytes(&f, "file", row->file->name, strlen(row->file->name));
        cli_fields_word(&f, "kind", kinds[row->file->kind]);
        cli_fields_u64(&f, "bytes", row->file->stat.size_bytes);
        if (row->file->kind != WAL_FILE_OTHER) {
            cli_fields_u64(&f, "shard", row->file->shard);
            cli_fields_x(&f, "epoch", row->file->epoch, 16);
            cli_fields_time(&f, "started", epoch_ns(row->file->epoch));
            cli_fields_u64(&f, "number", row->file->number);
        }
        if (row->read) {
            cli_fields_u64(&f, "from_lsn", row->from_lsn);
            cli_fields_u64(&f, "to_lsn", row->to_lsn);
            cli_fields_u64(&f, "groups", row->groups);
        }
        cli_fields_bool(&f, "locked", row->file->locked);
        cli_fields_bytes(&f, "state", row->state, strlen(row->state));
        cli_fields_close(&f);
    }
    cli_fields_list_end(&f);
    totals(ls, &segments, &groups, &bytes);
    cli_fields_u64(&f, "segments", segments);
    cli_fields_u64(&f, "groups", groups);
    cli_fields_u64(&f, "bytes", bytes);
    cli_fields_close(&f);
}

/* Lists once. False: segments have come or gone meanwhile. */
static bool list(struct ls *ls)
{
    ls->stale = false;
    for (size_t i = 0; i < ls->files->count; i++)
        ls->rows[i].file = &ls->files->items[i];
    (void)wal_walk_shards(ls->files, shard_rows, ls);
    for (size_t i = 0; i < ls->files->count; i++) {
        if (ls->rows[i].state[0] == '\0')
            other_row(&ls->rows[i]);
        if (ls->files->items[i].kind == WAL_FILE_SEGMENT && !ls->rows[i].read)
            ls->code = CLI_FAILED;
    }
    return !ls->stale;
}

int cli_wal_ls(const struct wal_args *args)
{
    enum { TRIES = 20 };        /* an agent at work may roll at any moment */
    bool done = false;
    struct ls ls;

    for (int i = 1; !done; i++) {
        struct wal_files files;
        struct errmsg err = { "" };

        ls = (struct ls){ .args = args, .files = &files };
        if (wal_files_read(args->wal_dir, args->data_dir, &files, &err) != 0)
            return cli_fail(args->command, "%s", err.text);
        ls.rows = calloc(files.count + 1, sizeof(*ls.rows));
        if (ls.rows == NULL || wal_files_check(&files, args->wal_dir, &err) != 0) {
            ls.code = cli_fail(args->command, "%s", ls.rows == NULL ? "out of memory" : err.text);
            done = true;
        } else if (list(&ls) || i == TRIES) {
            if (args->json)
                print_json(&ls);
            else
                print_table(&ls);
            done = true;
        }
        free(ls.rows);
        wal_files_free(&files);
    }
    return ls.code;
}
