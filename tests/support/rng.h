/*
 * rng: numbers by chance, the same in each run (xorshift, by Marsaglia).
 *
 * Owns:   nothing; the state is the caller's and not 0.
 */
#ifndef TESTS_SUPPORT_RNG_H
#define TESTS_SUPPORT_RNG_H

#include <stdint.h>

#define RNG_SEED 0x9e3779b97f4a7c15ULL

static inline uint64_t rng_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
