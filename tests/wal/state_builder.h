/*
 * state_builder: wal_state filled by items as the log does it, through their bytes.
 *
 * Owns:   nothing; a state is the test's to end.
 */
#ifndef TESTS_WAL_STATE_BUILDER_H
#define TESTS_WAL_STATE_BUILDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wal/log_builder.h"
#include "wal/wal_state.h"

/* As the log does it: through the bytes. */
static inline int state_apply(struct wal_state *s, const struct wal_item *item, uint64_t end_lsn)
{
    struct bytes b = BYTES_INIT;
    struct wal_item parsed;
    const uint8_t *at;
    int rc;

    built_item(&b, item);
    at = b.data;
    assert_int_equal(wal_item_next(&at, b.data + b.len, &parsed), 0);
    rc = wal_state_apply(s, &parsed, end_lsn);
    bytes_free(&b);
    return rc;
}

static inline void state_applied(struct wal_state *s, const struct wal_item *item, uint64_t end_lsn)
{
    assert_int_equal(state_apply(s, item, end_lsn), 0);
}

static inline void state_replay(struct wal_state *s, const struct bytes *items, uint64_t end_lsn)
{
    const uint8_t *at = items->data, *end = at + items->len;
    struct wal_item item;

    while (at < end) {
        assert_int_equal(wal_item_next(&at, end, &item), 0);
        assert_int_equal(wal_state_apply(s, &item, end_lsn), 0);
    }
}

static inline void state_checkpoint(const struct wal_state *s, struct bytes *out)
{
    bytes_clear(out);
    assert_int_equal(wal_state_checkpoint(s, out), 0);
}

/* One ring, one stream of one output, defined as number 1. */
static inline void state_small(struct wal_state *s)
{
    struct wal_item it;

    assert_int_equal(wal_state_init(s), 0);
    it = built_attach(1, 0);
    state_applied(s, &it, 4096);
    it = built_stream(1, 1, "orders", 1);
    state_applied(s, &it, 4096);
    it = built_def(1, 1, 1);
    state_applied(s, &it, 4096);
}

static inline void state_span(struct wal_state *s, uint64_t from, uint32_t len, uint32_t events,
                              uint64_t end_lsn)
{
    static const uint8_t data[65536];
    struct wal_item it = built_span(1, from, data, len, 0, events);

    state_applied(s, &it, end_lsn);
}

#endif
