/*
 * option_parse: text of the configuration file to values, and numbers back to text.
 * Owns:   nothing; a parsed value belongs to the caller.
 * Thread: any.
 * Units:  sizes in bytes, times in ns, off = -1.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "control/option.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Smallest first; the names are case-sensitive: "M" could be either. */
static const struct unit size_units[] = {
    { "B", 1 }, { "KiB", 1024 }, { "MiB", 1048576 }, { "GiB", 1073741824 },
};
static const struct unit time_units[] = {
    { "ms", 1000000 }, { "s", 1000000000 }, { "m", 60000000000 }, { "h", 3600000000000 },
};

enum { UNIT_COUNT = 4 };

static const struct unit *option_units(const struct option *o)
{
    switch (o->type) {
    case OPTION_TYPE_BYTES:
    case OPTION_TYPE_BYTES_OR_OFF:
        return size_units;
    case OPTION_TYPE_TIME:
    case OPTION_TYPE_TIME_OR_OFF:
        return time_units;
    default:
        return NULL;
    }
}

bool option_may_be_off(const struct option *o)
{
    return o->type == OPTION_TYPE_COUNT_OR_OFF || o->type == OPTION_TYPE_BYTES_OR_OFF ||
           o->type == OPTION_TYPE_TIME_OR_OFF;
}

bool option_word(const char *words, int64_t n, char word[static 32])
{
    const char *end;

    while (n-- > 0) {
        words = strchr(words, '|');
        if (words == NULL)
            return false;
        words++;
    }
    end = strchrnul(words, '|');
    INVARIANT(end - words < 32);
    memcpy(word, words, (size_t)(end - words));
    word[end - words] = '\0';
    return true;
}

char *option_format_number(const struct option *o, int64_t number, char text[static 32])
{
    const struct unit *units = option_units(o);
    const char *name = "";

    if (units != NULL && number > 0) {
        int i = UNIT_COUNT - 1;

        while (i > 0 && number % units[i].factor != 0)
            i--;
        number /= units[i].factor;
        name = units[i].name;
    } else if (units != NULL && number == 0) {
        name = units[units == time_units ? 1 : 0].name;
    }
    (void)snprintf(text, 32, "%" PRId64 "%s", number, name);
    return text;
}

/* The digits at text; *ret_end is behind them. -ERANGE: more than fits. */
static int option_parse_digits(const char *text, int64_t *ret_number, const char **ret_end)
{
    int64_t n = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *text - '0', &n))
            return -ERANGE;
    *ret_number = n;
    *ret_end = text;
    return 0;
}

static int option_out_of_range(const struct option *o, const char *text, struct errmsg *err)
{
    char low[32];
    char high[32];

    return errmsg_set(err, -EINVAL, "'%s' is out of range: %s to %s%s", text,
                      option_format_number(o, o->min, low), option_format_number(o, o->max, high),
                      option_may_be_off(o) ? ", or -1" : "");
}

static int option_parse_unit(const struct option *o, const char *text, const char *name,
                             int64_t *number, struct errmsg *err)
{
    const struct unit *units = option_units(o);

    if (units == NULL) {
        if (*name != '\0')
            return errmsg_set(err, -EINVAL, "'%s' is not a whole number", text);
        return 0;
    }
    if (*name == '\0' && *number == 0)
        return 0;
    for (int i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(name, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(*number, units[i].factor, number))
            return option_out_of_range(o, text, err);
        return 0;
    }
    return errmsg_set(err, -EINVAL, "'%s' is not a %s: a whole number with one of the units %s",
                      text, units == size_units ? "size" : "time",
                      units == size_units ? "B, KiB, MiB, GiB" : "ms, s, m, h");
}

static int option_parse_number(const struct option *o, const char *text, int64_t *ret_number,
                               struct errmsg *err)
{
    const char *end;
    int64_t n = 0;
    int r;

    if (option_may_be_off(o) && strcmp(text, "-1") == 0) {
        *ret_number = -1;
        return 0;
    }
    if (*text == '-' && text[1] >= '0' && text[1] <= '9')
        return option_out_of_range(o, text, err);
    if (*text < '0' || *text > '9')
        return errmsg_set(err, -EINVAL, "'%s' is not a %s", text,
                          option_units(o) == size_units   ? "size such as 64MiB"
                          : option_units(o) == time_units ? "time such as 10s"
                                                          : "whole number");
    if (option_parse_digits(text, &n, &end) < 0)
        return option_out_of_range(o, text, err);
    while (*end == ' ')
        end++;
    r = option_parse_unit(o, text, end, &n, err);
    if (r < 0)
        return r;
    if (n < o->min || n > o->max)
        return option_out_of_range(o, text, err);
    *ret_number = n;
    return 0;
}

