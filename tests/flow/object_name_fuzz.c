/*
 * object_name_fuzz: a prefix that passes the check can be rendered at any time and with any values,
 * and no key made of it leaves its folder.
 *
 * Input: eight bytes of time, then the prefix, a NUL, the error output type, a NUL, the agent.
 */
#include "base/invariant.h"
#include "flow/object_name.h"

#include <errno.h>
#include <string.h>

enum { FUZZ_BYTES_MAX = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_safe(const char *key)
{
    INVARIANT(key[0] != '/');
    for (const char *at = key; *at != '\0'; at++)
        INVARIANT((uint8_t)*at >= 0x20 && *at != 0x7f);
    while (*key != '\0') {
        size_t len = strcspn(key, "/");

        INVARIANT(len > 0 && len <= 255);
        INVARIANT(!(len == 1 && key[0] == '.') && !(len == 2 && memcmp(key, "..", 2) == 0));
        INVARIANT(!(len == 8 && memcmp(key, ".hydrant", 8) == 0));
        key += len;
        key += *key == '/';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[FUZZ_BYTES_MAX + 3];
    char prefix[OBJECT_KEY_MAX + 1], key[OBJECT_KEY_MAX + 1];
    struct expression_values values = { .random_string = "Ab3dEf6hIj9" };
    struct errmsg err = { "" };
    const char *error_type;

    if (len < sizeof(values.time_ns) || len > FUZZ_BYTES_MAX)
        return 0;
    memcpy(&values.time_ns, data, sizeof(values.time_ns));
    data += sizeof(values.time_ns);
    len -= sizeof(values.time_ns);
    memcpy(text, data, len);
    memset(text + len, 0, 3);
    error_type = text + strlen(text) + 1;

    for (int error_prefix = 0; error_prefix < 2; error_prefix++) {
        struct prefix_traits traits;
        int checked = prefix_inspect(text, error_prefix == 1, &traits, &err);
        int r;

        INVARIANT(checked == 0 || (checked == -EINVAL && err.text[0] != '\0'));
        values.error_output_type = error_prefix == 1 ? error_type : NULL;
        r = prefix_render(text, &values, prefix, sizeof(prefix));
        if (checked != 0)
            continue;
        /* Only a longer error type than there is can make it too long. */
        INVARIANT(r == 0 || (r == -ENAMETOOLONG && error_prefix == 1 && strlen(error_type) > 8));
        if (r != 0)
            continue;
        check_safe(prefix);
        if (error_prefix == 0) {
            /* At the beginning of the period it is the same; a random one is, by its value here. */
            char begin[OBJECT_KEY_MAX + 1];

            INVARIANT(strlen(prefix) <= traits.bytes_max);
            values.time_ns -= values.time_ns % traits.period_ns;
            INVARIANT(prefix_render(text, &values, begin, sizeof(begin)) == 0);
            INVARIANT(strcmp(begin, prefix) == 0);
        }

        const struct object_name_parts parts = {
            .stream = error_prefix == 1 ? "stream" : NULL,
            .prefix = prefix,
            .partitions = traits.folder ? "k=v/" : NULL,
            .compression = ".gz",
            .agent = error_type + strlen(error_type) + 1,
            .extension = "json",
            .epoch_name = (values.time_ns & 1) != 0,
            .name_time_ns = values.time_ns,
            .id = { .epoch = values.time_ns, .shard = 3, .number = 1 },
        };
        r = object_name_render(&parts, key, sizeof(key));
        INVARIANT(r == 0 || (r == -ENAMETOOLONG && strlen(parts.agent) + strlen(error_type) > 20));
        if (r == 0)
            check_safe(key);
    }
    return 0;
}
