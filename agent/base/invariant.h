/*
 * invariant: checks of our own reasoning, on in every build.
 * For bugs of this program only; never for input (ring bytes, log bytes, configuration, replies).
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef BASE_INVARIANT_H
#define BASE_INVARIANT_H

#include <stdio.h>
#include <stdlib.h>

__attribute__((noreturn, cold, noinline, unused)) static void
invariant_failed(const char *file, int line, const char *text)
{
    fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, text);
    abort();
}

#define INVARIANT(x) \
    (__builtin_expect(!!(x), 1) ? (void)0 : invariant_failed(__FILE__, __LINE__, #x))

#endif
