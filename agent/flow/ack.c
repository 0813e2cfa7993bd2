/*
 * ack: two sorted lists of unfinished batches, of the shard and of each stream.
 * Owns:   nothing.
 * Thread: shard.
 */
#include "flow/ack.h"

void ack_add(struct ack_list *all, struct batch *b)
{
    struct stream *s = b->stream;
    struct batch *before = all->last;

    while (before && before->first_lsn > b->first_lsn)
        before = before->all.prev;
    b->all.prev = before;
    b->all.next = before ? before->all.next : all->first;
    *(b->all.prev ? &b->all.prev->all.next : &all->first) = b;
    *(b->all.next ? &b->all.next->all.prev : &all->last) = b;
    all->count++;

    before = s->unfinished_last;
    while (before && before->first_lsn > b->first_lsn)
        before = before->of_stream.prev;
    b->of_stream.prev = before;
    b->of_stream.next = before ? before->of_stream.next : s->unfinished_first;
    *(b->of_stream.prev ? &b->of_stream.prev->of_stream.next : &s->unfinished_first) = b;
    *(b->of_stream.next ? &b->of_stream.next->of_stream.prev : &s->unfinished_last) = b;
}

void ack_remove(struct ack_list *all, struct batch *b)
{
    struct stream *s = b->stream;

    *(b->all.prev ? &b->all.prev->all.next : &all->first) = b->all.next;
    *(b->all.next ? &b->all.next->all.prev : &all->last) = b->all.prev;
    all->count--;
    *(b->of_stream.prev ? &b->of_stream.prev->of_stream.next : &s->unfinished_first) =
        b->of_stream.next;
    *(b->of_stream.next ? &b->of_stream.next->of_stream.prev : &s->unfinished_last) =
        b->of_stream.prev;
}

uint64_t ack_low_water(const struct ack_list *all, uint64_t routed_lsn)
{
    return all->first && all->first->first_lsn < routed_lsn ? all->first->first_lsn : routed_lsn;
}

uint64_t ack_stream_low_water(const struct stream *s, uint64_t routed_lsn)
{
    return s->unfinished_first && s->unfinished_first->first_lsn < routed_lsn
               ? s->unfinished_first->first_lsn
               : routed_lsn;
}
