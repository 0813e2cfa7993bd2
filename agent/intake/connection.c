/*
 * connection: one stream of bytes, from its socket into the ring.
 *
 *   receive ─► (unpack) ─► lines ─► ring
 *
 * By TCP one receive is under way, or one buffer is being worked off, never both; a Unix socket is
 * read into a buffer when that is to be worked off. So a connection whose lines the ring does not
 * take is not read, and its sender feels it.
 *
 * It is closed when the end of its stream has been reached and everything before it is committed.
 * The death of the agent must not look the same. TCP connections are such that it resets them. A
 * Unix socket is reset when bytes are left in it, hence the invariant: while a byte that was taken
 * out of it is not committed (of a half line, too), the last byte that came is still in it.
 *
 *   all but the last byte taken, that one looked at ─► lines ─► committed ─► it may be taken
 *
 * It goes along with what comes next, in the same call; by itself at the end, and where a large
 * block of the kernel's memory hangs on it.
 *
 * Owns:   the connection.
 * Thread: the intake's.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "base/log.h"
#include "intake/parts.h"

enum { LEFT_BYTES_MAX = 4096 };     /* that may hang on a last byte: what was read with it */

#define SLOW_NS 10000000000ULL      /* a half line older than this may be given up for others */

/* ---- life ---- */

static struct intake *intake_of(const struct connection *c)
{
    return c->taker->in;
}

static void todo_add(struct connection *c)
{
    struct intake *in = intake_of(c);

    if (c->on_todo)
        return;
    c->on_todo = true;
    TAILQ_INSERT_TAIL(&in->todo, c, todo);
    in->todo_count++;
}

static void todo_remove(struct connection *c)
{
    struct intake *in = intake_of(c);

    if (!c->on_todo)
        return;
    c->on_todo = false;
    TAILQ_REMOVE(&in->todo, c, todo);
    in->todo_count--;
}

static void starve(struct connection *c)
{
    c->on_starved = true;
    TAILQ_INSERT_TAIL(&intake_of(c)->starved, c, todo);
}

/* Back to the others. */
static void buffer_drop(struct connection *c)
{
    struct intake *in = intake_of(c);
    struct connection *next = TAILQ_FIRST(&in->starved);

    if (c->buffer == NULL)
        return;
    loop_buffer_give(in->loop, c->buffer);
    c->buffer = NULL;
    c->at = c->len = 0;
    if (next != NULL) {
        TAILQ_REMOVE(&in->starved, next, todo);
        next->on_starved = false;
        todo_add(next);
        in->more = true;
    }
}

static void half_forget(struct connection *c)
{
    if (c->on_half)
        TAILQ_REMOVE(&intake_of(c)->half, c, by_half);
    c->on_half = false;
}

static void memory_waits(struct connection *c, bool waits)
{
    struct intake *in = intake_of(c);

    if (c->waits_memory != waits)
        in->memory_waiters += waits ? 1U : -1U;
    c->waits_memory = waits;
}

static void unpacker_drop(struct connection *c)
{
    unpacker_close(c->unpacker);
    free(c->out);
    c->unpacker = NULL;
    c->out = NULL;
    intake_of(c)->unpack_used -= c->reserved;
    c->reserved = 0;
}

void connection_discard(struct connection *c)
{
    unpacker_drop(c);
    line_reader_fini(&c->lines);
    file_close(c->fd);
    free(c);
}

static void connection_free(struct connection *c)
{
    struct intake *in = intake_of(c);

    todo_remove(c);
    if (c->on_starved)
        TAILQ_REMOVE(&in->starved, c, todo);
    half_forget(c);
    memory_waits(c, false);
    buffer_drop(c);
    TAILQ_REMOVE(&in->active, c, by_active);
    in->connections--;
    intake_count(&in->counters->connections[c->taker->source], -1ULL);
    connection_discard(c);
}

static void last_take(struct connection *c)
{
    if (c->last_left)
        net_take_last(c->fd);
    c->last_left = false;
}

/* From here on its end does not say that something may be missing. */
static void orderly(struct connection *c)
{
    net_abortive(c->fd, false);
    last_take(c);
}

