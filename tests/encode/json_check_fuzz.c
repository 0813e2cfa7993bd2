/*
 * json_check_fuzz: lines that are looked at together are what each is alone, and all of them UTF-8.
 *
 * Input: the texts, one a line; a name is put before each.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"
#include "encode/json_check.h"

enum { FUZZ_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct json_checker *together, *alone;
    static char lines[3 * FUZZ_BYTES_MAX + 3];
    size_t used = 0;

    if (together == NULL) {
        together = json_checker_open(sizeof(lines));
        alone = json_checker_open(sizeof(lines));
    }
    INVARIANT(together != NULL && alone != NULL);
    if (len > FUZZ_BYTES_MAX)
        return 0;
    for (size_t i = 0; i <= len; i++) {
        if (i == 0 || data[i - 1] == '\n') {
            lines[used++] = 's';
            lines[used++] = ' ';
        }
        lines[used++] = i < len ? (char)data[i] : '\n';
    }
    if (!json_lines_begin(together, lines, used))
        return 0;
    for (const char *at = lines, *lf; at < lines + used; at = lf + 1) {
        const char *text = at + 2;
        size_t bytes;

        lf = memchr(at, '\n', (size_t)(lines + used - at));
        INVARIANT(lf != NULL);
        bytes = (size_t)(lf - text);
        if (bytes > 0 && lf[-1] == '\r')
            bytes--;
        INVARIANT(json_check_utf8((const uint8_t *)text, bytes));
        INVARIANT(json_lines_object(together, text, bytes)
                  == (json_classify(alone, text, bytes) == JSON_CLASS_OBJECT));
    }
    return 0;
}
