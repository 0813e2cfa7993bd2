/*
 * object_name: renders prefixes and keys. One walk over a prefix serves both for checking (with
 * sample values as long as any can be, so that what passes can be rendered for ever) and for
 * rendering.
 *
 * Patterns are those of Java's DateTimeFormatter in UTC, as Firehose takes them. Its letters for
 * zones, weeks and eras and its optional sections are refused by name.
 *
 * A key is safe as a path: components are parted by one slash; none is empty, "." or "..", none is
 * the folder in which file sinks prepare their files, none holds a control character. What offends
 * in the prefix itself is an error; what offends in a value is percent-encoded.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes; columns count from 1.
 */
#include "flow/object_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S    UINT64_C(1000000000)
#define NS_PER_HOUR (3600 * NS_PER_S)

enum {
    COMPONENT_MAX = 255,                /* NAME_MAX of every file system in use */
    BATCH_NAME_MAX = 140,               /* datetime, agent, batch id, extension at their longest */
    STREAM_FOLDER_MAX = STREAM_NAME_MAX + 1,
    PATTERN_REPEAT_MAX = 19             /* digits of the widest number */
};

_Static_assert(STREAM_FOLDER_MAX + PREFIX_BYTES_MAX + BATCH_NAME_MAX <= OBJECT_KEY_MAX, "keys fit");
_Static_assert(STREAM_FOLDER_MAX + PREFIX_PARTITIONED_BYTES_MAX + PARTITIONS_BYTES_MAX
               + BATCH_NAME_MAX <= OBJECT_KEY_MAX, "keys with partitions fit");

#define STAGING_FOLDER ".hydrant"

/* A key in the making. */
struct key {
    char *text;                 /* borrowed; cap bytes, NUL included */
    size_t len, cap;
    size_t component;           /* where the component under way begins */
    bool component_has_value;   /* some of it is not literal */
};

/* A prefix on its way through. */
struct walk {
    const char *prefix;
    const char *at;
    const struct expression_values *values;
    struct tm utc;
    uint32_t nanosecond;
    struct key *key;
    struct errmsg *err;         /* NULL while rendering */
    struct prefix_traits *traits;       /* NULL: not asked for */
};

static int key_append(struct key *key, const char *text, size_t len)
{
    if (len >= key->cap - key->len)
        return -ENAMETOOLONG;
    memcpy(key->text + key->len, text, len);
    key->len += len;
    key->text[key->len] = '\0';
    return 0;
}

static int key_append_hex(struct key *key, uint8_t c)
{
    static const char hex[] = "0123456789ABCDEF";
    const char text[3] = { '%', hex[c >> 4], hex[c & 15] };

    return key_append(key, text, sizeof(text));
}

static bool control_character(char c)
{
    return (uint8_t)c < 0x20 || c == 0x7f;
}

/* Text from outside the prefix: must not end a component, nor look as if it were encoded. */
static int key_append_value(struct key *key, const char *text)
{
    int r = 0;

    key->component_has_value = true;
    for (; r == 0 && *text != '\0'; text++) {
        if (control_character(*text) || *text == '/' || *text == '%')
            r = key_append_hex(key, (uint8_t)*text);
        else
            r = key_append(key, text, 1);
    }
    return r;
}

__attribute__((format(printf, 2, 3))) static int key_printf(struct key *key, const char *fmt, ...)
{
    char text[64];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(text))
        return -ENAMETOOLONG;
    return key_append(key, text, (size_t)len);
}

static bool component_reserved(const struct key *key)
{
    const char *text = key->text + key->component;

    return strcmp(text, ".") == 0 || strcmp(text, "..") == 0 || strcmp(text, STAGING_FOLDER) == 0;
}

static size_t walk_column(const struct walk *w, const char *at)
{
    return (size_t)(at - w->prefix) + 1;
}

/* The component under way is complete. */
static int component_end(struct walk *w)
{
    struct key *key = w->key;
    char rest[COMPONENT_MAX + 1];
    size_t len = key->len - key->component;
    int r;

    if (len > COMPONENT_MAX)
        return -ENAMETOOLONG;
    if (!component_reserved(key))
        return 0;
    if (!key->component_has_value)
        return errmsg_set(w->err, -EINVAL, "column %zu: '%s' is not allowed between slashes",
                          walk_column(w, w->at) - len, key->text + key->component);
    memcpy(rest, key->text + key->component + 1, len);
    key->len = key->component;
    r = key_append_hex(key, '.');
    return r == 0 ? key_append(key, rest, len - 1) : r;
}

