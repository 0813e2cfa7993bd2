/*
 * s3_tool: makes a signed request to S3, or reads a reply of it, for test_s3_server.py.
 *
 *     s3_tool ask ENDPOINT BUCKET yes|no UTC OPERATION KEY [argument...]     yes: path style
 *         put BODY | head | create BODY | part ID NUMBER BODY | complete ID ETAG:BODY... |
 *         abort ID | list KEY_MARKER ID_MARKER (KEY is the prefix)
 *         prints method and URL, a line for each header, an empty one, and the body if it is not
 *         the caller's.
 *     s3_tool read create|complete|list|error STATUS     reads the body from standard input
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "sink/s3_reply.h"
#include "sink/s3_request.h"
#include "sink/sigv4.h"

static struct request request;
static struct errmsg err;
static struct bytes body;
static char input[1 << 20];

static uint32_t crc_of(const char *text)
{
    return crc32c(0, text, strlen(text));
}

static struct s3_object object_of(const char *key, const char *text)
{
    return (struct s3_object){.key = key, .content_type = "text/plain", .batch = "1-000-2",
                              .first_lsn = 1, .last_lsn = 2, .events = 3, .bytes = strlen(text),
                              .crc32c = crc_of(text)};
}

/* "complete" of "ETAG:BODY" for each part. */
static int complete(const struct s3_bucket *b, const char *key, char **with, int count)
{
    struct s3_part parts[16];
    int n = 0;

    for (; n < 16 && n + 1 < count; n++) {
        const char *colon = strchr(with[n + 1], ':');

        (void)snprintf(parts[n].etag, sizeof(parts[n].etag), "%.*s",
                       (int)(colon - with[n + 1]), with[n + 1]);
        parts[n].crc32c = crc_of(colon + 1);
    }
    if (s3_complete_body(b, parts, (uint32_t)n, &body) != 0)
        return -ENOMEM;
    return s3_complete_upload(b, key, with[0], true, &request, &err);
}

/* Makes the request; ret_payload is what its body will be. */
static int make(const struct s3_bucket *b, const char *operation, const char *key, char **with,
                int count, const char **ret_payload)
{
    const char *last = count > 0 ? with[count - 1] : "";
    struct s3_object o = object_of(key, last);

    *ret_payload = "";
    if (strcmp(operation, "put") == 0 || strcmp(operation, "part") == 0)
        *ret_payload = last;
    if (strcmp(operation, "put") == 0)
        return s3_put(b, &o, true, &request, &err);
    if (strcmp(operation, "head") == 0)
        return s3_head(b, key, &request, &err);
    if (strcmp(operation, "create") == 0)
        return s3_create_upload(b, &o, &request, &err);
    if (strcmp(operation, "part") == 0)
        return s3_upload_part(b, key, with[0], (uint32_t)strtoul(with[1], NULL, 10), o.crc32c,
                              &request, &err);
    if (strcmp(operation, "abort") == 0)
        return s3_abort_upload(b, key, with[0], &request, &err);
    if (strcmp(operation, "list") == 0)
        return s3_list_uploads(b, key, with[0], with[1], &request, &err);
    if (complete(b, key, with, count) != 0)
        return -ENOMEM;
    *ret_payload = bytes_cstr(&body);
    return 0;
}

static int ask(int argc, char **argv)
{
    static const struct sigv4_credentials with = {
        .access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
    struct s3_settings set = {.bucket = argv[3], .region = "", .endpoint = argv[2],
                              .storage_class = "STANDARD_IA", .server_side_encryption = "",
                              .kms_key_id = "", .checksum = true,
                              .path_style = argv[4][0] == 'y' ? S3_YES : S3_NO};
    char hash[SIGV4_HEX_BYTES];
    const char *payload = "";
    struct s3_bucket b;
    struct sigv4 s;

    if (s3_bucket_init(&b, &set, &err) != 0 || sigv4_init(&s, b.region, "s3", &err) != 0
        || make(&b, argv[6], argv[7], argv + 8, argc - 8, &payload) != 0
        || sigv4_hash(payload, strlen(payload), hash) != 0
        || sigv4_sign(&s, &with, strtoull(argv[5], NULL, 10), hash, &request, &err) != 0) {
        fprintf(stderr, "s3_tool: %s\n", err.text);
        return 1;
    }
    printf("%s %s\n", request.method, request.url);
    for (uint32_t i = 0; i < request.headers_count; i++)
        printf("%s: %s\n", request.headers[i].name, request.headers[i].value);
    printf("\n%s", strcmp(argv[6], "complete") == 0 ? payload : "");
    sigv4_fini(&s);
    bytes_free(&body);
    return 0;
}

static int on_upload(const struct s3_upload *upload, void *ctx)
{
    (void)ctx;
    printf("%s\n%s\n", upload->key, upload->id);
    return 0;
}

static int answer(const char *what, unsigned status)
{
    static struct s3_uploads uploads;
    struct reply reply = {.status = status, .body = input};
    char id[S3_UPLOAD_ID_BYTES] = "";
    struct s3_error error;
    int res = 0;

    reply.body_len = fread(input, 1, sizeof(input), stdin);
    if (strcmp(what, "create") == 0) {
        res = s3_upload_id_read(&reply, id);
        printf("%s", id);
    } else if (strcmp(what, "complete") == 0) {
        res = s3_complete_read(&reply, &error);
        printf("%s", error.code);
    } else if (strcmp(what, "list") == 0) {
        res = s3_uploads_read(&reply, &uploads, on_upload, NULL);
        printf("%s\n%s\n", uploads.key_marker, uploads.upload_id_marker);
    } else {
        s3_error_read(&reply, &error);
        printf("%s", error.code);
    }
    return res == 0 || res == -EREMOTEIO ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc >= 8 && strcmp(argv[1], "ask") == 0)
        return ask(argc, argv);
    if (argc == 4 && strcmp(argv[1], "read") == 0)
        return answer(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    fprintf(stderr, "s3_tool: see its source\n");
    return 2;
}
