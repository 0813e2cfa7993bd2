/*
 * body: cuts what a request brings into events. Pure.
 *
 *   json    one object; or an array of objects; or an object a line
 *   lines   each line is an event, of the kind that it is; LF or CRLF, empty ones are skipped
 *   whole   all of it is one event, verbatim
 *
 * Elements of an array are found by brackets and strings alone, then each is checked by itself.
 *
 * Owns:   nothing; events are borrowed from the body.
 * Thread: that of the checker.
 * Units:  bytes.
 */
#ifndef INTAKE_BODY_H
#define INTAKE_BODY_H

#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "encode/event_classify.h"

enum body_form { BODY_JSON, BODY_LINES, BODY_WHOLE };

/* 0; anything else ends it. */
typedef int (*body_event_fn)(void *ctx, enum shm_kind kind, const uint8_t *data, size_t len);

/*
 * 0; -EBADMSG, or -EMSGSIZE for an event of more than event_max, with a text that says what is
 * wrong and where; or what on_event returned. The checker takes event_max.
 */
int body_events(enum body_form form, struct json_checker *checker, size_t event_max,
                const uint8_t *data, size_t len, struct errmsg *err, body_event_fn on_event,
                void *ctx);

/* A walk over the elements of an array, which `at` stands in front of. */
struct body_elements {
    const uint8_t *at, *end;
    const uint8_t *element;     /* the one that was found, without white space around it */
    size_t element_len;
    uint64_t number;            /* of it, from 1 */
};

struct body_elements body_elements(const uint8_t *data, size_t len);

/* 1: an element; 0: none more, and nothing behind the array; -EBADMSG with a text. */
int body_elements_next(struct body_elements *e, struct errmsg *err);

#endif
