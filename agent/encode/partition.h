/*
 * partition: the folders that values of partition columns make: country=DE/city=Berlin/. Pure.
 *
 * Names and values are as Hive and Spark write them: what is not [A-Za-z0-9_.-] is percent-encoded,
 * byte by byte, with upper-case digits. Numbers, bools and times are their text in CSV, bytes are
 * base64; null and what is missing is __HIVE_DEFAULT_PARTITION__. Beyond that no two values share a
 * name and decoding gives the value back: "." and "..", a dot before a name, and a value that is
 * spelled like the default are encoded too. The empty string is nothing behind its '='.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes.
 */
#ifndef ENCODE_PARTITION_H
#define ENCODE_PARTITION_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/errmsg.h"
#include "encode/row.h"
#include "encode/schema.h"

enum {
    PARTITION_VALUE_BYTES_MAX = 200,    /* encoded */
    PARTITION_NAME_BYTES_MAX = 50,      /* encoded: name=value fits a file name's 255 */
    PARTITION_KEY_BYTES_MAX = 320,      /* of all columns, with their slashes */
};

/* Keys compare as text. */
struct partition_key {
    uint32_t len;
    uint32_t hash;
    char text[PARTITION_KEY_BYTES_MAX + 1];     /* ends in a slash and a NUL; "": no columns */
};

/*
 * The key of a row: its first schema->hidden columns, one below the other. 0, or
 *   -ENODATA       a value is null, and missing_ok is false
 *   -ENAMETOOLONG  a value or the whole is longer than it may be
 * with a text that names the column. Nothing is allocated.
 */
int partition_key(const struct schema *s, const struct cell *cells, bool missing_ok,
                  struct partition_key *ret_key, struct errmsg *err);

/* Can these columns have a key? Their names are not too long, nor too many. 0 or -EINVAL. */
int partition_check(const struct schema *s, struct errmsg *err);

/* Back to the value: at most len bytes. Their number; -1: no encoding of ours. */
int partition_decode(const char *text, uint32_t len, uint8_t *ret_value);

static inline bool partition_key_equal(const struct partition_key *a, const struct partition_key *b)
{
    return a->hash == b->hash && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

#endif
