/*
 * http_bodies_fuzz: whatever body a request that configures something has, it is answered or
 * becomes a change; a change is a sound configuration or has a mistake that is told, and what is
 * kept of it reads back as it was.
 *
 * Input: a byte for the endpoint or operation, then the body.
 */
#include <errno.h>
#include <string.h>

#include "base/invariant.h"
#include "control/http_firehose.h"
#include "control/http_mini.h"
#include "control/http_streams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char user[] = "[agent]\ndata_dir = /tmp/hydrant-fuzz\n[sink s]\ntype = s3\n"
                           "bucket = b\nregion = r\n[stream file]\n";
static const char made[] =
    "[stream mini]\nsinks = mini~1\n[sink mini~1]\ntype = file\ndirectory = /tmp/x\n"
    "[stream hose]\nabout = '{\"version\":1,\"destination\":{},\"tags\":{\"a\":\"b\"}}'\n";

static void look(void *ctx, http_config_fn seen, void *seen_ctx)
{
    seen(seen_ctx, ctx);
}

static struct config *load(const struct config_file *rest, struct config_errors *errs)
{
    struct config *c;
    int r = config_load_both("user", user, sizeof(user) - 1, rest, NULL, &c, errs);

    INVARIANT(r == 0 || (r == -EINVAL && errs->count > 0));
    return r == 0 ? c : NULL;
}

/* What is kept says the same when it is read again. */
static void check_kept(const struct config_file *after, bool sound)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct bytes text = BYTES_INIT, again_text = BYTES_INIT;
    struct config_file *again;
    struct config *c;

    INVARIANT(rest_file_format(after, &text) == 0);
    INVARIANT(config_file_parse("rest", (const char *)text.data, text.len, &again, &errs) == 0);
    if (sound) {
        INVARIANT(!config_errors_any(&errs));
        c = load(again, &errs);
        INVARIANT(c != NULL);
        config_free(c);
        INVARIANT(rest_file_format(again, &again_text) == 0 && again_text.len == text.len &&
                  memcmp(again_text.data, text.data, text.len) == 0);
    }
    config_file_free(again);
    config_errors_fini(&errs);
    bytes_free(&text);
    bytes_free(&again_text);
}

static void check_change(const struct rest_change *change, const struct config_file *before,
                         const struct config *config)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config_file *after;
    int r = rest_apply(before, change, config, &after);
    struct config *c;

    INVARIANT(r == 0 || r == -EEXIST || r == -EPERM || r == -ENOENT || r == -ESTALE);
    if (r != 0)
        return;
    c = load(after, &errs);
    if (c != NULL)
        check_kept(after, true);
    config_free(c);
    config_errors_fini(&errs);
    config_file_free(after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct config *config;
    static struct config_file *before;
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct http_config looks = {look, NULL};
    struct http_reply reply = {.status = 0};
    struct http_call call = {.kind = REQUEST_KIND_COUNT};

    if (len == 0)
        return 0;
    if (config == NULL) {
        INVARIANT(config_file_parse("rest", made, sizeof(made) - 1, &before, &errs) == 0);
        config = load(before, &errs);
    }
    looks.ctx = config;
    if (data[0] == 0) {
        call.endpoint = HTTP_MINI_CREATE;
        http_mini_begin(&call, data + 1, len - 1, &looks, &reply);
    } else if (data[0] == 1) {
        call.endpoint = HTTP_STREAM_PUT;
        memcpy(call.stream, "put", 4);
        http_streams_begin(&call, data + 1, len - 1, &looks, &reply);
    } else {
        call.endpoint = HTTP_FIREHOSE;
        call.op = (enum firehose_operation)(FIREHOSE_CREATE +
                                            data[0] % (FIREHOSE_OPERATION_COUNT - FIREHOSE_CREATE));
        reply.firehose = true;
        http_firehose_begin(&call, data + 1, len - 1, &looks, &reply);
    }
    INVARIANT(reply.status != 0 || call.kind != REQUEST_KIND_COUNT);
    INVARIANT(reply.status != 500);
    if (reply.status == 0 && call.change != NULL)
        check_change(call.change, before, config);
    rest_change_free(call.change);
    http_reply_free(&reply);
    return 0;
}
