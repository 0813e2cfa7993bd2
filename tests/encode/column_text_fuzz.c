/*
 * column_text_fuzz: what is read as names or as columns is written as text that is read as the
 * same, and that text is the one way of writing it.
 *
 * Input: the text.
 */
#include "base/invariant.h"
#include "encode/column_text.h"

#include <errno.h>
#include <string.h>

enum { FUZZ_BYTES_MAX = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int text_read(const char *text, bool types, struct schema *ret_schema)
{
    struct errmsg err = { "" };
    int r = types ? schema_parse(text, ret_schema, &err)
                  : column_text_names(text, ret_schema, &err);

    INVARIANT(r == 0 || (r == -EINVAL && err.text[0] != '\0'));
    return r;
}

static void text_put(const struct schema *s, bool types, struct bytes *out)
{
    INVARIANT((types ? column_text_put_columns(s, out) : column_text_put_names(s, out)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[FUZZ_BYTES_MAX + 1];

    if (len > FUZZ_BYTES_MAX)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    for (int types = 0; types < 2; types++) {
        struct bytes once = BYTES_INIT, twice = BYTES_INIT;
        struct schema s, again;

        if (text_read(text, types, &s) != 0)
            continue;
        text_put(&s, types, &once);
        INVARIANT(text_read(bytes_cstr(&once), types, &again) == 0);
        INVARIANT(again.count == s.count);
        for (uint32_t i = 0; i < s.count; i++)
            INVARIANT(again.columns[i].type == s.columns[i].type
                      && strcmp(again.columns[i].name, s.columns[i].name) == 0);
        text_put(&again, types, &twice);
        INVARIANT(once.len == twice.len
                  && (once.len == 0 || memcmp(once.data, twice.data, once.len) == 0));
        schema_fini(&s);
        schema_fini(&again);
        bytes_free(&once);
        bytes_free(&twice);
    }
    return 0;
}
