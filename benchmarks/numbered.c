/*
 * numbered: JSON events that carry ring and number, and the proof that files hold exactly these.
 * Owns:   nothing.
 * Thread: any, one struct by one thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/numbered.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

enum { RING_AT = NUMBERED_RING_AT, RING_DIGITS = NUMBERED_RING_DIGITS,
       NUMBER_AT = 17, NUMBER_DIGITS = 10, BUFFER_BYTES = 1 << 20 };

void numbered_init(struct numbered *n, uint32_t bytes, unsigned int ring)
{
    int head;

    INVARIANT(bytes >= NUMBERED_BYTES_MIN && bytes <= NUMBERED_BYTES_MAX &&
              ring < NUMBERED_RINGS_MAX);
    n->bytes = bytes;
    memset(n->text, 'x', sizeof(n->text));
    head = snprintf(n->text, sizeof(n->text), "{\"p\":\"%04u\",\"n\":\"%010u\",\"d\":\"", ring,
                    0U);
    INVARIANT(head > NUMBER_AT + NUMBER_DIGITS && (uint32_t)head + 2 < bytes);
    n->text[head] = 'x';
    n->text[bytes - 2] = '"';
    n->text[bytes - 1] = '}';
}

void numbered_next(struct numbered *n)
{
    char *digit = n->text + NUMBER_AT + NUMBER_DIGITS - 1;

    while (*digit == '9')
        *digit-- = '0';
    (*digit)++;
}

void numbered_add(struct numbered *n, uint64_t step)
{
    for (char *digit = n->text + NUMBER_AT + NUMBER_DIGITS - 1; step > 0; digit--) {
        step += (uint64_t)(*digit - '0');
        *digit = (char)('0' + step % 10);
        step /= 10;
    }
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The decimal number at `at`; UINT64_MAX: there is none. */
static uint64_t digits_get(const char *at, unsigned int digits)
{
    uint64_t value = 0;

    for (unsigned int i = 0; i < digits; i++) {
        if (at[i] < '0' || at[i] > '9')
            return UINT64_MAX;
        value = value * 10 + (uint64_t)(at[i] - '0');
    }
    return value;
}

bool numbered_read(const struct numbered *pattern, const char *line, size_t len, bool no_ring,
                   uint64_t *ret_number)
{
    /* Without its ring a line goes on behind the brace with what stood behind the comma. */
    enum { NAME_AT = RING_AT + RING_DIGITS + 2, GONE = NAME_AT - 1 };
    size_t gone = no_ring ? GONE : 0, rest = NUMBER_AT + NUMBER_DIGITS;
    const char *text = pattern->text;

    if (len + gone != pattern->bytes || line[0] != text[0] ||
        memcmp(line + NAME_AT - gone, text + NAME_AT, NUMBER_AT - NAME_AT) != 0 ||
        memcmp(line + rest - gone, text + rest, pattern->bytes - rest) != 0)
        return false;
    if (!no_ring && (memcmp(line, text, RING_AT) != 0 ||
                     digits_get(line + RING_AT, RING_DIGITS) == UINT64_MAX ||
                     memcmp(line + RING_AT + RING_DIGITS, text + RING_AT + RING_DIGITS, 2) != 0))
        return false;
    *ret_number = digits_get(line + NUMBER_AT - gone, NUMBER_DIGITS);
    return *ret_number != UINT64_MAX;
}

/* Is it an event, and the next one of its ring? */
static bool line_take(const char *line, const struct numbered *pattern, uint64_t *next,
                      unsigned int rings)
{
    enum { RING_END = RING_AT + RING_DIGITS, NUMBER_END = NUMBER_AT + NUMBER_DIGITS };
    const char *text = pattern->text;
    uint64_t ring = digits_get(line + RING_AT, RING_DIGITS);

    if (memcmp(line, text, RING_AT) != 0 || ring >= rings ||
        memcmp(line + RING_END, text + RING_END, NUMBER_AT - RING_END) != 0 ||
        digits_get(line + NUMBER_AT, NUMBER_DIGITS) != next[ring] ||
        memcmp(line + NUMBER_END, text + NUMBER_END, pattern->bytes - NUMBER_END) != 0)
        return false;
    next[ring]++;
    return true;
}

static int file_check(const char *dir, const char *name, const struct numbered *pattern,
                      uint64_t *next, unsigned int rings, struct errmsg *err)
{
    static char buffer[BUFFER_BYTES]; /* whole lines at a time */
    size_t line = pattern->bytes + 1, want = sizeof(buffer) / line * line, got;
    char path[4096];
    FILE *file;
    int rc = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "re");
    if (file == NULL)
        return errmsg_set_errno(err, -errno, "'%s'", path);
    (void)setvbuf(file, NULL, _IONBF, 0);
    while (rc == 0 && (got = fread(buffer, 1, want, file)) > 0)
        for (size_t at = 0; rc == 0 && at < got; at += line)
            if (got - at < line || buffer[at + line - 1] != '\n' ||
                !line_take(buffer + at, pattern, next, rings))
                rc = errmsg_set(err, -EBADMSG, "'%s': not the next event of a ring: %.*s", path,
                                got - at < 40 ? (int)(got - at) : 40, buffer + at);
    if (rc == 0 && ferror(file))
        rc = errmsg_set(err, -EIO, "'%s': cannot be read", path);
    (void)fclose(file);
    return rc;
}

int numbered_check(const char *dir, uint32_t bytes, uint64_t *next, unsigned int rings,
                   struct errmsg *err)
{
    struct numbered pattern;
    struct dirent **names;
    int count = scandir(dir, &names, visible, alphasort), rc = 0;

    if (count < 0)
        return errmsg_set_errno(err, -errno, "'%s'", dir);
    numbered_init(&pattern, bytes, 0);
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = file_check(dir, names[i]->d_name, &pattern, next, rings, err);
        free(names[i]);
    }
    free(names);
    return rc;
}
