/*
 * config_file: the text of a configuration file as sections of key and value. Syntax only: which
 * sections and keys there are, and what values mean, is config's business.
 *
 *   line      [SECTION] | KEY = VALUE | # comment | ; comment | nothing; indentation is free
 *   KEY       [A-Za-z0-9_.-], at most 63 bytes
 *   VALUE     plain up to white space and ';' | "..." with \n \t \r \\ \" \$ | '...' as it stands
 *   ${NAME}   in plain and "..." values: the environment variable; unset is a mistake
 *
 * Owns:   the read sections with their texts.
 * Thread: any, one struct by one thread at a time.
 */
#ifndef CONTROL_CONFIG_FILE_H
#define CONTROL_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "control/config_errors.h"

/* Limits; beyond them is a mistake like others. */
#define CONFIG_FILE_BYTES_MAX    1048576
#define CONFIG_FILE_VALUE_MAX    65536
#define CONFIG_FILE_NAME_MAX     127 /* of a section */
#define CONFIG_FILE_KEY_MAX      63
#define CONFIG_FILE_SECTIONS_MAX 10000
#define CONFIG_FILE_ENTRIES_MAX  256 /* in one section */

struct config_entry {
    char *key;   /* owned */
    char *value; /* owned; quotes, escapes and variables are resolved; wiped when freed */
    uint32_t line;
    bool quoted;
};

struct config_section {
    char *name; /* owned; runs of white space are one space */
    uint32_t line;
    struct config_entry *entries; /* owned, in order, no key twice */
    size_t count;
    size_t cap;
};

struct config_file {
    char *path; /* owned; as it stands in messages */
    struct config_section *sections; /* owned, in order, empty ones too, no name twice */
    size_t count;
    size_t cap;
};

/*
 * Reads path. 0 if it could be read, with all mistakes of syntax in errs and the sound lines in
 * *ret_file; else a negative errno, the reason in errs and NULL.
 */
int config_file_read(const char *path, struct config_file **ret_file, struct config_errors *errs);

/* As config_file_read, of a text; path only names it. */
int config_file_parse(const char *path, const char *text, size_t len,
                      struct config_file **ret_file, struct config_errors *errs);

void config_file_free(struct config_file *f);
void config_section_fini(struct config_section *s);

/* The whole of a small regular file, ended by a NUL that does not count. The caller frees it. */
int config_file_slurp(const char *path, size_t len_max, char **ret_text, size_t *ret_len,
                      struct errmsg *err);

#endif
