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

    const char *lines;              /* borrowed: what json_lines_begin() has looked at */
    const uint32_t *lines_next;     /* first token that is not before the next text */
    bool lines_escape;              /* there is a backslash in them */
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

    return (size_t)(end - at) >= SIZE - 1 && std::memcmp(at, literal, SIZE - 1) == 0 &&
           (after == end || ends_scalar(*after));
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

/*
 * The tokens of one text of those that the parser has listed: from next to the first that is not
 * before end. At end is a byte that ends any scalar; behind the last token the list says so, twice.
 */
struct tokens {
    const char *base;
    const uint32_t *next;
    uint32_t end;
};

char token_ahead(const struct tokens &t) noexcept
{
    return *t.next < t.end ? t.base[*t.next] : '\0';
}

/* Is it one value? */
bool tokens_valid(struct json_checker *checker, struct tokens &t) noexcept
{
    char *const closer = checker->closer;
    size_t depth = 0;

    while (*t.next < t.end) {
        const char *at = t.base + *t.next++;

        if (depth > 0 && closer[depth] == '}') {
            if (*at != '"' || token_ahead(t) != ':' || *++t.next >= t.end)
                return false;
            at = t.base + *t.next++;
        }
        if (*at == '{' || *at == '[') {
            char closing = *at == '{' ? '}' : ']';

            if (token_ahead(t) != closing) {
                if (++depth >= JSON_DEPTH_MAX)
                    return false;
                closer[depth] = closing;
                continue;
            }
            t.next++;
        } else if (!scalar_valid(at, t.base + t.end)) {
            return false;
        }
        for (; depth > 0 && token_ahead(t) == closer[depth]; t.next++)
            depth--;
        if (depth == 0)
            return *t.next >= t.end;
        if (token_ahead(t) != ',')
            return false;
        t.next++;
    }
    return false;
}

bool stage1(struct json_checker *checker, const char *text, size_t len) noexcept
{
    return checker->parser->stage1(reinterpret_cast<const uint8_t *>(text), len,
                                   simdjson::stage1_mode::regular) == simdjson::SUCCESS;
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
    checker->lines = nullptr;
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
    checker->lines = nullptr;
    if (!stage1(checker, text, len))
        return JSON_CLASS_INVALID;
    struct tokens t = {text, checker->parser->structural_indexes.get(), (uint32_t)len};
    char first = token_ahead(t);
    if (!tokens_valid(checker, t) || !escapes_valid(text, text + len))
        return JSON_CLASS_INVALID;
    return first == '{' ? JSON_CLASS_OBJECT : JSON_CLASS_VALUE;
}

/*
 * The first stage refuses control characters in strings, LF among them: so where it takes all lines
 * at once, no string goes on from one into the next, and each gives the tokens it would give alone.
 */
bool json_lines_begin(struct json_checker *checker, const char *data, size_t len)
{
    checker->lines = nullptr;
    if (len == 0 || len > checker->bytes_max || data[len - 1] != '\n' ||
        !stage1(checker, data, len))
        return false;
    checker->lines = data;
    checker->lines_next = checker->parser->structural_indexes.get();
    checker->lines_escape = std::memchr(data, '\\', len) != nullptr;
    return true;
}

bool json_lines_object(struct json_checker *checker, const char *text, size_t len)
{
    const uint32_t from = (uint32_t)(text - checker->lines);
    struct tokens t = {checker->lines, checker->lines_next, from + (uint32_t)len};
    bool object;

    while (*t.next < from)
        t.next++;
    object = token_ahead(t) == '{' && tokens_valid(checker, t) &&
             (!checker->lines_escape || escapes_valid(text, text + len));
    checker->lines_next = t.next;
    return object;
}

bool json_check_utf8(const uint8_t *data, size_t len)
{
    return len == 0 || simdjson::validate_utf8(reinterpret_cast<const char *>(data), len);
}
