/*
 * datagrams: lines by UDP, several in a datagram perhaps, compressed perhaps.
 *
 * As many as are there are taken by one call. While the ring has no room none is; the kernel keeps
 * what its buffer holds, and counts what it then drops.
 *
 * Owns:   see struct datagrams.
 * Thread: the intake's.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "intake/parts.h"

enum { TAKES_A_TURN = 16 };

struct datagrams {
    struct taker *taker;            /* borrowed */
    uint8_t *memory;                /* owned; pages are taken as they are used */
    struct net_datagram datagram[NET_DATAGRAMS_MAX];
    unsigned count, next;           /* taken from the kernel; of them the one being read */
    uint32_t drops;                 /* as the kernel last told */
    uint32_t drops_counted;
    struct line_reader lines;

    bool begun;                     /* data .. data_len are left of it, as they came or unpacked */
    const uint8_t *data;
    size_t data_len;
    bool gzip;                      /* packed .. packed_len follow them */
    const uint8_t *packed;
    size_t packed_len, unpacked;
    struct unpacker *unpacker;      /* owned; made at first use */
    uint8_t out[OUT_BYTES];
};

int datagrams_open(struct taker *t, struct datagrams **ret_datagrams)
{
    struct datagrams *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return -ENOMEM;
    d->memory = mmap(NULL, NET_DATAGRAMS_MAX * DATAGRAM_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (d->memory == MAP_FAILED) {
        free(d);
        return -ENOMEM;
    }
    d->taker = t;
    for (unsigned i = 0; i < NET_DATAGRAMS_MAX; i++)
        d->datagram[i] = (struct net_datagram){.data = d->memory + i * DATAGRAM_BYTES,
                                               .cap = DATAGRAM_BYTES};
    line_reader_init(&d->lines, t->in->line_bytes_max, &t->in->half_lines);
    *ret_datagrams = d;
    return 0;
}

void datagrams_close(struct datagrams *d)
{
    if (d == NULL)
        return;
    unpacker_close(d->unpacker);
    line_reader_fini(&d->lines);
    (void)munmap(d->memory, NET_DATAGRAMS_MAX * DATAGRAM_BYTES);
    free(d);
}

/* The rest of a datagram is not to be read. */
static void damaged(struct datagrams *d)
{
    const struct net_datagram *g = &d->datagram[d->next];
    struct line_handler handler = taker_handler(d->taker);

    line_reader_cut(&d->lines, &handler);
    taker_bad(d->taker, LINE_DAMAGED, g->data, g->len);
    d->data_len = d->packed_len = 0;
    d->gzip = false;
}

/* One raw snappy block: unpacked at once, for it may refer to all that is before. */
static void begin_snappy(struct datagrams *d, const struct net_datagram *g, size_t bytes)
{
    struct intake *in = d->taker->in;

    if (in->snappy == NULL)
        in->snappy = malloc(DATAGRAM_UNPACKED_MAX);
    if (in->snappy == NULL || unpack_snappy(g->data, g->len, in->snappy, bytes) != 0) {
        damaged(d);
        return;
    }
    d->data = in->snappy;
    d->data_len = bytes;
}

static void begin_gzip(struct datagrams *d, const struct net_datagram *g)
{
    if (d->unpacker == NULL && unpacker_open(UNPACK_GZIP, &d->unpacker) != 0) {
        damaged(d);
        return;
    }
    unpacker_reset(d->unpacker);
    d->gzip = true;
    d->packed = g->data;
    d->packed_len = g->len;
    d->unpacked = 0;
    d->data_len = 0;
}

static void begin(struct datagrams *d)
{
    const struct net_datagram *g = &d->datagram[d->next];
    size_t bytes;

    d->begun = true;
    d->gzip = false;
    d->data = g->data;
    d->data_len = g->len;
    if (g->len == 0)
        return;
    if (unpack_detect(g->data, g->len) == UNPACK_GZIP) {
        begin_gzip(d, g);
        return;
    }
    bytes = unpack_snappy_bytes(g->data, g->len, DATAGRAM_UNPACKED_MAX);
    if (bytes > 0)
        begin_snappy(d, g, bytes);
}

/* The next piece of a compressed one. False: there is none. */
static bool unpack(struct datagrams *d)
{
    size_t used, made;

    if (!d->gzip)
        return false;
    if (unpacker_step(d->unpacker, d->packed, d->packed_len, &used, d->out, OUT_BYTES,
                      &made) != 0 ||
        d->unpacked + made > DATAGRAM_UNPACKED_MAX ||
        (made < OUT_BYTES && !unpacker_complete(d->unpacker))) {
        damaged(d);
        return false;
    }
    d->packed += used;
    d->packed_len -= used;
    d->unpacked += made;
    d->data = d->out;
    d->data_len = made;
    return made > 0;
}

/* The datagram at d->next, to its end. FULL: the ring has no room, or memory is short. */
static enum work datagram_read(struct datagrams *d)
{
    struct line_handler handler = taker_handler(d->taker);
    size_t used;
    int rc;

    if (!d->begun)
        begin(d);
    do {
        rc = line_reader_feed(&d->lines, d->data, d->data_len, &used, &handler);
        d->data += used;
        d->data_len -= used;
        if (rc != 0)
            return WORK_FULL;
    } while (unpack(d));
    if (line_reader_end(&d->lines, &handler) != 0)
        return WORK_FULL;
    d->begun = false;
    return WORK_DONE;
}

static enum work datagrams_take(struct datagrams *d, int fd)
{
    for (int i = 0; i < TAKES_A_TURN; i++) {
        int n;

        for (; d->next < d->count; d->next++)
            if (datagram_read(d) != WORK_DONE)
                return WORK_FULL;
        n = net_datagrams_take(fd, d->datagram, NET_DATAGRAMS_MAX, &d->drops);
        d->next = 0;
        d->count = n > 0 ? (unsigned)n : 0;
        if (d->drops != d->drops_counted)
            intake_count(&d->taker->in->counters->datagrams_dropped, d->drops - d->drops_counted);
        d->drops_counted = d->drops;
        if (n < 0)
            return WORK_DONE;   /* -EAGAIN; whatever else it is, the next poll will tell */
    }
    return WORK_MORE;
}

enum work datagrams_turn(struct datagrams *d, int fd)
{
    enum work work = datagrams_take(d, fd);

    intake_ring_publish(&d->taker->ring);
    return work;
}
