/*
 * checker: what the checks across keys share: the file, and mistakes reported at its lines.
 * Owns:   nothing; all is borrowed.
 * Thread: any.
 */
#ifndef CONTROL_CHECKER_H
#define CONTROL_CHECKER_H

#include "control/config.h"
#include "control/config_file.h"

struct checker {
    const struct config *config;
    const struct config_file *file;
    const struct config_file *rest; /* NULL: nothing was made by REST */
    const struct config_overrides *overrides;
    struct config_errors *errs;
};

/* NULL: neither the file nor what REST has made has it. */
const struct config_section *checker_section(const struct checker *k, const char *name);

/* The line of a key or its *_file twin; 0 if the section does not have it. s may be NULL. */
uint32_t checker_key_line(const struct config_section *s, const char *key);

/* Reports at the key's own line; a stream's setting may come from [stream *]. key may be NULL. */
void checker_fail(const struct checker *k, const char *section, const char *key, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));

/* config_check_output.c: how the keys of one output agree, of a stream and one of its sinks. */
void checker_output(const struct checker *k, const struct stream_config *stream,
                    const struct sink_config *sink, const struct output_config *output);

/* Likewise: what a sink says of columns and fields, whether a stream uses it or not. */
void checker_sink_output(const struct checker *k, const struct sink_config *sink);

#endif
