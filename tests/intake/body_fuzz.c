/*
 * body_fuzz: events lie in the body, one behind the other; what is said to be JSON is an object;
 * an array whose elements are all objects is JSON itself.
 *
 * Input: a byte that picks the form, then the body.
 */
#include "intake/body_text.h"

#include <errno.h>
#include <string.h>

enum { FUZZ_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    struct json_checker *checker;
    const uint8_t *at, *end;
};

static int on_event(void *ctx, enum shm_kind kind, const uint8_t *data, size_t len)
{
    struct seen *s = ctx;

    INVARIANT(data >= s->at && len <= (size_t)(s->end - data));
    s->at = data + len;
    if (kind == SHM_KIND_JSON)
        INVARIANT(json_classify(s->checker, (const char *)data, len) == JSON_CLASS_OBJECT);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct json_checker *checker;
    struct errmsg err;
    struct seen s;
    size_t first = 1;
    int rc;

    if (len < 1 || len > FUZZ_BYTES_MAX)
        return 0;
    checker = json_checker_open(FUZZ_BYTES_MAX);
    INVARIANT(checker != NULL);
    s = (struct seen){checker, data + 1, data + len};
    rc = body_events((enum body_form)(data[0] % 3), checker, FUZZ_BYTES_MAX, data + 1, len - 1,
                     &err, on_event, &s);
    INVARIANT(rc == 0 || (rc == -EBADMSG && data[0] % 3 == BODY_JSON));
    while (first < len && strchr(" \t\r\n", data[first]) != NULL && data[first] != '\0')
        first++;
    if (rc == 0 && data[0] % 3 == BODY_JSON && data[first] == '[')
        INVARIANT(json_classify(checker, (const char *)data + 1, len - 1) == JSON_CLASS_VALUE);
    json_checker_close(checker);
    return 0;
}
