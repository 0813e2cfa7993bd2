/*
 * cli_value: numbers and texts of the agent's JSON.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_value.h"

uint64_t cli_number(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

const char *cli_string(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));

    return value != NULL ? value : "";
}

uint64_t cli_sum(const json_t *counts)
{
    const char *name;
    json_t *value;
    uint64_t total = 0;

    json_object_foreach((json_t *)counts, name, value) {
        (void)name;
        total += (uint64_t)json_integer_value(value);
    }
    return total;
}
