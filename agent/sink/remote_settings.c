/*
 * remote_settings: one block of memory: the structs, lists of headers, then all texts.
 *
 * Owns:   see the header.
 * Thread: any.
 */
#include "sink/remote_settings.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/invariant.h"
#include "sink/secret.h"

struct remote_settings_copy {
    size_t bytes;
    uint32_t count;
    struct remote_settings settings[];
};

#define AT(field) offsetof(struct remote_settings, field)

/* Every text but the headers. */
static const size_t texts[] = {
    AT(name), AT(ca_file), AT(cloud.access_key), AT(cloud.secret_key), AT(cloud.session_token),
    AT(cloud.profile), AT(cloud.region), AT(s3.set.bucket), AT(s3.set.region),
    AT(s3.set.endpoint), AT(s3.set.storage_class), AT(s3.set.server_side_encryption),
    AT(s3.set.kms_key_id), AT(firehose.endpoint), AT(web.url), AT(web.method), AT(web.token),
};

enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

static const char **text_of(struct remote_settings *set, size_t i)
{
    return (const char **)((char *)set + texts[i]);
}

static const char *text_get(const struct remote_settings *set, size_t i)
{
    const char *text = *(const char *const *)((const char *)set + texts[i]);

    return text ? text : "";
}

static size_t bytes_needed(const struct remote_settings *set)
{
    size_t bytes = sizeof(*set) + set->web.headers_count * sizeof(char *);

    for (size_t i = 0; i < TEXTS; i++)
        bytes += strlen(text_get(set, i)) + 1;
    for (uint32_t i = 0; i < set->web.headers_count; i++)
        bytes += strlen(set->web.headers[i]) + 1;
    return bytes;
}

static const char *text_put(char **at, const char *text)
{
    size_t len = strlen(text) + 1;
    char *to = *at;

    memcpy(to, text, len);
    *at += len;
    return to;
}

int remote_settings_copy(const struct remote_settings *settings, uint32_t count,
                         struct remote_settings_copy **ret_copy)
{
    size_t bytes = sizeof(struct remote_settings_copy);
    struct remote_settings_copy *copy;
    const char **list;
    char *at;

    *ret_copy = NULL;
    for (uint32_t i = 0; i < count; i++)
        bytes += bytes_needed(&settings[i]);
    copy = secret_map(bytes);
    if (!copy)
        return -ENOMEM;
    copy->bytes = bytes;
    copy->count = count;
    list = (const char **)&copy->settings[count];
    at = (char *)list;
    for (uint32_t i = 0; i < count; i++)
        at += settings[i].web.headers_count * sizeof(char *);
    for (uint32_t i = 0; i < count; i++) {
        struct remote_settings *to = &copy->settings[i];

        /* With its padding, which is compared. */
        memcpy(to, &settings[i], sizeof(*to));
        for (size_t k = 0; k < TEXTS; k++)
            *text_of(to, k) = text_put(&at, text_get(&settings[i], k));
        to->web.headers = list;
        for (uint32_t k = 0; k < to->web.headers_count; k++)
            *list++ = text_put(&at, settings[i].web.headers[k]);
    }
    INVARIANT(at == (char *)copy + bytes);
    *ret_copy = copy;
    return 0;
}

void remote_settings_free(struct remote_settings_copy *copy)
{
    if (copy)
        secret_unmap(copy, copy->bytes);
}

uint32_t remote_settings_count(const struct remote_settings_copy *copy)
{
    return copy->count;
}

const struct remote_settings *remote_settings_get(const struct remote_settings_copy *copy,
                                                  uint32_t i)
{
    return &copy->settings[i];
}

bool remote_settings_equal(const struct remote_settings *a, const struct remote_settings *b)
{
    struct remote_settings plain_a, plain_b;
    bool equal = a->web.headers_count == b->web.headers_count;

    for (size_t i = 0; equal && i < TEXTS; i++)
        equal = strcmp(text_get(a, i), text_get(b, i)) == 0;
    for (uint32_t i = 0; equal && i < a->web.headers_count; i++)
        equal = strcmp(a->web.headers[i], b->web.headers[i]) == 0;
    if (!equal)
        return false;
    memcpy(&plain_a, a, sizeof(plain_a));
    memcpy(&plain_b, b, sizeof(plain_b));
    for (size_t i = 0; i < TEXTS; i++)
        *text_of(&plain_a, i) = *text_of(&plain_b, i) = NULL;
    plain_a.web.headers = plain_b.web.headers = NULL;
    return memcmp(&plain_a, &plain_b, sizeof(plain_a)) == 0;
}
