/*
 * json_check: validation of payloads, by simdjson.
 *
 * The parser reads up to SIMDJSON_PADDING bytes past the end of its text, so each text is copied
 * into a padded buffer first; at the parser's speed the copy does not show, and it leaves the
 * caller's memory alone.
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
    simdjson::dom::parser parser;
    std::unique_ptr<char[]> text;   /* bytes_max + SIMDJSON_PADDING */
    size_t bytes_max;
};

namespace {

bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

bool starts_number(char c) noexcept
{
    return c == '-' || is_digit(c);
}

/* May follow a number. */
bool ends_number(char c) noexcept
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == ']' || c == '}';
}

size_t digits_at(const char *at, const char *end) noexcept
{
    const char *from = at;

    while (at < end && is_digit(*at))
        at++;
    return (size_t)(at - from);
}

/* Bytes of the number by RFC 8259 that starts here, 0: none does. */
size_t number_bytes(const char *from, const char *end) noexcept
{
    const char *at = from;
    size_t digits;

    if (at < end && *at == '-')
        at++;
    digits = digits_at(at, end);
    if (digits == 0 || (digits > 1 && *at == '0'))
        return 0;
    at += digits;
    if (at < end && *at == '.') {
        digits = digits_at(++at, end);
        if (digits == 0)
            return 0;
        at += digits;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        digits = digits_at(at, end);
        if (digits == 0)
            return 0;
        at += digits;
    }
    if (at < end && !ends_number(*at))
        return 0;
    return (size_t)(at - from);
}

/*
 * The parser refuses numbers that fit neither 64-bit integers nor doubles, which the grammar
 * allows. Puts 0 and spaces in the place of every well-formed number outside strings, so that a
 * second look judges all the rest; what is no number stays for the parser to refuse.
 */
void neutralise_numbers(char *text, size_t len) noexcept
{
    char *const end = text + len;
    bool in_string = false;

    for (char *at = text; at < end; at++) {
        if (in_string) {
            if (*at == '\\')
                at++;
            else if (*at == '"')
                in_string = false;
        } else if (*at == '"') {
            in_string = true;
        } else if (starts_number(*at)) {
            size_t bytes = number_bytes(at, end);

            if (bytes == 0)
                return;
            std::memset(at, ' ', bytes);
            *at = '0';
            at += bytes - 1;
        }
    }
}

} // namespace

struct json_checker *json_checker_open(size_t bytes_max)
{
    std::unique_ptr<json_checker> checker(new (std::nothrow) json_checker);
    /* With less than its minimum the parser would allocate again at the first parse. */
    size_t capacity = std::max(bytes_max, simdjson::dom::MINIMAL_DOCUMENT_CAPACITY);

    if (!checker || capacity > simdjson::SIMDJSON_MAXSIZE_BYTES - simdjson::SIMDJSON_PADDING)
        return nullptr;
    checker->bytes_max = bytes_max;
    checker->text.reset(new (std::nothrow) char[bytes_max + simdjson::SIMDJSON_PADDING]);
    if (!checker->text ||
        checker->parser.allocate(capacity, JSON_DEPTH_MAX) != simdjson::SUCCESS ||
        checker->parser.doc.allocate(capacity) != simdjson::SUCCESS)
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

    auto result = checker->parser.parse(text, len, false);
    if (result.error() == simdjson::NUMBER_ERROR) {
        neutralise_numbers(text, len);
        result = checker->parser.parse(text, len, false);
    }
    simdjson::dom::element root;
    if (result.get(root) != simdjson::SUCCESS)
        return JSON_CLASS_INVALID;
    return root.is_object() ? JSON_CLASS_OBJECT : JSON_CLASS_VALUE;
}

bool json_check_utf8(const uint8_t *data, size_t len)
{
    return len == 0 || simdjson::validate_utf8(reinterpret_cast<const char *>(data), len);
}
