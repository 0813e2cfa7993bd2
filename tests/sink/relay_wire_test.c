/*
 * relay_wire: what is made is read back; what no sender makes is refused.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "encode/framing.h"
#include "sink/relay_wire.h"

static const struct batch_id id = {0x1122334455667788, 7, 42};

static struct relay_message only_message(const struct bytes *b)
{
    struct relay_message m;

    assert_int_equal(relay_wire_next(b->data, b->len, &m), b->len);
    for (size_t len = 0; len < b->len; len++) {
        struct relay_message part;

        assert_int_equal(relay_wire_next(b->data, len, &part), 0);
    }
    return m;
}

static void what_is_said_is_read_back(void **state)
{
    static const uint8_t uuid[16] = "0123456789abcde";
    char stream[SHM_STREAM_NAME_MAX + 1];
    struct bytes b = BYTES_INIT;
    struct relay_message m;
    const uint8_t *body;
    struct batch_id got, floor;
    uint8_t found[16];
    uint64_t value;
    uint16_t number;
    uint32_t len;

    (void)state;
    assert_int_equal(relay_wire_put_hello(&b, uuid), 0);
    m = only_message(&b);
    assert_int_equal(relay_wire_hello(&m, found), 0);
    assert_memory_equal(found, uuid, 16);
    bytes_clear(&b);

    assert_int_equal(relay_wire_put_begin(&b, 5, &id, "load"), 0);
    m = only_message(&b);
    assert_int_equal(m.ref, 5);
    assert_int_equal(relay_wire_begin(&m, &got, stream), 0);
    assert_string_equal(stream, "load");
    assert_true(got.epoch == id.epoch && got.shard == id.shard && got.number == id.number);
    bytes_clear(&b);

    assert_int_equal(relay_wire_put_forget(&b, &id, &(struct batch_id){id.epoch - 1, 7, 99}), 0);
    m = only_message(&b);
    assert_int_equal(relay_wire_forget(&m, &got, &floor), 0);
    assert_int_equal(got.number, 42);
    assert_true(floor.epoch == id.epoch - 1 && floor.shard == 7 && floor.number == 99);
    bytes_clear(&b);

    assert_int_equal(relay_wire_put_text(&b, RELAY_DECLINED, 8, "why"), 0);
    m = only_message(&b);
    assert_true(m.type == RELAY_DECLINED && m.ref == 8 && m.len == 3);
    assert_memory_equal(m.body, "why", 3);
    bytes_clear(&b);

    assert_int_equal(relay_wire_put_schema(&b, 6, 3, "body", 4), 0);
    m = only_message(&b);
    assert_int_equal(relay_wire_schema(&m, &number, &body, &len), 0);
    assert_int_equal(number, 3);
    assert_int_equal(len, 4);
    assert_memory_equal(body, "body", 4);
    bytes_clear(&b);

    assert_int_equal(relay_wire_put_u64(&b, RELAY_TAKEN, 6, 99), 0);
    m = only_message(&b);
    assert_int_equal(relay_wire_u64(&m, &value), 0);
    assert_int_equal(value, 99);
    bytes_free(&b);
}

static void a_piece_of_frames_has_its_length_at_the_end(void **state)
{
    struct bytes b = BYTES_INIT;
    struct relay_message m;
    uint64_t offset;
    size_t at;

    (void)state;
    assert_int_equal(relay_wire_data_begin(&b, 1, 4096, &at), 0);
    assert_int_equal(bytes_append(&b, "frames..", 8), 0);
    relay_wire_data_end(&b, at);
    m = only_message(&b);
    assert_int_equal(m.type, RELAY_DATA);
    assert_int_equal(relay_wire_u64(&m, &offset), 0);
    assert_int_equal(offset, 4096);
    assert_int_equal(m.len, 16);
    bytes_free(&b);
}

static void what_no_sender_says_is_refused(void **state)
{
    char stream[SHM_STREAM_NAME_MAX + 1];
    uint8_t header[RELAY_HEADER_BYTES] = {0};
    struct bytes b = BYTES_INIT;
    struct relay_message m;
    struct batch_id got, floor;
    uint8_t uuid[16];

    (void)state;
    assert_int_equal(relay_wire_next(header, sizeof(header), &m), -EBADMSG);    /* type 0 */
    header[4] = RELAY_TYPE_END;
    assert_int_equal(relay_wire_next(header, sizeof(header), &m), -EBADMSG);
    header[4] = RELAY_DATA;
    bytes_put_u32(header, RELAY_BODY_BYTES_MAX + 1);
    assert_int_equal(relay_wire_next(header, sizeof(header), &m), -EBADMSG);
    assert_int_equal(relay_wire_put_begin(&b, 1, &id, "no/name"), 0);
    m = only_message(&b);
    assert_int_equal(relay_wire_begin(&m, &got, stream), -EINVAL);
    assert_int_equal(relay_wire_hello(&m, uuid), -EBADMSG);
    assert_int_equal(relay_wire_forget(&m, &got, &floor), -EBADMSG);
    bytes_clear(&b);
    assert_int_equal(relay_wire_put(&b, RELAY_BEGIN, 1, "short", 5), 0);
    m = only_message(&b);
    assert_int_equal(relay_wire_begin(&m, &got, stream), -EBADMSG);
    bytes_free(&b);
}

static int64_t next(struct shm_frame f, uint64_t len, bool file)
{
    uint8_t data[64] = {0};
    struct shm_frame got;
    const uint8_t *payload;

    memcpy(data, &f, sizeof(f));
    return relay_frame_next(data, len, file, &got, &payload);
}

static void frames_are_those_of_a_ring(void **state)
{
    struct shm_frame f = {.len = 5, .kind = SHM_KIND_JSON};

    (void)state;
    assert_int_equal(next(f, 64, false), 24);
    assert_int_equal(next(f, 24, false), 24);
    assert_int_equal(next(f, 23, false), 0);
    assert_int_equal(next(f, 15, false), 0);
    f.flags = 1;
    assert_int_equal(next(f, 64, false), -EBADMSG);
    f.flags = 0;
    f.def = 1;
    assert_int_equal(next(f, 64, false), -EBADMSG);
    f.kind = SHM_KIND_RECORD;
    assert_int_equal(next(f, 64, false), 24);
    f.def = 0;
    assert_int_equal(next(f, 64, false), -EBADMSG);
    f = (struct shm_frame){.len = SHM_EVENT_BYTES_MAX + 1, .kind = SHM_KIND_TEXT};
    assert_int_equal(next(f, 64, false), -EBADMSG);
    f = (struct shm_frame){.len = 5, .def = 1, .kind = FRAMING_KIND_SCHEMA};
    assert_int_equal(next(f, 64, false), -EBADMSG);
    assert_int_equal(next(f, 64, true), 24);
    f = (struct shm_frame){.kind = SHM_KIND_NONE};
    assert_int_equal(next(f, 64, true), -EBADMSG);
    f.kind = SHM_KIND_COUNT;
    assert_int_equal(next(f, 64, true), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_read_back),
        cmocka_unit_test(a_piece_of_frames_has_its_length_at_the_end),
        cmocka_unit_test(what_no_sender_says_is_refused),
        cmocka_unit_test(frames_are_those_of_a_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
