/*
 * cli_text: bytes that strangers chose, printed so that no terminal obeys them. Pure but for the
 * output.
 *
 * Control characters, the C1 ones and those that turn the direction of text are written as escapes;
 * so is what is no UTF-8. Everything else stays readable.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_TEXT_H
#define CLI_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Bytes of the character at `at` (valid UTF-8, left > 0) if a terminal could obey it, and its code
 * point; 0: it is harmless.
 */
size_t cli_text_unsafe(const uint8_t *at, size_t left, uint32_t *ret_code);

/* In double quotes; escapes are \" \\ \n \r \t and \xNN for each byte. */
void cli_text_quoted(FILE *out, const void *data, size_t len);

/* Valid UTF-8 as a JSON string; anything as one in base64. */
void cli_json_string(FILE *out, const void *data, size_t len);
void cli_json_base64(FILE *out, const void *data, size_t len);

/* `"key": "text"`, or for what is no UTF-8 `"key_base64": "..."`. */
void cli_json_bytes(FILE *out, const char *key, const void *data, size_t len);

/* A valid JSON text on one line. */
void cli_json_folded(FILE *out, const void *data, size_t len);

/* The kind of an event, as frames have it. */
const char *cli_text_kind(uint8_t kind);

#endif
