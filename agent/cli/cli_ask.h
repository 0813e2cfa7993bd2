/*
 * cli_ask: one question to the running agent over HTTP.
 *
 * Owns:   an answer's body, until http_answer_free().
 * Thread: main.
 */
#ifndef CLI_CLI_ASK_H
#define CLI_CLI_ASK_H

#include <stdint.h>

#include "sink/http.h"

/* Where the agent is: the option, else HYDRANT_HTTP, else 127.0.0.1:8000. */
const char *cli_ask_address(const char *option);

/*
 * Takes ADDR:PORT or unix:PATH apart: what a URL names as its host, and the socket's path, NULL for
 * none. 0, or -EINVAL with a text.
 */
int cli_ask_host(const char *address, const char **ret_host, const char **ret_unix_path,
                 struct errmsg *err);

/*
 * Asks with the token of HYDRANT_TOKEN. CLI_OK only for a 200; everything else has been reported on
 * stderr and *ret_answer is empty.
 */
int cli_ask(const char *command, const char *address, const char *method, const char *path,
            uint32_t timeout_ms, struct http_answer *ret_answer);

/* The same, of whatever status, and silent: 0 with an answer, or -errno with a text. */
int cli_ask_try(const char *address, const char *method, const char *path, uint32_t timeout_ms,
                struct http_answer *ret_answer, struct errmsg *err);

#endif
