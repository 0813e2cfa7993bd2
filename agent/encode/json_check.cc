/*
 * json_check: validation of payloads: the parser's first stage and a walk of our own.
 *
 * simdjson works in two stages. The first looks at 64 bytes at a time: it checks UTF-8, closed
 * strings and control characters in them, and lists where tokens begin. The second builds a
 * document: it copies strings, converts numbers and writes a tape, which is most of the time and
 * which a check throws away. So only the first one is used. The walk over its list checks order and
 * nesting, literals and numbers, each by the grammar alone: a number may have any size. Strings are
 * not looked at again but for their escapes, and these by their backslashes, wherever they are: the
 * walk refuses one outside of a string.
 *
 * Each text is copied into a buffer that ends in zeros first, so that nothing need look for its
 * end; the copy does not show, and it leaves the caller's memory alone.
 *
 * Owns:   struct json_checker.
 * Thread: one checker by one thread at a time.
 * Units:  bytes.
 */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include "encode/json_check.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

struct json_checker {
    std::unique_ptr<simdjson::internal::dom_parser_implementation> parser;
    std::unique_ptr<char[]> text;   /* bytes_max + SIMDJSON_PADDING */
    size_t bytes_max;
    char closer[JSON_DEPTH_MAX];    /* of each object and array that is open, from 1 */
};

namespace {

bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

/* May follow a number or a literal. */
bool ends_scalar(char c) noexcept
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == ']' || c == '}';
}

const char *digits_skip(const char *at) noexcept
{
    while (is_digit(*at))
        at++;
    return at;
}

bool number_valid(const char *at, const char *end) noexcept
{
    const char *from;

    if (*at == '-')
        at++;
    from = at;
    at = digits_skip(at);
    if (at == from || (at - from > 1 && *from == '0'))
        return false;
    if (*at == '.') {
        from = ++at;
        at = digits_skip(at);
        if (at == from)
            return false;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-')
            at++;
        from = at;
        at = digits_skip(at);
        if (at == from)
            return false;
    }
    return ends_scalar(*at) || at == end;
}

template <size_t SIZE>
bool literal_valid(const char *at, const char *end, const char (&literal)[SIZE]) noexcept
{
    const char *after = at + SIZE - 1;

    return std::memcmp(at, literal, SIZE - 1) == 0 && (ends_scalar(*after) || after == end);
}

/* Four hex digits; UINT32_MAX: no. */
uint32_t hex4(const char *at) noexcept
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        char c = at[i];
        char letter = (char)(c | 0x20);

        if (is_digit(c))
            value = value << 4 | (uint32_t)(c - '0');
        else if (letter >= 'a' && letter <= 'f')
            value = value << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return UINT32_MAX;
    }
    return value;
}

/* Bytes of the escape that starts here with its backslash, 0: none does. */
size_t escape_bytes(const char *at) noexcept
{
    uint32_t code;

    switch (at[1]) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
        return 2;
    case 'u':
        code = hex4(at + 2);
        if (code == UINT32_MAX || code - 0xdc00 < 0x400)
            return 0;
        if (code - 0xd800 >= 0x400)
            return 6;
        code = at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : 0;
        return code - 0xdc00 < 0x400 ? 12 : 0;
    default:
        return 0;
    }
}

bool escapes_valid(const char *at, const char *end) noexcept
{
    while ((at = (const char *)std::memchr(at, '\\', (size_t)(end - at))) != nullptr) {
        size_t bytes = escape_bytes(at);

        if (bytes == 0)
            return false;
        at += bytes;
    }
    return true;
}

bool scalar_valid(const char *at, const char *end) noexcept
{
    switch (*at) {
    case '"':
        return true;
    case 't':
        return literal_valid(at, end, "true");
    case 'f':
        return literal_valid(at, end, "false");
    case 'n':
        return literal_valid(at, end, "null");
    default:
        return number_valid(at, end);
    }
}

/* Is it one value? Behind its last token the list holds the end of the text, a zero byte. */
bool tokens_valid(struct json_checker *checker, size_t len) noexcept
{
    const char *text = checker->text.get(), *end = text + len;
    const uint32_t *next = checker->parser->structural_indexes.get();
    const uint32_t *const last = next + checker->parser->n_structural_indexes;
    char *const closer = checker->closer;
    size_t depth = 0;

    while (next < last) {
        const char *at = text + *next++;

        if (depth > 0 && closer[depth] == '}') {
            if (*at != '"' || last - next < 2 || text[*next] != ':')
                return false;
            at = text + next[1];
            next += 2;
        }
        if (*at == '{' || *at == '[') {
            char closing = *at == '{' ? '}' : ']';

            if (text[*next] != closing) {
                if (++depth >= JSON_DEPTH_MAX)
                    return false;
                closer[depth] = closing;
                continue;
            }
            next++;
        } else if (!scalar_valid(at, end)) {
            return false;
        }
        for (; depth > 0 && next < last && text[*next] == closer[depth]; next++)
            depth--;
        if (depth == 0)
            return next == last;
        if (text[*next++] != ',')
            return false;
    }
    return false;
}

} // namespace

struct json_checker *json_checker_open(size_t bytes_max)
{
    std::unique_ptr<json_checker> checker(new (std::nothrow) json_checker);
    /* The parser makes its list for so much at least. */
    size_t capacity = std::max(bytes_max, simdjson::dom::MINIMAL_DOCUMENT_CAPACITY);

    if (!checker || capacity > simdjson::SIMDJSON_MAXSIZE_BYTES - simdjson::SIMDJSON_PADDING)
        return nullptr;
    checker->bytes_max = bytes_max;
    checker->text.reset(new (std::nothrow) char[bytes_max + simdjson::SIMDJSON_PADDING]);
    if (!checker->text ||
        simdjson::get_active_implementation()->create_dom_parser_implementation(
            capacity, JSON_DEPTH_MAX, checker->parser) != simdjson::SUCCESS)
        return nullptr;
    return checker.release();
}

void json_checker_close(struct json_checker *checker)
{
    delete checker;
}

enum json_class json_classify(struct json_checker *checker, const char *data, size_t len)
{
    char *text = checker->text.get();

    if (len == 0 || len > checker->bytes_max)
        return JSON_CLASS_INVALID;
    std::memcpy(text, data, len);
    std::memset(text + len, 0, simdjson::SIMDJSON_PADDING);
    if (checker->parser->stage1(reinterpret_cast<const uint8_t *>(text), len,
                                simdjson::stage1_mode::regular) != simdjson::SUCCESS ||
        !tokens_valid(checker, len) || !escapes_valid(text, text + len))
        return JSON_CLASS_INVALID;
    return text[checker->parser->structural_indexes[0]] == '{' ? JSON_CLASS_OBJECT
                                                              : JSON_CLASS_VALUE;
}

bool json_check_utf8(const uint8_t *data, size_t len)
{
    return len == 0 || simdjson::validate_utf8(reinterpret_cast<const char *>(data), len);
}
