/*
 * cli_ring: `hydrant ring ls` and `hydrant ring show`: the rings of this host, with or without an
 * agent.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include "cli/cli_ring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clockfmt.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_record.h"
#include "cli/cli_shm.h"
#include "cli/cli_table.h"

static const char usage[] =
    "usage: hydrant ring ls [--shm-dir DIR]\n"
    "       hydrant ring show NAME [--events] [--shm-dir DIR]\n"
    "\n"
    "ls lists the rings of this host. It reads the ring files themselves, so it needs no agent.\n"
    "\n"
    "  STATE    alive: its producer runs; orphan: it is gone; closed: it has said good-bye;\n"
    "           quarantined: the agent has stopped reading it, and why (show says what to do);\n"
    "           damaged: an agent would stop reading it, and why;\n"
    "           waiting: the agent takes it, or its next stream, when this limit allows it;\n"
    "           unreadable: the file claims to be a ring and is none, and why\n"
    "  WAITING  bytes that the agent has not accepted yet\n"
    "  DROPPED  events that the producer has given up, by its own count\n"
    "\n"
    "show prints one ring whole: superblock, positions, streams, and schemas with their fields.\n"
    "NAME is as ls prints it; .ring may be left out. With --events it prints what waits in the\n"
    "ring instead, one JSON object a line: stream, kind, time and payload, or payload_base64 for\n"
    "what is no text; of a record an object of its fields.\n"
    "\n"
    "  --shm-dir DIR   where the rings are (HYDRANT_SHM_DIR; default /dev/shm/hydrant for root\n"
    "                  and system users, else /dev/shm/hydrant-UID)\n"
    "\n"
    "Exit code: 0 printed, 1 no such ring or directory, or an unreadable ring, 2 wrong usage.\n"
    "\n"
    "  hydrant ring ls\n"
    "  hydrant ring show app.4711.0123456789abcdef --events | jq .payload\n";

/*
 * Head, against the position that the agent has accepted up to. Both move on meanwhile, and a
 * position that is old when head is read may seem to be more than a ring behind it: only one that
 * has not moved is out of place.
 */
static void head_read(struct ring_view *view)
{
    enum { TRIES = 1000 };      /* somebody may move it for ever */
    _Atomic uint64_t *accepted = &view->file.consumer->mark[SHM_POS_ACCEPTED].pos;
    uint64_t pos = atomic_load_explicit(accepted, memory_order_acquire);

    for (int i = 0; i < TRIES; i++) {
        view->pos[SHM_POS_ACCEPTED] = pos;
        if (ring_file_head(&view->file, pos, &view->head, &view->fault) == 0)
            return;
        pos = atomic_load_explicit(accepted, memory_order_acquire);
        if (pos == view->pos[SHM_POS_ACCEPTED])
            return;
    }
}

int ring_view_open(int shm_dir, const char *name, struct ring_view *ret_view,
                   enum shm_quarantine *ret_reason, struct errmsg *err)
{
    struct ring_file *file = &ret_view->file;
    int res;

    memset(ret_view, 0, sizeof(*ret_view));
    file->fd = -1;
    res = ring_file_open(shm_dir, name, -1, file, ret_reason, err);
    if (res != 0)
        return res;
    ret_view->alive = ring_file_alive(file);
    ret_view->closed = atomic_load_explicit(&file->producer->closed, memory_order_acquire) != 0;
    ret_view->quarantine = (enum shm_quarantine)atomic_load_explicit(&file->consumer->quarantine,
                                                                     memory_order_relaxed);
    ret_view->waits =
        (enum shm_wait)atomic_load_explicit(&file->consumer->waits, memory_order_relaxed);
    for (int i = 0; i < SHM_POS_COUNT; i++)
        ret_view->pos[i] =
            atomic_load_explicit(&file->consumer->mark[i].pos, memory_order_acquire);
    for (int i = 0; i < SHM_DROP_COUNT; i++)
        ret_view->drops[i] = atomic_load_explicit(&file->producer->drops[i], memory_order_relaxed);
    ret_view->high_water_bytes =
        atomic_load_explicit(&file->producer->high_water_bytes, memory_order_relaxed);
    ret_view->agent_epoch =
        atomic_load_explicit(&file->consumer->agent_epoch, memory_order_relaxed);
    ret_view->ring_id = atomic_load_explicit(&file->consumer->ring_id, memory_order_relaxed);
    ret_view->quarantine_pos =
        atomic_load_explicit(&file->consumer->quarantine_pos, memory_order_relaxed);
    head_read(ret_view);
    if (ret_view->fault != SHM_QUARANTINE_FAULT)
        return 0;
    *ret_reason = ret_view->fault;      /* the pages are gone: nothing that was read means much */
    return errmsg_set(err, -EBADMSG, "ring '%s': its pages are gone", name);
}

