/*
 * cli_ask: talks to the agent for status and flush.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_ask.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_exit.h"
#include "cli/cli_table.h"
#include "control/address.h"
#include "control/http_listen.h"

#define ADDRESS_DEFAULT "127.0.0.1:8000"

enum { CONNECT_TIMEOUT_MS = 5000 };

const char *cli_ask_address(const char *option)
{
    const char *env = getenv("HYDRANT_HTTP");

    if (option != NULL)
        return option;
    return env != NULL && env[0] != '\0' ? env : ADDRESS_DEFAULT;
}

int cli_ask_host(const char *address, const char **ret_host, const char **ret_unix_path,
                 struct errmsg *err)
{
    *ret_host = address;
    *ret_unix_path = NULL;
    if (strncmp(address, HTTP_LISTEN_UNIX, strlen(HTTP_LISTEN_UNIX)) != 0)
        return address_check_peer(address, err);
    *ret_host = "localhost";
    *ret_unix_path = address + strlen(HTTP_LISTEN_UNIX);
    /* An empty path would be taken for none. */
    return **ret_unix_path != '\0' ? 0 : errmsg_set(err, -EINVAL, "'%s' names no socket", address);
}

static int report_failure(const char *command, const char *address, int res,
                          const struct errmsg *err)
{
    if (res == -ECONNREFUSED)
        return cli_fail(command, "no agent answers at %s (is it running? --http ADDR:PORT or"
                        " HYDRANT_HTTP say where)", address);
    if (res == -ETIMEDOUT)
        return cli_fail(command, "the agent at %s has not answered in time", address);
    return cli_fail(command, "cannot ask the agent at %s: %s", address, err->text);
}

/* What the agent says of an error; {"detail": "..."} or something else altogether. */
static int report_status(const char *command, const char *address,
                         const struct http_answer *answer)
{
    json_t *json = json_loadb((const char *)answer->body.data, answer->body.len, 0, NULL);
    const char *detail = json_string_value(json_object_get(json, "detail"));
    char clean[512] = "";

    if (detail != NULL)
        (void)cli_printable(detail, clean, sizeof(clean));
    json_decref(json);
    return cli_fail(command, "the agent at %s answers %u%s%s%s", address, answer->status,
                    clean[0] != '\0' ? ": " : "", clean,
                    answer->status == 401 ? " (HYDRANT_TOKEN has it)" : "");
}

int cli_ask_try(const char *address, const char *method, const char *path, uint32_t timeout_ms,
                struct http_answer *ret_answer, struct errmsg *err)
{
    struct http_client *client = NULL;
    char url[1024];
    struct http_ask ask = { .method = method, .url = url, .token = getenv("HYDRANT_TOKEN"),
                            .connect_timeout_ms = CONNECT_TIMEOUT_MS, .timeout_ms = timeout_ms,
                            .direct = true };
    const char *host;
    int res;

    memset(ret_answer, 0, sizeof(*ret_answer));
    res = cli_ask_host(address, &host, &ask.unix_path, err);
    if (res != 0)
        return res;
    if (snprintf(url, sizeof(url), "http://%s%s", host, path) >= (int)sizeof(url))
        return errmsg_set(err, -EINVAL, "the address is too long");
    res = http_client_open(&client, err);
    if (res == 0)
        res = http_client_do(client, &ask, ret_answer, err);
    http_client_close(client);
    return res;
}

int cli_ask(const char *command, const char *address, const char *method, const char *path,
            uint32_t timeout_ms, struct http_answer *ret_answer)
{
    struct errmsg err = { "" };
    const char *host, *unix_path;
    int res;

    memset(ret_answer, 0, sizeof(*ret_answer));
    if (cli_ask_host(address, &host, &unix_path, &err) != 0)
        return cli_usage_error(command, "--http: %s", err.text);
    res = cli_ask_try(address, method, path, timeout_ms, ret_answer, &err);
    if (res != 0)
        return report_failure(command, address, res, &err);
    if (ret_answer->status == 200)
        return CLI_OK;
    res = report_status(command, address, ret_answer);
    http_answer_free(ret_answer);
    return res;
}
