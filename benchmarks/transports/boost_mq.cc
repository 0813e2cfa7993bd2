/*
 * boost_mq: boost::interprocess::message_queue as C sees it.
 * Owns:   the queue's mapping.
 * Thread: any.
 */
#include "benchmarks/transports/boost_mq.h"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <cerrno>

namespace ipc = boost::interprocess;

struct boost_mq {
    boost_mq(const char *name, size_t messages_max, size_t message_bytes)
        : queue(ipc::create_only, name, messages_max, message_bytes)
    {
    }
    ipc::message_queue queue;
};

struct boost_mq *boost_mq_open(const char *name, size_t messages_max, size_t message_bytes)
{
    try {
        boost_mq *q = new boost_mq(name, messages_max, message_bytes);

        if (ipc::message_queue::remove(name))
            return q;
        delete q;
        errno = EIO;
    } catch (const ipc::interprocess_exception &e) {
        errno = e.get_native_error() != 0 ? e.get_native_error() : EIO;
    } catch (const std::bad_alloc &) {
        errno = ENOMEM;
    }
    return nullptr;
}

void boost_mq_close(struct boost_mq *q)
{
    delete q;
}

bool boost_mq_put(struct boost_mq *q, const void *data, size_t len)
{
    try {
        q->queue.send(data, len, 0);
    } catch (const ipc::interprocess_exception &) {
        return false;
    }
    return true;
}

long boost_mq_take(struct boost_mq *q, void *ret_data, size_t cap)
{
    ipc::message_queue::size_type len;
    unsigned int priority;

    try {
        if (!q->queue.try_receive(ret_data, cap, len, priority))
            return 0;
    } catch (const ipc::interprocess_exception &) {
        return -1;
    }
    return static_cast<long>(len);
}
