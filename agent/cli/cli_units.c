/*
 * cli_units: sizes and times on the command line, by the parser of the configuration file.
 *
 * A file of its own because that parser and getopt both have a `struct option`.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_units.h"

#include "cli/cli_exit.h"
#include "control/option.h"

static bool parse(const char *command, const struct option *option, const char *text,
                  int64_t *ret_number)
{
    struct option_value value = { 0 };
    struct errmsg err;

    if (option_parse(option, text, &value, &err) != 0) {
        (void)cli_usage_error(command, "%s: %s", option->key, err.text);
        return false;
    }
    *ret_number = value.number;
    option_value_fini(&value);
    return true;
}

bool cli_parse_bytes(const char *command, const char *name, const char *text, int64_t min,
                     int64_t max, int64_t *ret_bytes)
{
    struct option option = { .key = name, .type = OPTION_TYPE_BYTES, .min = min, .max = max };

    return parse(command, &option, text, ret_bytes);
}

bool cli_parse_time(const char *command, const char *name, const char *text, int64_t *ret_ns)
{
    struct option option = { .key = name, .type = OPTION_TYPE_TIME, .min = 1000000,
                             .max = 365 * 86400 * INT64_C(1000000000) };

    return parse(command, &option, text, ret_ns);
}
