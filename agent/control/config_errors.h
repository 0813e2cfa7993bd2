/*
 * config_errors: all mistakes of one configuration, each with its place, in the order of the file.
 * Owns:   copies of its texts.
 * Thread: any, one struct by one thread at a time.
 */
#ifndef CONTROL_CONFIG_ERRORS_H
#define CONTROL_CONFIG_ERRORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_ERRORS_MAX 100

struct config_error {
    char *place;   /* owned; file name or command-line option */
    uint32_t line; /* 0: none */
    char *text;    /* owned; one line, never holds a secret */
};

struct config_errors {
    struct config_error items[CONFIG_ERRORS_MAX];
    size_t count;
    size_t omitted;     /* found beyond CONFIG_ERRORS_MAX */
    bool out_of_memory; /* at least one text is missing */
};

#define CONFIG_ERRORS_INIT { .count = 0 }

/* The same text at the same place counts once. */
void config_errors_add(struct config_errors *errs, const char *place, uint32_t line,
                       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

bool config_errors_any(const struct config_errors *errs);

/* One "PLACE:LINE: text" a line. */
void config_errors_print(const struct config_errors *errs, FILE *out);

/* The same as lines of the log, each behind `what`. */
void config_errors_log(const struct config_errors *errs, const char *what);

/* Frees the texts and empties the struct. */
void config_errors_fini(struct config_errors *errs);

#endif