void ring_view_close(struct ring_view *view)
{
    ring_file_close(&view->file);
}

char *ring_view_state(const struct ring_view *view, char text[static RING_VIEW_STATE_BYTES])
{
    if (view->quarantine != SHM_QUARANTINE_NONE)
        (void)snprintf(text, RING_VIEW_STATE_BYTES, "quarantined: %s",
                       ring_quarantine_name(view->quarantine));
    else if (view->fault != SHM_QUARANTINE_NONE)
        (void)snprintf(text, RING_VIEW_STATE_BYTES, "damaged: %s",
                       ring_quarantine_name(view->fault));
    else if (view->waits != SHM_WAIT_NONE)
        (void)snprintf(text, RING_VIEW_STATE_BYTES, "waiting: %s", ring_wait_name(view->waits));
    else
        (void)snprintf(text, RING_VIEW_STATE_BYTES, "%s",
                       view->closed      ? "closed"
                       : view->alive > 0 ? "alive"
                       : view->alive < 0 ? "unknown"
                                         : "orphan");
    return text;
}

struct names {
    char **items;   /* owned, each owned */
    size_t count, cap;
};

static int on_name(void *ctx, const char *name)
{
    struct names *names = (struct names *)ctx;

    if (!ring_name_valid(name))
        return 0;
    if (names->count == names->cap) {
        size_t cap = names->cap == 0 ? 64 : names->cap * 2;
        char **items = reallocarray(names->items, cap, sizeof(*items));

        if (items == NULL)
            return -ENOMEM;
        names->items = items;
        names->cap = cap;
    }
    names->items[names->count] = strdup(name);
    return names->items[names->count] == NULL ? -ENOMEM : (names->count++, 0);
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void ls_row(struct cli_table *table, const struct ring_view *view)
{
    char state[RING_VIEW_STATE_BYTES], human[CLI_HUMAN_BYTES];
    uint64_t dropped = 0;

    for (int i = 0; i < SHM_DROP_COUNT; i++)
        dropped += view->drops[i];
    cli_table_cell(table, "%s", view->file.name);
    cli_table_cell(table, "%s", ring_view_state(view, state));
    cli_table_cell(table, "%u", view->file.super.pid);
    cli_table_cell(table, "%u", view->file.stat.uid);
    cli_table_cell(table, "%s", cli_human_bytes(view->file.super.data_bytes, human));
    cli_table_cell(table, "%s",
                   view->fault != SHM_QUARANTINE_NONE
                       ? "-"
                       : cli_human_bytes(view->head - view->pos[SHM_POS_ACCEPTED], human));
    cli_table_cell(table, "%s", cli_human_bytes(view->pos[SHM_POS_ACCEPTED], human));
    cli_table_cell(table, "%" PRIu64, dropped);
}

/* A file that has a ring's name and cannot be read as one. */
static void ls_row_unreadable(struct cli_table *table, const char *name, const char *why)
{
    cli_table_cell(table, "%s", name);
    cli_table_cell(table, "unreadable: %s", why);
    for (int i = 2; i < 8; i++)
        cli_table_cell(table, "-");
}

static int ls_names(int dir, const struct names *names)
{
    static const char *const heads[] = { "RING", "STATE", "PID", "UID", "SIZE", "WAITING",
                                         "ACCEPTED", "DROPPED" };
    struct cli_table table;
    int code = CLI_OK;

    cli_table_init(&table, "llrrrrrr");
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        cli_table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < names->count; i++) {
        enum shm_quarantine reason = SHM_QUARANTINE_NONE;
        struct ring_view view;
        struct errmsg err = { "" };
        int res = ring_view_open(dir, names->items[i], &view, &reason, &err);

        if (res == 0) {
            ls_row(&table, &view);
            if (view.fault != SHM_QUARANTINE_NONE && view.quarantine == SHM_QUARANTINE_NONE)
                code = CLI_FAILED;
        } else if (res != -ENOENT) { /* a ring that is gone by now is no news */
            ls_row_unreadable(&table, names->items[i],
                              res == -EBADMSG ? ring_quarantine_name(reason) : strerror(-res));
            code = CLI_FAILED;
        }
        ring_view_close(&view);
    }
    cli_table_print(&table, cli_colour(stdout), stdout);
    cli_table_fini(&table);
    return code;
}

