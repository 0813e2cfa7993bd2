/*
 * boost_spsc: boost::lockfree::spsc_queue of fixed slots, in memory that two processes share.
 * Owns:   nothing.
 * Thread: one pushes, one pops.
 */
#include "benchmarks/boost_spsc.h"

#include <boost/lockfree/spsc_queue.hpp>

#include <cstring>
#include <new>

namespace {

template <size_t BYTES>
struct slot {
    unsigned char bytes[BYTES];
};

template <size_t BYTES>
using queue = boost::lockfree::spsc_queue<
    slot<BYTES>, boost::lockfree::capacity<BOOST_SPSC_BYTES / BYTES>>;

template <size_t BYTES>
void make(void *memory)
{
    new (memory) queue<BYTES>;
}

template <size_t BYTES>
bool push(void *q, const void *data)
{
    return static_cast<queue<BYTES> *>(q)->push(*static_cast<const slot<BYTES> *>(data));
}

template <size_t BYTES>
size_t pop(void *q, void *ret_slots, size_t slots_max)
{
    return static_cast<queue<BYTES> *>(q)->pop(static_cast<slot<BYTES> *>(ret_slots), slots_max);
}

template <size_t BYTES>
constexpr boost_spsc instance()
{
    return {BYTES, sizeof(queue<BYTES>), make<BYTES>, push<BYTES>, pop<BYTES>};
}

const boost_spsc instances[] = {instance<64>(), instance<256>(), instance<1024>()};

} // namespace

const struct boost_spsc *boost_spsc_find(size_t slot_bytes)
{
    for (const boost_spsc &candidate : instances)
        if (candidate.slot_bytes == slot_bytes)
            return &candidate;
    return nullptr;
}