static int walk_slash(struct walk *w)
{
    struct key *key = w->key;
    int r = component_end(w);

    if (r != 0)
        return r;
    if (key->len == key->component) {
        if (key->component_has_value) {
            key->component_has_value = false;
            return 0;           /* values that came out empty: no slash either */
        }
        if (key->len == 0)
            return errmsg_set(w->err, -EINVAL, "column %zu: begins with a slash",
                              walk_column(w, w->at));
        return errmsg_set(w->err, -EINVAL, "column %zu: two slashes with nothing between",
                          walk_column(w, w->at));
    }
    r = key_append(key, "/", 1);
    key->component = key->len;
    key->component_has_value = false;
    return r;
}

static int walk_literal(struct walk *w, char c)
{
    if (c == '/')
        return walk_slash(w);
    if (control_character(c))
        return key_append_hex(w->key, (uint8_t)c);
    return key_append(w->key, &c, 1);
}

static int pattern_year(struct walk *w, int count)
{
    int year = w->utc.tm_year + 1900;

    if (count == 2)
        return key_printf(w->key, "%02d", year % 100);
    return key_printf(w->key, "%0*d", count, year);
}

/* Names of three lengths: 1..3 (or 3) letters short, 4 in full, 5 the first letter. */
static int pattern_name(struct walk *w, const char *name, int count)
{
    size_t len = count == 4 ? strlen(name) : count == 5 ? 1 : 3;

    return key_append(w->key, name, len);
}

static int pattern_fraction(struct walk *w, int count)
{
    char digits[16];

    (void)snprintf(digits, sizeof(digits), "%09" PRIu32, w->nanosecond);
    return key_append(w->key, digits, (size_t)count);
}

/* How long what the letters stand for stays the same. */
static uint64_t pattern_period_ns(char letter, int count)
{
    uint64_t ns = NS_PER_S;

    switch (letter) {
    case 'a':
        return 12 * NS_PER_HOUR;
    case 'h':
    case 'K':
    case 'H':
    case 'k':
        return NS_PER_HOUR;
    case 'm':
        return 60 * NS_PER_S;
    case 's':
        return NS_PER_S;
    case 'S':
        while (count-- > 0)
            ns /= 10;
        return ns;
    case 'n':
        return 1;
    default:
        return 24 * NS_PER_HOUR;
    }
}

/* One run of a pattern letter. */
static int pattern_field(struct walk *w, char letter, int count)
{
    static const char *const months[] = {
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December"
    };
    static const char *const days[] = {
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
    };
    const struct tm *utc = &w->utc;
    int hour12 = utc->tm_hour % 12;

    switch (letter) {
    case 'y':
    case 'u':
        return pattern_year(w, count);
    case 'M':
    case 'L':
        if (count <= 2)
            return key_printf(w->key, "%0*d", count, utc->tm_mon + 1);
        return pattern_name(w, months[utc->tm_mon], count);
    case 'E':
        return pattern_name(w, days[utc->tm_wday], count);
    case 'd':
        return key_printf(w->key, "%0*d", count, utc->tm_mday);
    case 'D':
        return key_printf(w->key, "%0*d", count, utc->tm_yday + 1);
    case 'a':
        return key_append(w->key, utc->tm_hour < 12 ? "AM" : "PM", 2);
    case 'h':
        return key_printf(w->key, "%0*d", count, hour12 == 0 ? 12 : hour12);
    case 'K':
        return key_printf(w->key, "%0*d", count, hour12);
    case 'H':
        return key_printf(w->key, "%0*d", count, utc->tm_hour);
    case 'k':
        return key_printf(w->key, "%0*d", count, utc->tm_hour == 0 ? 24 : utc->tm_hour);
    case 'm':
        return key_printf(w->key, "%0*d", count, utc->tm_min);
    case 's':
        return key_printf(w->key, "%0*d", count, utc->tm_sec);
    case 'S':
        return pattern_fraction(w, count);
    case 'n':
        return key_printf(w->key, "%0*" PRIu32, count, w->nanosecond);
    default:
        return -EINVAL;         /* pattern_run_max() has named it */
    }
}

/* How often the letter may stand in a row, 0: it means nothing here. */
static int pattern_run_max(char letter)
{
    switch (letter) {
    case 'y':
    case 'u':
    case 'n':
        return PATTERN_REPEAT_MAX;
    case 'M':
    case 'L':
    case 'E':
        return 5;
    case 'D':
        return 3;
    case 'd':
    case 'h':
    case 'K':
    case 'H':
    case 'k':
    case 'm':
    case 's':
        return 2;
    case 'a':
        return 1;
    case 'S':
        return 9;
    default:
        return 0;
    }
}

/* At an opening quote: '' is one quote, else all up to the closing one is literal. */
static int pattern_quoted(struct walk *w)
{
    const char *open = w->at++;
    int r = 0;

    if (*w->at == '\'') {
        w->at++;
        return walk_literal(w, '\'');
    }
    for (; r == 0; w->at++) {
        if (*w->at == '\0')
            return errmsg_set(w->err, -EINVAL, "column %zu: quote without end",
                              walk_column(w, open));
        if (*w->at == '\'') {
            if (w->at[1] != '\'') {
                w->at++;
                return 0;
            }
            w->at++;
        }
        r = walk_literal(w, *w->at);
    }
    return r;
}

