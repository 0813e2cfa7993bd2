/*
 * boost_mq: boost::interprocess::message_queue as C sees it.
 *
 * Owns:   the queue's mapping; its name is gone as soon as it is made.
 * Thread: any number at each end, in processes that forked after it was made.
 * Units:  bytes, messages.
 */
#ifndef BENCHMARKS_TRANSPORTS_BOOST_MQ_H
#define BENCHMARKS_TRANSPORTS_BOOST_MQ_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct boost_mq;

/* NULL with errno set: it cannot be made. */
struct boost_mq *boost_mq_open(const char *name, size_t messages_max, size_t message_bytes);
void boost_mq_close(struct boost_mq *q);

bool boost_mq_put(struct boost_mq *q, const void *data, size_t len); /* waits; false: failed */

/* 0: nothing is there; -1: failed. */
long boost_mq_take(struct boost_mq *q, void *ret_data, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
