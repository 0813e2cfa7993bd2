/*
 * json_fuzz: any payload as any kind gives one line within its bound, wherever blocks end; what
 * stands for text or bytes reads back the same; classification and encoding agree.
 *
 * Input: one byte that picks the kind, one that places the end of a block, then the payload.
 */
#include "base/invariant.h"
#include "encode/event_classify.h"
#include "encode/line_reader.h"

#include <string.h>

enum { FUZZ_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The kinds that are wrapped in an object; JSON that is blank is text. */
static void check_message(const struct encoded *line, const struct event *ev, bool utf8)
{
    bool text = ev->kind == SHM_KIND_JSON || (ev->kind == SHM_KIND_TEXT && utf8);
    const char *wrong = message_check(line, text ? "message" : "message_base64", ev->data, ev->len);

    if (wrong != NULL) {
        fprintf(stderr, "%s\n", wrong);
        abort();
    }
}

/* What was an object still is one. What was none can become one only by folding line ends. */
static void check_folded(struct json_checker *checker, const struct encoded *line,
                         const struct event *ev, enum shm_kind kind)
{
    enum json_class folded = json_classify(checker, (const char *)line->data, line->len);
    bool line_ends = memchr(ev->data, '\n', ev->len) != NULL ||
        memchr(ev->data, '\r', ev->len) != NULL;

    if (kind == SHM_KIND_JSON)
        INVARIANT(folded == JSON_CLASS_OBJECT);
    else
        INVARIANT(folded != JSON_CLASS_OBJECT || line_ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct json_checker *checker;
    const struct encoder_settings set = { .delimiter = data, .delimiter_len = len > 0 };
    struct event ev;
    struct encoded line;
    enum shm_kind kind;
    bool utf8, wrapped;
    size_t ahead;

    if (checker == NULL)
        checker = json_checker_open(FUZZ_BYTES_MAX + 1);
    INVARIANT(checker != NULL);
    if (len < 2 || len - 2 > FUZZ_BYTES_MAX)
        return 0;
    /* A quarter of the inputs cross a block: filling one takes most of the time. */
    ahead = data[1] < 64 ? BLOCK_BYTES - (size_t)data[1] : 0;
    ev = (struct event){
        .data = data + 2,
        .len = (uint32_t)(len - 2),
        .kind = (uint8_t)(1 + data[0] % (SHM_KIND_COUNT - 1)),
    };
    kind = event_classify(checker, ev.data, ev.len);
    utf8 = json_check_utf8(ev.data, ev.len);
    INVARIANT((kind == SHM_KIND_BYTES) == !utf8);

    line = encode_event(&json_encoder, &set, &ev, ahead);
    INVARIANT(line.len <= line.bytes_max);
    INVARIANT(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    INVARIANT(memchr(line.data, '\r', line.len) == NULL);
    wrapped = ev.kind != SHM_KIND_JSON || line.len != (size_t)ev.len + 1;
    if (wrapped)
        check_message(&line, &ev, utf8);
    else
        check_folded(checker, &line, &ev, kind);
    encoded_free(&line);

    line = encode_event(&raw_encoder, &set, &ev, ahead);
    INVARIANT(line.len == line.bytes_max && line.len == (size_t)ev.len + 1);
    INVARIANT(memcmp(line.data, ev.data, ev.len) == 0 && line.data[ev.len] == data[0]);
    encoded_free(&line);
    return 0;
}