static int ring_ls(const char *command, const char *dir_path)
{
    struct names names = { NULL, 0, 0 };
    int dir = cli_shm_open(command, dir_path);
    int res, code;

    if (dir < 0)
        return CLI_FAILED;
    res = file_list(dir, on_name, &names);
    if (res < 0) {
        code = cli_fail(command, "%s: %s", dir_path, strerror(-res));
    } else {
        if (names.count > 1)
            qsort(names.items, names.count, sizeof(*names.items), name_compare);
        code = ls_names(dir, &names);
    }
    for (size_t i = 0; i < names.count; i++)
        free(names.items[i]);
    free(names.items);
    file_close(dir);
    return code;
}

static int on_def(void *ctx, const struct ring_def *def)
{
    struct cli_schema *schema;

    (void)ctx;
    if (def->type == SHM_DEF_STREAM) {
        printf("  stream %-5u %s\n", def->number, def->name);
        return 0;
    }
    schema = cli_schema_open(def->body, def->body_len);
    if (schema == NULL)
        return -ENOMEM;
    printf("  schema %-5u of stream %u: ", def->number, def->stream);
    cli_schema_print(stdout, schema);
    putchar('\n');
    cli_schema_close(schema);
    return 0;
}

static void show_superblock(const struct ring_view *view)
{
    const struct shm_superblock *super = &view->file.super;
    char uuid[33], boot[33], time_text[CLOCKFMT_ISO_BYTES], human[CLI_HUMAN_BYTES];

    bytes_hex(uuid, super->uuid, sizeof(super->uuid));
    bytes_hex(boot, super->boot_id, sizeof(super->boot_id));
    printf("version        %u.%u\n", super->version_major, super->version_minor);
    printf("uuid           %s\n", uuid);
    printf("boot id        %s\n", boot);
    printf("created        %s\n", clockfmt_iso(super->created_ns, time_text));
    printf("pid            %u\n", super->pid);
    printf("uid            %u\n", view->file.stat.uid);
    printf("ring bytes     %" PRIu64 " (%s)\n", super->data_bytes,
           cli_human_bytes(super->data_bytes, human));
    printf("file bytes     %" PRIu64 "\n", super->file_bytes);
}

static void show_positions(const struct ring_view *view)
{
    static const char *const pos_names[SHM_POS_COUNT] = { "accepted", "durable", "delivered" };
    static const char *const drop_names[SHM_DROP_COUNT] = { "full", "timeout", "too large",
                                                            "stale" };
    char human[CLI_HUMAN_BYTES];
    uint64_t waiting = view->head - view->pos[SHM_POS_ACCEPTED];

    if (view->fault == SHM_QUARANTINE_NONE)
        printf("head           %" PRIu64 "\n", view->head);
    else
        printf("head           impossible\n");
    for (int i = 0; i < SHM_POS_COUNT; i++)
        printf("%-14s %" PRIu64 "\n", pos_names[i], view->pos[i]);
    if (view->fault == SHM_QUARANTINE_NONE)
        printf("waiting        %" PRIu64 " (%s)\n", waiting, cli_human_bytes(waiting, human));
    printf("high water     %" PRIu64 "\n", view->high_water_bytes);
    for (int i = 0; i < SHM_DROP_COUNT; i++)
        printf("dropped        %" PRIu64 " %s\n", view->drops[i], drop_names[i]);
    if (view->agent_epoch != 0)
        printf("agent          epoch %016" PRIx64 ", shard %" PRIu64 ", ring %" PRIu64 "\n",
               view->agent_epoch, view->ring_id >> 32, view->ring_id & UINT32_MAX);
    else
        printf("agent          none has read it yet\n");
}

