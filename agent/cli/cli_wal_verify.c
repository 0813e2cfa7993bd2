/*
 * cli_wal_verify: `hydrant wal verify`: is a log sound, and what is in it.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include "cli/cli_wal_verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_exit.h"
#include "cli/cli_table.h"

#define PROGRESS_STEP_BYTES (UINT64_C(64) << 20)

static void __attribute__((format(printf, 5, 0)))
report(const char *what, const char *colour, uint64_t lsn, const char *file, const char *fmt,
       va_list args)
{
    char text[2048], clean[2048];

    (void)vsnprintf(text, sizeof(text), fmt, args);
    printf("%s%s%s  ", cli_colour(stdout) ? colour : "", what,
           cli_colour(stdout) ? CLI_PLAIN : "");
    if (lsn != WAL_NO_LSN)
        printf("lsn %" PRIu64 "  ", lsn);
    if (file != NULL)
        printf("%s  ", cli_printable(file, clean, sizeof(clean)));
    puts(cli_printable(text, clean, sizeof(clean)));
}

static void progress_clear(void)
{
    if (isatty(STDERR_FILENO) == 1)
        fputs("\r\033[K", stderr);
}

void wal_verify_damage(struct wal_verify *v, uint64_t lsn, const char *file, const char *fmt, ...)
{
    va_list args;

    v->damages++;
    progress_clear();
    va_start(args, fmt);
    report("damage", CLI_RED, lsn, file, fmt, args);
    va_end(args);
}

void wal_verify_note(struct wal_verify *v, uint64_t lsn, const char *file, const char *fmt, ...)
{
    va_list args;

    (void)v;
    progress_clear();
    va_start(args, fmt);
    report("note", CLI_YELLOW, lsn, file, fmt, args);
    va_end(args);
}

void wal_verify_progress(struct wal_verify *v, uint64_t bytes)
{
    char done[CLI_HUMAN_BYTES], all[CLI_HUMAN_BYTES];

    v->progress_bytes += bytes;
    if (v->progress_bytes < PROGRESS_STEP_BYTES || isatty(STDERR_FILENO) != 1)
        return;
    v->progress_bytes = 0;
    fprintf(stderr, "\rverified %s of %s ", cli_human_bytes(v->bytes, done),
            cli_human_bytes(v->bytes_all, all));
}

/* Segments that no start would read, and why. */
static void files_refused(struct wal_verify *v, const struct wal_files *files, uint32_t shard)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct wal_file *file = &files->items[i];
        const struct wal_dir *dir = &v->walk.dir;
        struct file_stat stat;
        bool read = false;

        if (file->shard != shard)
            continue;
        if (file->kind == WAL_FILE_ASIDE)
            wal_verify_note(v, WAL_NO_LSN, file->name,
                            "was found unreadable at a start, and set aside");
        if (file->kind != WAL_FILE_SEGMENT)
            continue;
        for (uint32_t k = 0; k < dir->count && !read; k++)
            read = strcmp(dir->segments[k].name, file->name) == 0;
        if (read && file->half)
            wal_verify_damage(v, file->header.start_lsn, file->name,
                              "one copy of its header is damaged; the other one serves");
        if (read || (dir->count > 0 && file_stat_at(dir->fd, file->name, &stat) != 0))
            continue;
        if (file->err != 0)
            wal_verify_damage(v, WAL_NO_LSN, file->name, "%s", wal_file_trouble(file));
        else if (dir->count > 0
                 && memcmp(dir->segments[0].header.uuid, file->header.uuid, 16) != 0)
            wal_verify_damage(v, WAL_NO_LSN, file->name, "is a segment of another log");
        else
            wal_verify_damage(v, file->header.start_lsn, file->name,
                              "contradicts its name, or the segment before it");
    }
}

/* What lies behind the last group. */
static void tail_report(struct wal_verify *v)
{
    const struct wal_dir *dir = &v->walk.dir;
    const struct wal_segment *last = &dir->segments[dir->count - 1];
    uint64_t end = v->walk.reader.lsn, behind = last->header.start_lsn + last->size_bytes;

    if (v->ended)
        return;
    if (v->walk.reader.hole_from != UINT64_MAX)
        wal_verify_damage(v, v->walk.reader.hole_from, last->name,
                          "nothing can be read from here to the end of the log");
    else if (v->segment != last->header.number
             && last->header.prev_end_lsn == last->header.start_lsn)
        wal_verify_damage(v, last->header.start_lsn, last->name, "the segment has no checkpoint");
    if (v->live)
        wal_verify_note(v, end, last->name, "an agent is writing here");
    else if (behind > end)
        wal_verify_note(v, end, last->name,
                        "the log ends here; %" PRIu64 " bytes behind are unused, or were not "
                        "synced when the writer died", behind - end);
}