void connection_end(struct connection *c, enum intake_ended why)
{
    struct line_handler handler = taker_handler(c->taker);

    if (c->ending)
        return;
    intake_count(&intake_of(c)->counters->ended[why], 1);
    line_reader_cut(&c->lines, &handler);
    if (why == INTAKE_ENDED_IDLE)
        orderly(c);
    if (!c->receiving) {
        connection_free(c);
        return;
    }
    c->ending = true;
    half_forget(c);
    net_end_reading(c->fd);
}

static void on_received(struct io_op *op, int res);

static void connection_receive(struct connection *c)
{
    INVARIANT(!c->receiving && c->buffer == NULL);
    c->receiving = true;
    io_receive(intake_of(c)->loop, &c->op, c->fd, on_received);
}

void connection_open(struct taker *t, int fd)
{
    struct intake *in = t->in;
    struct connection *c = calloc(1, sizeof(*c));

    net_abortive(fd, true);         /* until all is committed */
    if (c == NULL || (t->source == INTAKE_UNIX && net_watch_add(in->watch, fd, c) != 0)) {
        free(c);
        file_close(fd);
        return;
    }
    c->op.ctx = c;
    c->taker = t;
    c->fd = fd;
    c->active_ns = loop_now_ns(in->loop);
    line_reader_init(&c->lines, in->line_bytes_max, &in->half_lines);
    TAILQ_INSERT_TAIL(&in->active, c, by_active);
    in->connections++;
    intake_count(&in->counters->connections[t->source], 1);
    intake_count(&in->counters->connections_total[t->source], 1);
    if (t->source != INTAKE_UNIX)
        connection_receive(c);
}

/* ---- what has come ---- */

/* Memory for an unpacker, all that it may ever want. */
static enum work unpacker_begin(struct connection *c, enum unpack_type type)
{
    struct intake *in = intake_of(c);
    size_t most = unpack_memory_max(type) + OUT_BYTES;

    if (most > UNPACK_BYTES_MAX - in->unpack_used)
        return WORK_MEMORY;
    c->out = malloc(OUT_BYTES);
    if (c->out == NULL || unpacker_open(type, &c->unpacker) != 0) {
        unpacker_drop(c);
        return WORK_MEMORY;
    }
    c->reserved = most;
    in->unpack_used += most;
    return WORK_DONE;
}

/* Compressed or not? DONE with c->decided false: more bytes are needed. */
static enum work decide(struct connection *c)
{
    enum unpack_type type;
    enum work work = WORK_DONE;

    if (c->head_len == 0 && c->at < c->len &&
        unpack_detect(c->buffer + c->at, c->len - c->at) == UNPACK_NONE) {
        c->decided = true;
        return WORK_DONE;
    }
    while (c->head_len < UNPACK_MAGIC_BYTES && c->at < c->len &&
           (c->head_len == 0 || unpack_detect(c->head, c->head_len) == UNPACK_UNDECIDED))
        c->head[c->head_len++] = c->buffer[c->at++];
    type = unpack_detect(c->head, c->head_len);
    if (type == UNPACK_UNDECIDED && c->end == STREAM_OPEN)
        return WORK_DONE;
    if (type == UNPACK_GZIP || type == UNPACK_ZSTD)
        work = unpacker_begin(c, type);
    c->decided = work == WORK_DONE;
    return work;
}

/* The next bytes as they came. */
static const uint8_t *input(const struct connection *c, size_t *ret_len)
{
    if (c->head_at < c->head_len) {
        *ret_len = (size_t)(c->head_len - c->head_at);
        return c->head + c->head_at;
    }
    *ret_len = c->len - c->at;
    return c->buffer != NULL ? c->buffer + c->at : c->head;
}

static void input_used(struct connection *c, size_t used)
{
    if (c->head_at < c->head_len)
        c->head_at = (uint8_t)(c->head_at + used);
    else
        c->at += used;
}

static enum work lines_feed(struct connection *c, const uint8_t *data, size_t len, size_t *ret_used)
{
    const struct line_handler handler = taker_handler(c->taker);
    int rc = line_reader_feed(&c->lines, data, len, ret_used, &handler);

    return rc == 0 ? WORK_DONE : rc == -ENOBUFS ? WORK_MEMORY : WORK_FULL;
}

