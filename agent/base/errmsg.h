/*
 * errmsg: the text that goes with a negative errno on cold paths.
 *
 *     return errmsg_set(err, -EINVAL, "bucket '%s': no such bucket", name);
 *     ...
 *     errmsg_prefix(err, "sink '%s': ", sink->name);
 *
 * Owns:   its text, inline; the struct lives wherever the caller likes.
 * Thread: any, one struct by one thread at a time.
 */
#ifndef BASE_ERRMSG_H
#define BASE_ERRMSG_H

#define ERRMSG_BYTES 512

struct errmsg {
    char text[ERRMSG_BYTES];
};

/* Sets the text and returns err as it is, so that a failure is one statement. e may be NULL. */
int errmsg_set(struct errmsg *e, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As errmsg_set, and ": <what the errno means>" goes behind the text. err is a negative errno. */
int errmsg_set_errno(struct errmsg *e, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts context in front of the text. What no longer fits is cut at the end. e may be NULL. */
void errmsg_prefix(struct errmsg *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
