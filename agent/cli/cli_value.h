/*
 * cli_value: what is read of the agent's JSON. What is not there, or of another type, is 0 or "".
 *
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_VALUE_H
#define CLI_CLI_VALUE_H

#include <jansson.h>
#include <stdint.h>

uint64_t cli_number(const json_t *object, const char *name);
const char *cli_string(const json_t *object, const char *name);

/* Of all numbers in an object. */
uint64_t cli_sum(const json_t *counts);

#endif
