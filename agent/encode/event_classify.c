/*
 * event_classify: which kind of event a payload is that came without one.
 * Owns:   nothing.
 * Thread: that of the checker.
 */
#include "encode/event_classify.h"

enum shm_kind event_classify(struct json_checker *checker, const uint8_t *data, size_t len)
{
    size_t at = 0;

    /* Only what opens with a brace can be an object: lines of text are spared the parser. */
    while (at < len &&
           (data[at] == ' ' || data[at] == '\t' || data[at] == '\n' || data[at] == '\r'))
        at++;
    if (at < len && data[at] == '{' &&
        json_classify(checker, (const char *)data, len) == JSON_CLASS_OBJECT)
        return SHM_KIND_JSON;
    return json_check_utf8(data, len) ? SHM_KIND_TEXT : SHM_KIND_BYTES;
}
