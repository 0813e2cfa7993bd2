/*
 * config_text: configurations for tests, and what the thread of HTTP sees of one.
 */
#ifndef TESTS_CONTROL_CONFIG_TEXT_H
#define TESTS_CONTROL_CONFIG_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "control/http_config.h"
#include "control/rest_file.h"

/* Of the user's file and what REST has made ("": nothing); the caller frees it. */
static inline struct config *config_of(const char *text, const char *rest_text)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config_file *rest = NULL;
    struct config *config = NULL;

    assert_int_equal(config_file_parse("rest", rest_text, strlen(rest_text), &rest, &errs), 0);
    if (config_load_both("file", text, strlen(text), rest, NULL, &config, &errs) != 0)
        fail_msg("%s", errs.count > 0 ? errs.items[0].text : "out of memory");
    config_file_free(rest);
    config_errors_fini(&errs);
    return config;
}

/* An http_config.look whose context is a struct config. */
static inline void config_look(void *ctx, http_config_fn seen, void *seen_ctx)
{
    seen(seen_ctx, ctx);
}

#endif