static int pattern_letters(struct walk *w)
{
    const char *from = w->at;
    int max = pattern_run_max(*from);

    while (*w->at == *from)
        w->at++;
    if (max == 0)
        return errmsg_set(w->err, -EINVAL, "column %zu: pattern letter '%c' is not supported",
                          walk_column(w, from), *from);
    if (w->at - from > max)
        return errmsg_set(w->err, -EINVAL, "column %zu: pattern letter '%c' at most %d times",
                          walk_column(w, from), *from, max);
    w->key->component_has_value = true;
    if (w->traits != NULL) {
        uint64_t period_ns = pattern_period_ns(*from, (int)(w->at - from));

        if (period_ns < w->traits->period_ns)
            w->traits->period_ns = period_ns;
    }
    return pattern_field(w, *from, (int)(w->at - from));
}

/* Behind "!{timestamp:"; leaves at the closing brace. */
static int walk_timestamp(struct walk *w)
{
    const char *from = w->at;
    int r = 0;

    while (r == 0 && *w->at != '}') {
        char c = *w->at;

        if (c == '\0')
            return errmsg_set(w->err, -EINVAL, "column %zu: timestamp pattern without '}'",
                              walk_column(w, from));
        if (c == '\'') {
            r = pattern_quoted(w);
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            r = pattern_letters(w);
        } else if (c == '[' || c == ']' || c == '{' || c == '#') {
            r = errmsg_set(w->err, -EINVAL, "column %zu: '%c' must stand in quotes in a pattern",
                           walk_column(w, w->at), c);
        } else {
            r = walk_literal(w, c);
            w->at++;
        }
    }
    if (r == 0 && w->at == from)
        return errmsg_set(w->err, -EINVAL, "column %zu: empty timestamp pattern",
                          walk_column(w, from));
    return r;
}

static bool expression_is(const char *at, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(at, name, len) == 0;
}

/* At "!{"; leaves behind the closing brace. */
static int walk_expression(struct walk *w)
{
    static const char timestamp[] = "timestamp:";
    static const char query[] = "partitionKeyFromQuery:";
    const char *open = w->at;
    const char *name = open + 2;
    size_t column = walk_column(w, open);
    size_t len = strcspn(name, "}");
    int shown = (int)(len < 60 ? len : 60);
    int r;

    if (strncmp(name, timestamp, sizeof(timestamp) - 1) == 0) {
        w->at = name + sizeof(timestamp) - 1;
        r = walk_timestamp(w);
        if (r == 0)
            w->at++;
        return r;
    }
    if (name[len] == '\0')
        return errmsg_set(w->err, -EINVAL, "column %zu: '!{' without '}'", column);
    w->at = name + len + 1;
    if (expression_is(name, len, "firehose:random-string")) {
        if (w->traits != NULL)
            w->traits->random_string = true;
        return key_append_value(w->key, w->values->random_string);
    }
    if (expression_is(name, len, "firehose:error-output-type")) {
        if (w->values->error_output_type == NULL)
            return errmsg_set(w->err, -EINVAL,
                              "column %zu: !{firehose:error-output-type} belongs in error_prefix",
                              column);
        return key_append_value(w->key, w->values->error_output_type);
    }
    if (strncmp(name, query, sizeof(query) - 1) == 0)
        return errmsg_set(w->err, -EINVAL,
                          "column %zu: !{%.*s}: name the field in partition_by instead; its folder "
                          "follows the prefix", column, shown, name);
    return errmsg_set(w->err, -EINVAL,
                      "column %zu: unknown expression !{%.*s}; there are timestamp:PATTERN, "
                      "firehose:random-string and firehose:error-output-type",
                      column, shown, name);
}

static int prefix_walk(struct walk *w)
{
    time_t second = (time_t)(w->values->time_ns / NS_PER_S);
    int r = 0;

    w->nanosecond = (uint32_t)(w->values->time_ns % NS_PER_S);
    if (gmtime_r(&second, &w->utc) == NULL)
        return -EINVAL;
    w->key->text[0] = '\0';
    w->at = w->prefix;
    while (r == 0 && *w->at != '\0') {
        if (w->at[0] == '!' && w->at[1] == '{') {
            r = walk_expression(w);
        } else {
            r = walk_literal(w, *w->at);
            w->at++;
        }
    }
    return r == 0 ? component_end(w) : r;
}

