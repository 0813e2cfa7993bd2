/*
 * numbered: JSON events that carry their number, and the proof that files hold exactly these.
 * Owns:   nothing.
 * Thread: any, one struct by one thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/numbered.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

enum { NUMBER_AT = 15, NUMBER_DIGITS = 10, BUFFER_BYTES = 1 << 20 };

void numbered_init(struct numbered *n, uint32_t bytes, unsigned int producer)
{
    int head;

    INVARIANT(bytes >= NUMBERED_BYTES_MIN && bytes <= NUMBERED_BYTES_MAX && producer < 100);
    n->bytes = bytes;
    memset(n->text, 'x', sizeof(n->text));
    head = snprintf(n->text, sizeof(n->text), "{\"p\":\"%02u\",\"n\":\"%010u\",\"d\":\"",
                    producer, 0U);
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

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int file_check(const char *dir, const char *name, struct numbered *expected,
                      uint64_t *events, struct errmsg *err)
{
    static char buffer[BUFFER_BYTES]; /* whole lines at a time */
    size_t line = expected->bytes + 1, want = sizeof(buffer) / line * line, got;
    char path[4096];
    FILE *file;
    int rc = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "re");
    if (file == NULL)
        return errmsg_set_errno(err, -errno, "'%s'", path);
    (void)setvbuf(file, NULL, _IONBF, 0);
    while (rc == 0 && (got = fread(buffer, 1, want, file)) > 0) {
        for (size_t at = 0; rc == 0 && at < got; at += line) {
            if (got - at < line || buffer[at + line - 1] != '\n' ||
                memcmp(buffer + at, expected->text, expected->bytes) != 0)
                rc = errmsg_set(err, -EBADMSG, "'%s': expected %.*s, found %.*s", path, 40,
                                expected->text, got - at < 40 ? (int)(got - at) : 40, buffer + at);
            numbered_next(expected);
            (*events)++;
        }
    }
    if (rc == 0 && ferror(file))
        rc = errmsg_set(err, -EIO, "'%s': cannot be read", path);
    (void)fclose(file);
    return rc;
}

int numbered_check(const char *dir, uint32_t bytes, unsigned int producer, uint64_t events,
                   struct errmsg *err)
{
    struct numbered expected;
    struct dirent **names;
    uint64_t found = 0;
    int count = scandir(dir, &names, visible, alphasort), rc = 0;

    if (count < 0)
        return errmsg_set_errno(err, -errno, "'%s'", dir);
    numbered_init(&expected, bytes, producer);
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = file_check(dir, names[i]->d_name, &expected, &found, err);
        free(names[i]);
    }
    free(names);
    if (rc == 0 && found != events)
        rc = errmsg_set(err, -EBADMSG, "'%s': %llu events were sent, %llu are there", dir,
                        (unsigned long long)events, (unsigned long long)found);
    return rc;
}
