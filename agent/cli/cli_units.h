/*
 * cli_units: sizes and times on the command line, written as in the configuration: 1MiB, 500ms.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_UNITS_H
#define CLI_CLI_UNITS_H

#include <stdbool.h>
#include <stdint.h>

/* False after having said why; name is the option's, such as "--timeout". */
bool cli_parse_bytes(const char *command, const char *name, const char *text, int64_t min,
                     int64_t max, int64_t *ret_bytes);
bool cli_parse_time(const char *command, const char *name, const char *text, int64_t *ret_ns);

#endif