/* Fills c->out from the input. DONE with nothing in it: the input is used up. */
static enum work unpack(struct connection *c)
{
    struct intake *in = intake_of(c);
    size_t len, used, held;
    const uint8_t *data = input(c, &len);
    int rc = unpacker_step(c->unpacker, data, len, &used, c->out, OUT_BYTES, &c->out_len);

    c->out_at = 0;
    input_used(c, used);
    /* What it really holds, from the first output on. */
    held = unpacker_memory(c->unpacker) + OUT_BYTES;
    if (c->out_len > 0 && held != c->reserved) {
        in->unpack_used += held - c->reserved;
        c->reserved = held;
    }
    if (rc == -ENOMEM || in->unpack_used > UNPACK_BYTES_MAX)
        return WORK_MEMORY;
    return rc == 0 ? WORK_DONE : WORK_DAMAGED;
}

static enum work consume(struct connection *c, size_t *through)
{
    enum work work = c->decided ? WORK_DONE : decide(c);
    size_t len, used;

    while (work == WORK_DONE && c->decided) {
        const uint8_t *data;

        if (*through >= WORK_BYTES)
            return WORK_MORE;
        if (c->lines.half_whole) {      /* the ring had no room for it */
            work = lines_feed(c, c->head, 0, &used);
            continue;
        }
        if (c->out_at < c->out_len) {
            work = lines_feed(c, c->out + c->out_at, c->out_len - c->out_at, &used);
            c->out_at += used;
            *through += used;
            continue;
        }
        data = input(c, &len);
        if (c->unpacker != NULL) {
            bool full = c->out_len == OUT_BYTES;    /* so there may be more without input */

            if (len == 0 && !full)
                break;
            work = unpack(c);
            if (work == WORK_DONE && c->out_len == 0 && len == 0)
                break;
        } else if (len > 0) {
            work = lines_feed(c, data, len, &used);
            input_used(c, used);
            *through += used;
        } else {
            break;
        }
    }
    return work;
}

/* ---- reading ---- */

static void active_note(struct connection *c)
{
    struct intake *in = intake_of(c);

    c->active_ns = loop_now_ns(in->loop);
    TAILQ_REMOVE(&in->active, c, by_active);
    TAILQ_INSERT_TAIL(&in->active, c, by_active);
}

/* Bytes of a Unix socket into a buffer that is used up. False: no buffer is to be had. */
static bool unix_read(struct connection *c)
{
    struct intake *in = intake_of(c);
    int n;

    if (c->buffer == NULL)
        c->buffer = loop_buffer_take(in->loop);
    if (c->buffer == NULL)
        return false;
    n = net_take_but_last(c->fd, c->buffer, RECEIVE_BYTES, &c->news);
    if (n < 0) {
        c->end = STREAM_BROKEN;
        c->news = false;
        n = 0;
    }
    c->at = n > 0 && c->last_left;      /* that one has been through here */
    c->len = (size_t)n;
    if (c->len > c->at) {
        c->last_left = true;
        in->came += c->len - c->at;
        active_note(c);
    }
    return true;
}

/* Does memory of ours hold bytes that are not committed? */
static bool holding(const struct connection *c)
{
    return !c->decided || c->unpacker != NULL || line_reader_half(&c->lines);
}

/* All that is there, as far as one turn goes. */
static enum work take(struct connection *c)
{
    size_t through = 0, read = 0;
    enum work work;

    for (;;) {
        work = consume(c, &through);
        if (work != WORK_DONE || c->end != STREAM_OPEN || (!c->news && !c->shut))
            return work;
        if (!c->news) {
            c->end = STREAM_ENDED;
            continue;
        }
        if (read >= WORK_BYTES)
            return WORK_MORE;
        if (!unix_read(c))
            return WORK_STARVED;
        read += c->len;
    }
}

/* ---- and goes ---- */

/* The half line that it holds now: since when? */
static void half_note(struct connection *c)
{
    struct intake *in = intake_of(c);
    bool half = line_reader_half(&c->lines);

    if (c->on_half && (!half || c->lines.ends != c->half_ends))
        half_forget(c);
    if (!half || c->on_half)
        return;
    c->on_half = true;
    c->half_ns = loop_now_ns(in->loop);
    c->half_ends = c->lines.ends;
    TAILQ_INSERT_TAIL(&in->half, c, by_half);
}

