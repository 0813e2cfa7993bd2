/*
 * option: the rows of options.def as data, and where their values are kept.
 * Owns:   nothing; the table is constant.
 * Thread: any.
 */
#include "control/option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

/* Units of min and max: 64 KIB is 64 * 1024. */
#define KIB *(int64_t)1024
#define MIB *(int64_t)1048576
#define GIB *(int64_t)1073741824
#define MS *(int64_t)1000000
#define SEC *(int64_t)1000000000
#define HOUR *(int64_t)3600000000000

#define LIVE false
#define RESTART true

/* The struct in which the field of a section's row lies. */
#define OWNER_agent config
#define OWNER_wal config
#define OWNER_http config
#define OWNER_intake config
#define OWNER_stream stream_config
#define OWNER_output output_config
#define OWNER_sink sink_config
#define OWNER_file sink_config
#define OWNER_s3 sink_config
#define OWNER_firehose sink_config
#define OWNER_web sink_config
#define OWNER_relay sink_config
#define OWNER_place sink_config
#define OWNER_cloud sink_config
#define OWNER_remote sink_config

#define IN_OUTPUT(section) ((uint32_t)SCOPE_##section == SCOPE_output)

const struct option option_table[OPTION_COUNT] = {
#define OPTION(section, k, ty, field, def, lo, hi, when, text)                                  \
    { .key = #k, .default_text = (def), .help = (text), .min = (lo), .max = (hi),              \
      .offset = offsetof(struct OWNER_##section, field), .scope = SCOPE_##section,             \
      .id = OPTION_##section##_##k, .type = OPTION_TYPE_##ty, .in_output = IN_OUTPUT(section), \
      .restart = (when) },
#define CHOICE(section, k, field, def, w, when, text)                                          \
    { .key = #k, .default_text = (def), .help = (text), .words = (w),                          \
      .offset = offsetof(struct OWNER_##section, field), .scope = SCOPE_##section,             \
      .id = OPTION_##section##_##k, .type = OPTION_TYPE_CHOICE,                                \
      .in_output = IN_OUTPUT(section), .restart = (when) },
#define COMPUTED(section, k, ty, field, def, when, text)                                       \
    { .key = #k, .default_text = (def), .help = (text),                                        \
      .offset = offsetof(struct OWNER_##section, field), .scope = SCOPE_##section,             \
      .id = OPTION_##section##_##k, .type = OPTION_TYPE_##ty, .in_output = IN_OUTPUT(section), \
      .computed = true, .restart = (when) },
#include "control/options.def"
};

/* A row's type and its field's type agree. An enum without negative words is unsigned int here. */
#define FIELD_STRING(f) _Generic((f), char *: 1, default: 0)
#define FIELD_TEXT(f) FIELD_STRING(f)
#define FIELD_SECRET(f) FIELD_STRING(f)
#define FIELD_LIST(f) _Generic((f), struct config_list: 1, default: 0)
#define FIELD_BOOL(f) _Generic((f), bool: 1, default: 0)
#define FIELD_CHOICE(f) _Generic((f), unsigned: 1, default: 0)
#define FIELD_MODE(f) _Generic((f), uint32_t: 1, default: 0)
#define FIELD_COUNT(f) _Generic((f), int64_t: 1, default: 0)
#define FIELD_COUNT_OR_OFF(f) FIELD_COUNT(f)
#define FIELD_BYTES(f) FIELD_COUNT(f)
#define FIELD_BYTES_OR_OFF(f) FIELD_COUNT(f)
#define FIELD_TIME(f) FIELD_COUNT(f)
#define FIELD_TIME_OR_OFF(f) FIELD_COUNT(f)
#define CHECK_FIELD(type, section, field, key) \
    _Static_assert(FIELD_##type(((struct OWNER_##section *)0)->field), key);

#define OPTION(section, key, type, field, def, min, max, when, help) \
    CHECK_FIELD(type, section, field, #key)
#define CHOICE(section, key, field, def, words, when, help) \
    CHECK_FIELD(CHOICE, section, field, #key)
#define COMPUTED(section, key, type, field, def, when, help) \
    CHECK_FIELD(type, section, field, #key)
#include "control/options.def"

uint32_t option_sink_scope(enum config_sink_type type)
{
    INVARIANT((int)type < CONFIG_SINK_COUNT);
    return (uint32_t)SCOPE_file << type;
}

const struct option *option_find(uint32_t scope, const char *key)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((option_table[i].scope & scope) != 0 && strcmp(option_table[i].key, key) == 0)
            return &option_table[i];
    return NULL;
}

/* Levenshtein distance; SIZE_MAX for keys longer than any of ours. */
static size_t option_distance(const char *a, const char *b)
{
    size_t row[64];
    size_t len_b = strlen(b);

    if (len_b >= sizeof(row) / sizeof(row[0]) || strlen(a) >= sizeof(row) / sizeof(row[0]))
        return SIZE_MAX;
    for (size_t j = 0; j <= len_b; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= len_b; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);

            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[len_b];
}

const char *option_suggest(uint32_t scope, const char *key)
{
    size_t best = 1 + strlen(key) / 3; /* beyond this it is another word, not a slip */
    const char *ret = NULL;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t distance;

        if ((option_table[i].scope & scope) == 0)
            continue;
        distance = option_distance(key, option_table[i].key);
        if (distance <= best && (ret == NULL || distance < best)) {
            best = distance;
            ret = option_table[i].key;
        }
    }
    return ret;
}

static void option_free_list(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct config_list){ 0 };
}

static void option_free_text(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text)); /* may be a secret */
    free(text);
}

void option_value_fini(struct option_value *v)
{
    option_free_text(v->text);
    option_free_list(&v->list);
    *v = (struct option_value){ 0 };
}

enum field_kind {
    FIELD_KIND_TEXT,
    FIELD_KIND_LIST,
    FIELD_KIND_BOOL,
    FIELD_KIND_U32,
    FIELD_KIND_I64
};

static enum field_kind option_kind(const struct option *o)
{
    switch (o->type) {
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_TEXT:
    case OPTION_TYPE_SECRET:
        return FIELD_KIND_TEXT;
    case OPTION_TYPE_LIST:
        return FIELD_KIND_LIST;
    case OPTION_TYPE_BOOL:
        return FIELD_KIND_BOOL;
    case OPTION_TYPE_CHOICE:
    case OPTION_TYPE_MODE:
        return FIELD_KIND_U32;
    default: /* counts, sizes and times */
        return FIELD_KIND_I64;
    }
}

static size_t option_bytes(const struct option *o)
{
    static const size_t bytes[] = { sizeof(char *), sizeof(struct config_list), sizeof(bool),
                                    sizeof(uint32_t), sizeof(int64_t) };

    return bytes[option_kind(o)];
}

static void *option_field(const struct option *o, void *owner)
{
    return (char *)owner + o->offset;
}

static const void *option_field_const(const struct option *o, const void *owner)
{
    return (const char *)owner + o->offset;
}

void option_clear(const struct option *o, void *owner)
{
    void *field = option_field(o, owner);

    if (option_kind(o) == FIELD_KIND_TEXT)
        option_free_text(*(char **)field);
    else if (option_kind(o) == FIELD_KIND_LIST)
        option_free_list(field);
    memset(field, 0, option_bytes(o));
}

void option_store(const struct option *o, void *owner, struct option_value *v)
{
    void *field = option_field(o, owner);
    uint32_t small = (uint32_t)v->number;

    option_clear(o, owner);
    switch (option_kind(o)) {
    case FIELD_KIND_TEXT:
        *(char **)field = v->text;
        break;
    case FIELD_KIND_LIST:
        *(struct config_list *)field = v->list;
        break;
    case FIELD_KIND_BOOL:
        *(bool *)field = v->number != 0;
        break;
    case FIELD_KIND_U32: /* enums too, which is why it is copied as bytes */
        memcpy(field, &small, sizeof(small));
        break;
    case FIELD_KIND_I64:
        *(int64_t *)field = v->number;
        break;
    }
    *v = (struct option_value){ 0 };
}

int option_copy(const struct option *o, void *owner, const void *owner_from)
{
    const void *from = option_field_const(o, owner_from);
    struct option_value v = { 0 };

    if (option_kind(o) == FIELD_KIND_TEXT) {
        const char *text = *(char *const *)from;

        v.text = text != NULL ? strdup(text) : NULL;
        if (text != NULL && v.text == NULL)
            return -ENOMEM;
        option_store(o, owner, &v);
    } else if (option_kind(o) == FIELD_KIND_LIST) {
        const struct config_list *list = from;

        if (list->count > 0)
            v.list.items = calloc(list->count, sizeof(v.list.items[0]));
        for (size_t i = 0; v.list.items != NULL && i < list->count; i++) {
            v.list.items[i] = strdup(list->items[i]);
            if (v.list.items[i] == NULL)
                break;
            v.list.count++;
        }
        if (v.list.count < list->count) {
            option_value_fini(&v);
            return -ENOMEM;
        }
        option_store(o, owner, &v);
    } else {
        option_borrow(o, owner, owner_from);
    }
    return 0;
}

struct option_value option_value_of(const struct option *o, const void *owner)
{
    const void *field = option_field_const(o, owner);
    struct option_value v = { 0 };
    uint32_t small;

    switch (option_kind(o)) {
    case FIELD_KIND_TEXT:
        v.text = *(char *const *)field;
        break;
    case FIELD_KIND_LIST:
        v.list = *(const struct config_list *)field;
        break;
    case FIELD_KIND_BOOL:
        v.number = *(const bool *)field;
        break;
    case FIELD_KIND_U32:
        memcpy(&small, field, sizeof(small));
        v.number = small;
        break;
    case FIELD_KIND_I64:
        v.number = *(const int64_t *)field;
        break;
    }
    return v;
}

void option_borrow(const struct option *o, void *owner, const void *owner_from)
{
    memcpy(option_field(o, owner), option_field_const(o, owner_from), option_bytes(o));
}

static bool option_text_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool option_equal(const struct option *o, const void *owner_a, const void *owner_b)
{
    const void *a = option_field_const(o, owner_a);
    const void *b = option_field_const(o, owner_b);

    if (option_kind(o) == FIELD_KIND_TEXT)
        return option_text_equal(*(char *const *)a, *(char *const *)b);
    if (option_kind(o) == FIELD_KIND_LIST) {
        const struct config_list *list_a = a;
        const struct config_list *list_b = b;

        if (list_a->count != list_b->count)
            return false;
        for (size_t i = 0; i < list_a->count; i++)
            if (strcmp(list_a->items[i], list_b->items[i]) != 0)
                return false;
        return true;
    }
    return memcmp(a, b, option_bytes(o)) == 0;
}
