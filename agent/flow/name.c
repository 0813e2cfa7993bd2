/*
 * name: which names a stream may have. They become folders, object keys and metric labels, so only
 * characters that are plain in all three, and no dot in front.
 * Owns:   nothing.
 * Thread: any.
 */
#include "flow/name.h"

/* Not isalnum(): that asks the locale. */
static bool name_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool stream_name_valid(const char *name, size_t len)
{
    if (len == 0 || len > STREAM_NAME_MAX || !name_alphanumeric(name[0]))
        return false;
    for (size_t i = 1; i < len; i++) {
        char c = name[i];

        if (!name_alphanumeric(c) && c != '_' && c != '.' && c != '-')
            return false;
    }
    return true;
}
