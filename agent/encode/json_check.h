/*
 * json_check: is this JSON, is it UTF-8. The C side of the JSON parser, which no other file sees.
 *
 * Owns:   a checker owns its parser and a padded copy of the text, both sized when it is opened;
 *         checking allocates nothing.
 * Thread: one checker by one thread at a time; json_check_utf8() any.
 * Units:  bytes.
 */
#ifndef ENCODE_JSON_CHECK_H
#define ENCODE_JSON_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Objects and arrays inside each other beyond this are not taken for JSON. */
enum { JSON_DEPTH_MAX = 1024 };

enum json_class {
    JSON_CLASS_OBJECT,
    JSON_CLASS_VALUE,           /* other valid JSON */
    JSON_CLASS_INVALID
};

struct json_checker;

/* For texts of up to bytes_max bytes. NULL: out of memory. */
struct json_checker *json_checker_open(size_t bytes_max);
void json_checker_close(struct json_checker *checker);  /* NULL is fine */

/*
 * Checks all of it: UTF-8, structure, strings, literals, numbers (of any size and precision, though
 * readers differ in what they make of large ones). INVALID also: longer than bytes_max, deeper than
 * JSON_DEPTH_MAX, or an escaped surrogate without its partner, which many readers refuse.
 */
enum json_class json_classify(struct json_checker *checker, const char *data, size_t len);

/*
 * The same for many texts at once, which costs less: data[0..len) are lines with their LF, and each
 * text is one of them, or what follows a name and a space in it, up to its LF or CRLF. True: all is
 * UTF-8, and until the checker is used for something else json_lines_object() tells of texts, in
 * their order, whether they are objects. False: something in it may be no JSON, or it is too long;
 * so each has to be asked for by itself.
 */
bool json_lines_begin(struct json_checker *checker, const char *data, size_t len);
bool json_lines_object(struct json_checker *checker, const char *text, size_t len);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Empty is valid. */
bool json_check_utf8(const uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif
