/*
 * text_float: the shortest text of floating-point numbers, which the C++ library knows how to find.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes.
 */
#include "encode/text_float.h"

#include <charconv>

namespace {

template <typename NUMBER> uint8_t *shortest(uint8_t *to, NUMBER v) noexcept
{
    char *at = reinterpret_cast<char *>(to);

    return reinterpret_cast<uint8_t *>(std::to_chars(at, at + TEXT_FLOAT_BYTES_MAX, v).ptr);
}

} // namespace

uint8_t *text_float_f64(uint8_t *to, double v)
{
    return shortest(to, v);
}

uint8_t *text_float_f32(uint8_t *to, float v)
{
    return shortest(to, v);
}
