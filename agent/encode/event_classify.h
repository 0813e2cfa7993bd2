/*
 * event_classify: the one classifier of payloads whose kind nobody has said.
 *
 * Owns:   nothing.
 * Thread: that of the checker.
 */
#ifndef ENCODE_EVENT_CLASSIFY_H
#define ENCODE_EVENT_CLASSIFY_H

#include <stddef.h>
#include <stdint.h>

#include "encode/json_check.h"
#include "shm_wire.h"

/*
 * SHM_KIND_JSON for one JSON object (as json_classify() takes it), SHM_KIND_TEXT for other valid
 * UTF-8, SHM_KIND_BYTES for the rest. The caller has cut one trailing LF or CRLF.
 */
enum shm_kind event_classify(struct json_checker *checker, const uint8_t *data, size_t len);

#endif