static int ring_show_text(const char *command, struct ring_view *view)
{
    char state[RING_VIEW_STATE_BYTES];
    enum shm_quarantine reason = SHM_QUARANTINE_NONE;
    int res;

    printf("ring           %s\n", view->file.name);
    printf("state          %s\n", ring_view_state(view, state));
    if (view->quarantine != SHM_QUARANTINE_NONE) {
        printf("quarantined    at %" PRIu64 "\n", view->quarantine_pos);
        printf("reason         %s\n", ring_quarantine_text(view->quarantine));
    }
    show_superblock(view);
    show_positions(view);
    printf("definitions\n");
    res = ring_file_defs(&view->file, on_def, NULL, &reason);
    if (res != 0)
        return cli_fail(command, "%s: definitions cannot be read: %s", view->file.name,
                        res == -EBADMSG ? ring_quarantine_name(reason) : strerror(-res));
    return CLI_OK;
}

static int ring_show(const char *command, const char *dir_path, const char *name, bool events)
{
    enum shm_quarantine reason = SHM_QUARANTINE_NONE;
    char full[SHM_RING_NAME_MAX + sizeof(SHM_RING_SUFFIX)];
    size_t len = strlen(name), suffix = strlen(SHM_RING_SUFFIX);
    struct ring_view view;
    struct errmsg err = { "" };
    int dir, res, code;

    if (len >= sizeof(full) - suffix)
        return cli_usage_error(command, "that name is too long for a ring");
    (void)snprintf(full, sizeof(full), "%s%s", name,
                   len > suffix && strcmp(name + len - suffix, SHM_RING_SUFFIX) == 0
                       ? "" : SHM_RING_SUFFIX);
    if (!ring_name_valid(full))
        return cli_usage_error(command, "'%s' cannot be a ring's name", name);
    dir = cli_shm_open(command, dir_path);
    if (dir < 0)
        return CLI_FAILED;
    res = ring_view_open(dir, full, &view, &reason, &err);
    if (res == -ENOENT)
        code = cli_fail(command, "%s: no such ring in %s; 'hydrant ring ls' lists them", full,
                        dir_path);
    else if (res == -EBADMSG)
        code = cli_fail(command, "%s: unreadable: %s%s%s; %s", full,
                        ring_quarantine_name(reason), err.text[0] != '\0' ? ": " : "", err.text,
                        ring_quarantine_text(reason));
    else if (res == -EACCES)
        code = cli_fail(command, "%s: permission denied; run as its owner, the agent's user or "
                        "root", full);
    else if (res != 0)
        code = cli_fail(command, "%s: %s", err.text, strerror(-res));
    else
        code = events ? ring_events_print(command, &view) : ring_show_text(command, &view);
    ring_view_close(&view);
    file_close(dir);
    return code;
}

int cli_ring(int argc, char **argv)
{
    enum { OPTION_SHM_DIR = 256, OPTION_EVENTS };
    static const struct option longs[] = {
        { "shm-dir", required_argument, NULL, OPTION_SHM_DIR },
        { "events", no_argument, NULL, OPTION_EVENTS },
        CLI_OPTION_HELP_ROW,
        { NULL, 0, NULL, 0 },
    };
    const char *dir_option = NULL;
    bool events = false;
    char buf[64];
    const char *dir;
    int c, left;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        switch (c) {
        case OPTION_SHM_DIR:
            dir_option = optarg;
            break;
        case OPTION_EVENTS:
            events = true;
            break;
        default:
            return cli_options_end(c, usage);
        }
    }
    dir = cli_shm_dir(dir_option, buf, sizeof(buf));
    left = argc - optind;
    if (left == 1 && strcmp(argv[optind], "ls") == 0 && !events)
        return ring_ls(argv[0], dir);
    if (left == 2 && strcmp(argv[optind], "show") == 0)
        return ring_show(argv[0], dir, argv[optind + 1], events);
    return cli_usage_error(argv[0], "'ls' or 'show NAME [--events]' is wanted");
}