int prefix_inspect(const char *prefix, bool error_prefix, struct prefix_traits *ret_traits,
                   struct errmsg *err)
{
    /*
     * Wednesday, 23 September 2026, 22:59:59.999999999 and Wednesday, 23 December 2026, the same:
     * the longest name and the longest number of a month. No other time takes more characters.
     */
    static const uint64_t longest_ns[] = { 1790204399999999999ULL, 1798066799999999999ULL };
    char text[PREFIX_BYTES_MAX + 1];

    *ret_traits = (struct prefix_traits){ .period_ns = UINT64_MAX };
    for (size_t i = 0; i < sizeof(longest_ns) / sizeof(longest_ns[0]); i++) {
        const struct expression_values longest = {
            .time_ns = longest_ns[i],
            .random_string = "abcdefghijk",
            .error_output_type = error_prefix ? "format-conversion-failed" : NULL,
        };
        struct key key = { .text = text, .cap = sizeof(text) };
        struct walk w = { .prefix = prefix, .values = &longest, .key = &key, .err = err,
                          .traits = ret_traits };
        int r = prefix_walk(&w);

        if (r == -ENAMETOOLONG)
            return errmsg_set(err, -EINVAL,
                              "may come out longer than %d bytes, or than %d between slashes",
                              PREFIX_BYTES_MAX, COMPONENT_MAX);
        if (r != 0)
            return r;
        if (key.len - key.component > COMPONENT_MAX - BATCH_NAME_MAX)
            return errmsg_set(err, -EINVAL,
                              "may come out with more than %d bytes behind the last slash, where "
                              "the file's name follows", COMPONENT_MAX - BATCH_NAME_MAX);
        if (key.len > ret_traits->bytes_max)
            ret_traits->bytes_max = (uint32_t)key.len;
        ret_traits->folder = key.len == key.component;
    }
    return 0;
}

int prefix_check(const char *prefix, bool error_prefix, struct errmsg *err)
{
    struct prefix_traits traits;

    return prefix_inspect(prefix, error_prefix, &traits, err);
}

int prefix_render(const char *prefix, const struct expression_values *values, char *ret,
                  size_t cap)
{
    struct key key = { .text = ret, .cap = cap };
    struct walk w = { .prefix = prefix, .values = values, .key = &key };

    return cap == 0 ? -ENAMETOOLONG : prefix_walk(&w);
}

void batch_id_format(const struct batch_id *id, char ret_text[BATCH_ID_MAX])
{
    (void)snprintf(ret_text, BATCH_ID_MAX, "%016" PRIx64 "-%03u-%010" PRIu64, id->epoch, id->shard,
                   id->number);
}

/* Unix seconds, or the same as digits that sort. */
static int key_append_time(struct key *key, uint64_t time_ns, bool epoch_name)
{
    time_t second = (time_t)(time_ns / NS_PER_S);
    struct tm utc;

    if (epoch_name)
        return key_printf(key, "%" PRIu64, time_ns / NS_PER_S);
    if (gmtime_r(&second, &utc) == NULL)
        return -EINVAL;
    return key_printf(key, "%04d%02d%02d%02d%02d%02d", utc.tm_year + 1900, utc.tm_mon + 1,
                      utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

/* Every component fits a file system's limit. */
static int key_check_components(const char *key)
{
    while (*key != '\0') {
        size_t len = strcspn(key, "/");

        if (len > COMPONENT_MAX)
            return -ENAMETOOLONG;
        key += len;
        key += *key == '/';
    }
    return 0;
}

int object_name_render(const struct object_name_parts *parts, char *ret, size_t cap)
{
    struct key key = { .text = ret, .cap = cap < OBJECT_KEY_MAX + 1 ? cap : OBJECT_KEY_MAX + 1 };
    char id[BATCH_ID_MAX];
    int r;

    if (cap == 0)
        return -ENAMETOOLONG;
    ret[0] = '\0';
    batch_id_format(&parts->id, id);
    if (parts->stream != NULL) {
        if (!stream_name_valid(parts->stream, strlen(parts->stream)))
            return -EINVAL;
        r = key_append(&key, parts->stream, strlen(parts->stream));
        if (r == 0)
            r = key_append(&key, "/", 1);
        if (r != 0)
            return r;
    }
    r = key_append(&key, parts->prefix, strlen(parts->prefix));
    if (r == 0 && parts->partitions != NULL)
        r = key_append(&key, parts->partitions, strlen(parts->partitions));
    if (r == 0)
        r = key_append_time(&key, parts->name_time_ns, parts->epoch_name);
    if (r == 0)
        r = key_append(&key, "-", 1);
    if (r == 0)
        r = key_append_value(&key, parts->agent);
    if (r == 0)
        r = key_printf(&key, "-%s.", id);
    if (r == 0)
        r = key_append_value(&key, parts->extension);
    if (r == 0 && parts->compression != NULL)
        r = key_append_value(&key, parts->compression);
    return r == 0 ? key_check_components(key.text) : r;
}