static int option_parse_choice(const struct option *o, const char *text, int64_t *ret_number,
                               struct errmsg *err)
{
    char list[256] = "";
    char word[32];
    size_t len = 0;

    for (int64_t i = 0; option_word(o->words, i, word); i++) {
        if (strcmp(word, text) == 0) {
            *ret_number = i;
            return 0;
        }
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i == 0 ? "" : ", ", word);
        INVARIANT(len < sizeof(list));
    }
    return errmsg_set(err, -EINVAL, "'%s' is not one of %s", text, list);
}

static int option_parse_mode(const struct option *o, const char *text, int64_t *ret_number,
                             struct errmsg *err)
{
    size_t len = strlen(text);
    int64_t mode = 0;

    if (len < 3 || len > 4 || strspn(text, "01234567") != len)
        return errmsg_set(err, -EINVAL, "'%s' is not a file mode such as 0640", text);
    for (const char *at = text; *at != '\0'; at++)
        mode = mode * 8 + (*at - '0');
    if (mode > o->max || (mode & o->min) != o->min)
        return errmsg_set(err, -EINVAL, "'%s': the owner must be able to read, and the mode be at "
                          "most %04o", text, (unsigned)o->max);
    *ret_number = mode;
    return 0;
}

static int option_parse_list(const char *text, struct option_value *v, struct errmsg *err)
{
    size_t cap = 1;

    for (const char *at = text; *at != '\0'; at++)
        cap += *at == ',';
    if (*text == '\0')
        return 0;
    v->list.items = calloc(cap, sizeof(v->list.items[0]));
    if (v->list.items == NULL)
        return errmsg_set(err, -ENOMEM, "out of memory");
    while (text != NULL) {
        const char *comma = strchrnul(text, ',');
        const char *end = comma;

        while (text < end && isspace((unsigned char)*text))
            text++;
        while (end > text && isspace((unsigned char)end[-1]))
            end--;
        if (end == text)
            return errmsg_set(err, -EINVAL, "a name is missing before or behind a comma");
        INVARIANT(v->list.count < cap);
        v->list.items[v->list.count] = strndup(text, (size_t)(end - text));
        if (v->list.items[v->list.count] == NULL)
            return errmsg_set(err, -ENOMEM, "out of memory");
        v->list.count++;
        text = *comma == ',' ? comma + 1 : NULL;
    }
    return 0;
}

int option_parse(const struct option *o, const char *text, struct option_value *ret_value,
                 struct errmsg *err)
{
    struct option_value v = { 0 };
    int r = 0;

    switch (o->type) {
    case OPTION_TYPE_STRING:
    case OPTION_TYPE_TEXT:
    case OPTION_TYPE_SECRET:
        v.text = strdup(text);
        if (v.text == NULL)
            r = errmsg_set(err, -ENOMEM, "out of memory");
        break;
    case OPTION_TYPE_LIST:
        r = option_parse_list(text, &v, err);
        break;
    case OPTION_TYPE_BOOL:
        v.number = strcmp(text, "yes") == 0;
        if (v.number == 0 && strcmp(text, "no") != 0)
            r = errmsg_set(err, -EINVAL, "'%s' is neither yes nor no", text);
        break;
    case OPTION_TYPE_CHOICE:
        r = option_parse_choice(o, text, &v.number, err);
        break;
    case OPTION_TYPE_MODE:
        r = option_parse_mode(o, text, &v.number, err);
        break;
    case OPTION_TYPE_COUNT:
    case OPTION_TYPE_COUNT_OR_OFF:
    case OPTION_TYPE_BYTES:
    case OPTION_TYPE_BYTES_OR_OFF:
    case OPTION_TYPE_TIME:
    case OPTION_TYPE_TIME_OR_OFF:
        r = option_parse_number(o, text, &v.number, err);
        break;
    }
    if (r < 0) {
        option_value_fini(&v);
        return r;
    }
    *ret_value = v;
    return 0;
}