static void streams_print(const struct wal_verify *v)
{
    static const char *const heads[] = { "STREAM", "ACCEPTED", "DELIVERED", "PENDING", "DROPPED",
                                         "LOST", "BYTES" };
    char human[CLI_HUMAN_BYTES];
    struct cli_table table;

    if (v->state.streams_count == 0)
        return;
    cli_table_init(&table, "lrrrrrr");
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        cli_table_cell(&table, "%s", heads[i]);
    for (uint32_t i = 0; i < v->state.streams_count; i++) {
        struct wal_books b = wal_stream_books(v->state.streams[i]);

        cli_table_cell(&table, "%s", v->state.streams[i]->name);
        cli_table_cell(&table, "%" PRIu64, b.accepted);
        cli_table_cell(&table, "%" PRIu64, b.delivered);
        if (b.pending <= b.accepted)
            cli_table_cell(&table, "%" PRIu64, b.pending);
        else
            cli_table_cell(&table, "-");
        cli_table_cell(&table, "%" PRIu64, b.dropped);
        cli_table_cell(&table, "%" PRIu64, b.lost);
        cli_table_cell(&table, "%s", cli_human_bytes(b.accepted_bytes, human));
    }
    cli_table_print(&table, cli_colour(stdout), stdout);
    cli_table_fini(&table);
}

static void summary_print(const struct wal_verify *v)
{
    char human[CLI_HUMAN_BYTES];

    printf("shard %" PRIu32 ": %" PRIu64 " segments, %" PRIu64 " groups, %" PRIu64 " items, %"
           PRIu64 " spans with %" PRIu64 " events, %s\n", v->walk.shard, v->segments, v->groups,
           v->items, v->spans, v->events, cli_human_bytes(v->bytes, human));
    if (v->holes > 0)
        printf("%" PRIu64 " holes, %s\n", v->holes, cli_human_bytes(v->hole_bytes, human));
    if (v->passed_over > 0)
        printf("%" PRIu64 " items could not be understood, for what is before them is missing\n",
               v->passed_over);
    if (v->args->data_dir != NULL)
        printf("%" PRIu64 " sealed batches are not delivered yet; their files were read\n",
               v->batches);
    else if (v->state.seals_count > 0)
        printf("%" PRIu32 " sealed batches are not delivered yet; name the data_dir to have their "
               "files read\n", v->state.seals_count);
    streams_print(v);
    if (v->damages == 0)
        printf("%ssound%s\n", cli_colour(stdout) ? CLI_GREEN : "",
               cli_colour(stdout) ? CLI_PLAIN : "");
    else
        printf("%s%" PRIu64 " damaged%s\n", cli_colour(stdout) ? CLI_RED : "", v->damages,
               cli_colour(stdout) ? CLI_PLAIN : "");
}

struct shards {
    const struct wal_args *args;
    const struct wal_files *files;
    int code;
};

static int shard_verify(void *ctx, uint32_t shard)
{
    static struct wal_verify v;
    struct shards *s = ctx;
    struct errmsg err = { "" };
    int r;

    memset(&v, 0, sizeof(v));
    v.args = s->args;
    v.segment = v.epoch = v.synced_epoch = UINT64_MAX;
    v.live = s->files->live;
    r = wal_walk_open(&v.walk, s->args->wal_dir, shard, &err);
    if (r == 0)
        r = wal_state_init(&v.state);
    files_refused(&v, s->files, shard);
    if (r == 0) {
        v.bytes_all = wal_dir_bytes(&v.walk.dir);
        r = wal_verify_log(&v, &err);
        progress_clear();
    }
    if (r == 0) {
        tail_report(&v);
        if (s->args->data_dir != NULL)
            r = wal_verify_files(&v, &err);
        wal_verify_books(&v);
    }
    if (r == 0)
        summary_print(&v);
    else
        s->code = cli_fail(s->args->command, "%s", err.text);
    if (v.damages > 0)
        s->code = CLI_FAILED;
    wal_state_fini(&v.state);
    wal_walk_close(&v.walk);
    return 0;
}

int cli_wal_verify(const struct wal_args *args)
{
    struct wal_files files;
    struct shards shards = { .args = args, .files = &files };
    struct errmsg err = { "" };

    if (wal_files_read(args->wal_dir, args->data_dir, &files, &err) != 0)
        return cli_fail(args->command, "%s", err.text);
    if (wal_files_check(&files, args->wal_dir, &err) != 0)
        shards.code = cli_fail(args->command, "%s", err.text);
    else
        (void)wal_walk_shards(&files, shard_verify, &shards);
    wal_files_free(&files);
    return shards.code;
}
