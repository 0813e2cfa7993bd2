/*
 * lanes_mq: a POSIX message queue for all producers, as deep as the host lets us have it: 10
 * messages for an ordinary user of an untouched Debian, more for root.
 * Owns:   the descriptors of both ends; the queue has no name any more once both are open.
 * Thread: one in each process.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "benchmarks/transports/lanes.h"

struct mq_ends {
    mqd_t write_mq, read_mq;
};

static int mq_prepare(struct lanes *l, struct errmsg *err)
{
    static const long depths[] = {1024, 256, 64, 10};
    struct mq_ends *ends = malloc(sizeof(*ends));
    struct mq_attr attr = {.mq_msgsize = (long)l->event_bytes};
    char name[64];
    int rc;

    l->prepared = ends;
    if (ends == NULL)
        return errmsg_set_errno(err, -ENOMEM, "queue");
    *ends = (struct mq_ends){-1, -1};
    (void)snprintf(name, sizeof(name), "/hydrant-bench-%ld", (long)getpid());
    for (size_t i = 0; ends->write_mq < 0 && i < sizeof(depths) / sizeof(depths[0]); i++) {
        attr.mq_maxmsg = depths[i];
        ends->write_mq = mq_open(name, O_WRONLY | O_CREAT | O_EXCL, 0600, &attr);
    }
    if (ends->write_mq < 0)
        return errmsg_set_errno(err, -errno, "message queue '%s'", name);
    ends->read_mq = mq_open(name, O_RDONLY | O_NONBLOCK);
    rc = ends->read_mq < 0 ? errmsg_set_errno(err, -errno, "message queue '%s'", name) : 0;
    if (mq_unlink(name) != 0 && rc == 0)
        rc = errmsg_set_errno(err, -errno, "message queue '%s'", name);
    return rc;
}

static void mq_release(struct lanes *l)
{
    struct mq_ends *ends = l->prepared;

    if (ends != NULL && ends->write_mq >= 0)
        (void)mq_close(ends->write_mq);
    if (ends != NULL && ends->read_mq >= 0)
        (void)mq_close(ends->read_mq);
    free(ends);
}

static int mq_put(struct lane_writer *w, uint32_t count)
{
    mqd_t mq = ((const struct mq_ends *)w->lanes->prepared)->write_mq;

    for (uint32_t i = 0; i < count; i++) {
        const char *event = (const char *)serials_next(&w->serials);

        while (mq_send(mq, event, w->serials.bytes, 0) != 0)
            if (errno != EINTR)
                return -errno;
    }
    return 0;
}

static ssize_t mq_receive_one(struct lane_reader *r, bool first)
{
    mqd_t mq = ((const struct mq_ends *)r->lanes->prepared)->read_mq;
    ssize_t n = mq_receive(mq, (char *)r->message, sizeof(r->message), NULL);

    (void)first;
    return n >= 0 ? n : -errno;
}

const struct lanes_ops lanes_mq = {
    .name = "mq",
    .relaxes = LANES_RELAXES_SOCKET,
    .prepare = mq_prepare,
    .release = mq_release,
    .put = mq_put,
    .take = lanes_take_messages,
    .receive = mq_receive_one,
};
