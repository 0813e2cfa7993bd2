/*
 * json_number: what the fast conversions leave: numbers with many digits or large exponents. They
 * go to the C++ library, which is exact, allocates nothing and knows no locale.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/json_number.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <system_error>

namespace {

constexpr int64_t POWER_SAFE = 300;             /* below 10^300 everything is finite */
constexpr size_t DOUBLE_DIGITS_MAX = 309;       /* of the largest one, before its point */

/* Power of ten of the first digit that is not zero; of a zero that of its last digit. */
int64_t leading_power(const json_number *n, const char *text, size_t len) noexcept
{
    int64_t power = (int64_t)n->digits + n->exponent;

    for (size_t i = 0; i < len && (text[i] < '1' || text[i] > '9'); i++) {
        if (text[i] == 'e' || text[i] == 'E')
            break;
        power -= text[i] == '0';
    }
    return power - 1;
}

/* Has a double of this size exactly these digits? */
bool is_text(double value, const char *text, size_t len) noexcept
{
    char digits[DOUBLE_DIGITS_MAX + 3];
    int written = std::snprintf(digits, sizeof(digits), "%.0f", value);

    return written > 0 && (size_t)written == len && std::memcmp(digits, text, len) == 0;
}

} // namespace

bool json_number_round(const struct json_number *n, const uint8_t *text, size_t len,
                       double *ret_value)
{
    const char *from = reinterpret_cast<const char *>(text);

    if (std::from_chars(from, from + len, *ret_value).ec == std::errc())
        return true;
    /* Out of range: too large, or so close to zero that it becomes zero. */
    *ret_value = n->negative ? -0.0 : 0.0;
    return leading_power(n, from, len) < 0;
}

enum json_number_class json_number_class(const struct json_number *n, const uint8_t *text,
                                         size_t len)
{
    int64_t integer;
    double value;

    if (json_number_i64(n, &integer))
        return n->mantissa <= JSON_EXACT_MAX ? JSON_NUMBER_SMALL : JSON_NUMBER_WIDE;
    if (!n->integer && (int64_t)n->digits + n->exponent <= POWER_SAFE)
        return JSON_NUMBER_REAL;
    if (!json_number_round(n, text, len, &value))
        return JSON_NUMBER_TEXT;
    return !n->integer || is_text(value, reinterpret_cast<const char *>(text), len)
        ? JSON_NUMBER_REAL : JSON_NUMBER_TEXT;
}