/* Everything before the end of the stream is through. FULL: its last line is not. */
static enum work finish(struct connection *c)
{
    const struct line_handler handler = taker_handler(c->taker);
    bool cut = c->end == STREAM_BROKEN || intake_of(c)->stopping;

    if (c->unpacker != NULL && !unpacker_complete(c->unpacker))
        return WORK_DAMAGED;
    if (cut)
        line_reader_cut(&c->lines, &handler);
    else if (line_reader_end(&c->lines, &handler) != 0)
        return WORK_FULL;
    return WORK_DONE;
}

static void damaged(struct connection *c)
{
    static const char what[] = "(the rest of a compressed stream)";

    taker_bad(c->taker, LINE_DAMAGED, (const uint8_t *)what, sizeof(what) - 1);
    connection_end(c, INTAKE_ENDED_DAMAGED);
}

void connection_work(struct connection *c)
{
    struct intake *in = intake_of(c);
    bool waited = c->on_todo, large;
    enum work work = take(c);

    if (work == WORK_DONE && c->end != STREAM_OPEN)
        work = finish(c);
    intake_ring_publish(&c->taker->ring);
    switch (work) {
    case WORK_DAMAGED:
        damaged(c);
        return;
    case WORK_MEMORY:
        /* It waits for others to end, unless it has grown too large itself, or too many wait. */
        if (in->unpack_used > UNPACK_BYTES_MAX ||
            (!c->waits_memory && in->memory_waiters == MEMORY_WAITERS_MAX)) {
            connection_end(c, INTAKE_ENDED_MEMORY);
            return;
        }
        memory_waits(c, true);
        todo_add(c);
        return;
    case WORK_MORE:
        in->more = true;
        /* fall through */
    case WORK_FULL:
        memory_waits(c, false);
        todo_add(c);
        return;
    case WORK_STARVED:
    case WORK_DONE:
        break;
    }
    todo_remove(c);
    memory_waits(c, false);
    if (work == WORK_STARVED) {
        starve(c);
        return;
    }
    if (c->end != STREAM_OPEN) {
        if (c->end == STREAM_ENDED)
            orderly(c);
        connection_free(c);
        return;
    }
    large = c->len > LEFT_BYTES_MAX;
    buffer_drop(c);
    half_note(c);
    if (waited)                 /* it was we who made it wait */
        active_note(c);
    if (c->taker->source != INTAKE_UNIX)
        connection_receive(c);
    else if (large && !holding(c))
        last_take(c);
}

void connection_news(struct connection *c, bool shut)
{
    c->news = true;
    c->shut |= shut;
    if (!c->on_todo && !c->on_starved)
        connection_work(c);
}

static void on_received(struct io_op *op, int res)
{
    struct connection *c = op->ctx;
    struct intake *in = intake_of(c);

    c->receiving = false;
    if (res > 0) {
        c->buffer = io_received(in->loop, op);
        c->at = 0;
        c->len = (size_t)res;
    }
    if (c->ending) {
        connection_free(c);
        return;
    }
    if (res == -ENOBUFS) {
        starve(c);
        return;
    }
    if (res > 0)
        active_note(c);
    else
        c->end = res == 0 ? STREAM_ENDED : STREAM_BROKEN;
    connection_work(c);
}

/* ---- time ---- */

void connections_overdue(struct intake *in)
{
    uint64_t now_ns = loop_now_ns(in->loop);
    struct connection *c, *next;

    for (c = TAILQ_FIRST(&in->active); c != NULL; c = next) {
        next = TAILQ_NEXT(c, by_active);
        if (now_ns - c->active_ns < in->idle_timeout_ns)
            break;
        if (!c->on_todo && !c->on_starved)
            connection_end(c, INTAKE_ENDED_IDLE);
    }
    for (c = TAILQ_FIRST(&in->half); c != NULL; c = next) {
        uint64_t age_ns = now_ns - c->half_ns;

        next = TAILQ_NEXT(c, by_half);
        if (age_ns < in->idle_timeout_ns && (in->memory_waiters == 0 || age_ns < SLOW_NS))
            break;
        if (!c->on_todo && !c->on_starved)
            connection_end(c, INTAKE_ENDED_SLOW);
    }
}
