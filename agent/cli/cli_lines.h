/*
 * cli_lines: cuts a byte stream into lines. Pure.
 *
 * A line ends at LF; a CR before it is cut too. Empty lines are skipped, a last line without LF
 * counts. The caller reads straight into the buffer, in blocks as large as lines_room() offers; a
 * line is handed out in place, so nothing is copied but the cut line at the end of a block.
 *
 * Owns:   its buffer.
 * Thread: one.
 * Units:  bytes; line numbers from 1.
 */
#ifndef CLI_CLI_LINES_H
#define CLI_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* data NULL: the line is longer than line_max, len is 0. Non-zero ends the cutting. */
typedef int (*line_fn)(void *ctx, const uint8_t *data, size_t len, uint64_t number);

struct lines {
    uint8_t *buf;       /* owned */
    size_t cap;
    size_t len;         /* bytes of an unfinished line at the start of buf */
    size_t line_max;
    uint64_t number;    /* of that line */
    bool skipping;      /* it is too long and its rest is thrown away */
};

/* Reads of at least read_bytes; 0 or -ENOMEM. */
int lines_init(struct lines *l, size_t line_max, size_t read_bytes);
void lines_fini(struct lines *l);       /* zeroed is fine */

/* A new file: line 1, nothing unfinished. */
void lines_restart(struct lines *l);

/* Where to read to, never 0 bytes. */
uint8_t *lines_room(const struct lines *l, size_t *ret_len);

/* len bytes were read there: hands out each whole line. 0, or on_line's result that ended it. */
int lines_fed(struct lines *l, size_t len, line_fn on_line, void *ctx);

/* The end of the file: hands out what is unfinished. */
int lines_end(struct lines *l, line_fn on_line, void *ctx);

#endif
