/*
 * option: the rows of options.def as data, and values of their types: parse, store, copy, compare.
 *
 * A row's field lies in its owner: struct config (scopes agent wal http intake), stream_config,
 * sink_config, or output_config where in_output is set. `owner` below points to that struct.
 * Owns:   nothing; the table is constant.
 * Thread: any.
 * Units:  sizes in bytes, times in ns, off = -1.
 */
#ifndef CONTROL_OPTION_H
#define CONTROL_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "control/config.h"

/* Bits: a section of a file is one of these, a row of the table belongs to one or more. */
enum option_scope {
    SCOPE_agent = 1 << 0,
    SCOPE_wal = 1 << 1,
    SCOPE_http = 1 << 2,
    SCOPE_intake = 1 << 3,
    SCOPE_stream = 1 << 4,
    SCOPE_file = 1 << 5, /* from here on in the order of enum config_sink_type */
    SCOPE_s3 = 1 << 6,
    SCOPE_firehose = 1 << 7,
    SCOPE_web = 1 << 8,
    SCOPE_relay = 1 << 9,
    SCOPE_place = SCOPE_file | SCOPE_s3,
    SCOPE_cloud = SCOPE_s3 | SCOPE_firehose,
    SCOPE_remote = SCOPE_s3 | SCOPE_firehose | SCOPE_web | SCOPE_relay,
    SCOPE_sink = SCOPE_file | SCOPE_remote,
    SCOPE_output = SCOPE_stream | SCOPE_sink,
    SCOPE_config = SCOPE_agent | SCOPE_wal | SCOPE_http | SCOPE_intake
};

enum option_type {
    OPTION_TYPE_STRING,
    OPTION_TYPE_TEXT,   /* as STRING, and "" in quotes is a value */
    OPTION_TYPE_SECRET, /* as STRING, has a *_file twin, never shown */
    OPTION_TYPE_LIST,   /* words separated by commas */
    OPTION_TYPE_BOOL,
    OPTION_TYPE_CHOICE,
    OPTION_TYPE_MODE,
    OPTION_TYPE_COUNT,
    OPTION_TYPE_COUNT_OR_OFF,
    OPTION_TYPE_BYTES,
    OPTION_TYPE_BYTES_OR_OFF,
    OPTION_TYPE_TIME,
    OPTION_TYPE_TIME_OR_OFF
};

struct option {
    const char *key;
    const char *default_text;
    const char *words; /* CHOICE: a|b|c */
    const char *help;
    int64_t min;
    int64_t max;
    size_t offset; /* of the field in its owner */
    uint32_t scope;
    enum option_id id;
    enum option_type type;
    bool in_output;
    bool computed;
    bool restart;
};

extern const struct option option_table[OPTION_COUNT];

/* A value on its own. Only the member that the type calls for is used. */
struct option_value {
    int64_t number;          /* also BOOL, CHOICE, MODE */
    char *text;              /* owned */
    struct config_list list; /* owned */
};

/* The scope bit of a sink of this type. */
uint32_t option_sink_scope(enum config_sink_type type);

/* The row of key in a section of scope (one bit), or NULL. */
const struct option *option_find(uint32_t scope, const char *key);

/* The key most like a misspelt one in that section, or NULL: none is near. */
const char *option_suggest(uint32_t scope, const char *key);

/* 0, or -EINVAL with what is wrong and the remedy, or -ENOMEM. Never quotes a secret. */
int option_parse(const struct option *o, const char *text, struct option_value *ret_value,
                 struct errmsg *err);
void option_value_fini(struct option_value *v);

/* Moves v into the field; what was there is freed. v is empty after it. */
void option_store(const struct option *o, void *owner, struct option_value *v);

/* Deep copy between two owners of one kind. 0 or -ENOMEM. */
int option_copy(const struct option *o, void *owner, const void *owner_from);

/* The field as it is, strings and lists shared: for owners that borrow. */
void option_borrow(const struct option *o, void *owner, const void *owner_from);

/* What the field holds, borrowed: number, text or list, as the type calls for. */
struct option_value option_value_of(const struct option *o, const void *owner);

/* Frees and zeroes the field; secrets are wiped. */
void option_clear(const struct option *o, void *owner);

bool option_equal(const struct option *o, const void *owner_a, const void *owner_b);

/* True if -1 is a value of it. */
bool option_may_be_off(const struct option *o);

/* Word number n of a|b|c into word, always a C string; false: there are not so many. */
bool option_word(const char *words, int64_t n, char word[static 32]);

/* A number as the file would have it, such as 64MiB. Returns text. */
char *option_format_number(const struct option *o, int64_t number, char text[static 32]);

#endif
