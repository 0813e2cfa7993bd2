/*
 * line_protocol_fuzz: a stream that is cut anywhere gives the lines that it gives in one piece,
 * also when lines are refused again and again; no memory is left in the budget.
 *
 * Input: a byte that sets the longest line, one for the length of pieces, one for refusals, then
 * the stream.
 */
#include "intake/line_text.h"

enum { FUZZ_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void run(const uint8_t *data, size_t len, size_t line_max, size_t piece,
                unsigned refuse_every, struct bytes *ret_text)
{
    struct line_budget budget = {0, 1 << 20};
    struct line_text out = {BYTES_INIT, refuse_every, 0};
    struct line_reader r;

    line_reader_init(&r, line_max, &budget);
    for (size_t at = 0; at < len; at += piece)
        line_text_feed(&r, data + at, len - at < piece ? len - at : piece, &out);
    line_text_end(&r, &out);
    line_reader_fini(&r);
    INVARIANT(budget.used == 0);
    *ret_text = out.text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes whole, pieces;
    size_t line_max, piece;
    unsigned refuse_every;

    if (len < 3 || len > FUZZ_BYTES_MAX)
        return 0;
    line_max = 1 + (size_t)data[0];
    piece = 1 + (size_t)data[1];
    refuse_every = data[2] % 8 == 0 ? 0 : 1 + data[2] % 8U;
    run(data + 3, len - 3, line_max, len, 0, &whole);
    run(data + 3, len - 3, line_max, piece, refuse_every, &pieces);
    INVARIANT(whole.len == pieces.len);
    INVARIANT(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
    bytes_free(&whole);
    bytes_free(&pieces);
    return 0;
}
