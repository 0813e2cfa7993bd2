/*
 * boost_spsc: boost::lockfree::spsc_queue of fixed slots, in memory that two processes share. The C
 * side of a C++ template: one instance for each of the sizes that are measured.
 *
 * Owns:   nothing; the memory is the caller's and goes as it is: slots hold plain bytes.
 * Thread: one pushes, one pops.
 * Units:  bytes.
 */
#ifndef BENCHMARKS_BOOST_SPSC_H
#define BENCHMARKS_BOOST_SPSC_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BOOST_SPSC_BYTES = 1 << 20 }; /* of all slots together, as much as a ring */

struct boost_spsc {
    size_t slot_bytes;
    size_t bytes; /* that a queue needs */
    void (*make)(void *memory);
    bool (*push)(void *queue, const void *data);                       /* false: full */
    size_t (*pop)(void *queue, void *ret_slots, size_t slots_max);     /* end to end */
};

/* NULL: there is no instance of that size. */
const struct boost_spsc *boost_spsc_find(size_t slot_bytes);

#ifdef __cplusplus
}
#endif

#endif
