/*
 * Typed records on their way: declared and written by the library into a real ring, read from its
 * file like by a stranger, and decoded by the agent's module.
 */
#include "libshm-client/ring_reader.h"

#include <float.h>
#include <math.h>

#include "encode/record.h"

#define ALL(FIELD, s)                                                                              \
    FIELD(s, BOOL, yes)                                                                            \
    FIELD(s, I32, small)                                                                           \
    FIELD(s, I64, large)                                                                           \
    FIELD(s, U64, counter)                                                                         \
    FIELD(s, F32, coarse)                                                                          \
    FIELD(s, F64, fine)                                                                            \
    FIELD(s, TIMESTAMP, at)                                                                        \
    FIELD(s, STRING, user)                                                                         \
    FIELD(s, TEXT, url)                                                                            \
    FIELD(s, BYTES, blob)                                                                          \
    FIELD(s, CHARS, country, 2)                                                                    \
    FIELD(s, ARRAY, hash, 4)                                                                       \
    FIELD(s, OPT_BOOL, o_bool)                                                                     \
    FIELD(s, OPT_I32, o_i32)                                                                       \
    FIELD(s, OPT_I64, o_i64)                                                                       \
    FIELD(s, OPT_U64, o_u64)                                                                       \
    FIELD(s, OPT_F32, o_f32)                                                                       \
    FIELD(s, OPT_F64, o_f64)                                                                       \
    FIELD(s, OPT_TIMESTAMP, o_at)                                                                  \
    FIELD(s, OPT_STRING, o_user)                                                                   \
    FIELD(s, OPT_TEXT, o_url)                                                                      \
    FIELD(s, OPT_BYTES, o_blob)
SHMC_STRUCT(all, ALL);

enum { FIRST_OPTIONAL = 12 };

#define PAIR(FIELD, s) FIELD(s, I64, id) FIELD(s, TEXT, note)
SHMC_STRUCT(pair, PAIR);

/* A ring, its stream, and both sides of one schema. */
struct setup {
    struct shmc *h;
    uint16_t stream, schema;
    struct ring_reader reader;
    struct schema columns;
    struct record_plan plan;
    struct cell cells[all_count];
};

/* The definition's body, straight from the file; it is that of the last definition. */
static uint8_t *body_read(struct ring_reader *reader, uint16_t number, uint32_t *ret_len)
{
    uint32_t end = atomic_load_explicit(&reader->producer->defs_bytes, memory_order_acquire);
    uint8_t *defs = malloc(SHM_DEFS_BYTES), *body = NULL;

    assert_non_null(defs);
    assert_int_equal(pread(reader->fd, defs, end, (off_t)reader->super.defs_offset), end);
    for (uint32_t at = 0; at < end;) {
        struct shm_def def;

        memcpy(&def, defs + at, sizeof(def));
        if (def.number == number) {
            assert_int_equal(def.type, SHM_DEF_SCHEMA);
            body = malloc(def.body_len);
            assert_non_null(body);
            memcpy(body, defs + at + sizeof(def), def.body_len);
            *ret_len = def.body_len;
        }
        at += def.bytes;
    }
    free(defs);
    assert_non_null(body);
    return body;
}

static void setup_open(struct setup *s, struct scratch *scratch, struct shmc_options *opt,
                       const struct shmc_field *fields, unsigned int count)
{
    uint32_t len = 0;
    uint8_t *body;

    s->h = scratch_open(opt);
    s->stream = scratch_stream(s->h);
    assert_int_equal(shmc_schema(s->h, s->stream, fields, count, &s->schema), 0);
    reader_open(&s->reader, scratch->dir, shmc_name(s->h));
    body = body_read(&s->reader, s->schema, &len);
    assert_int_equal(record_schema_read(body, len, &s->columns), 0);
    assert_int_equal(record_plan_init(&s->plan, body, len), 0);
    assert_int_equal(s->columns.count, count);
    free(body);
}

static void setup_close(struct setup *s)
{
    record_plan_fini(&s->plan);
    schema_fini(&s->columns);
    reader_close(&s->reader);
    assert_int_equal(shmc_close(s->h), 0);
}

/* The next event is a record of the schema: its cells. */
static uint32_t next_cells(struct setup *s)
{
    struct record_fault fault;
    struct shm_frame frame;

    assert_true(reader_next(&s->reader, &frame));
    assert_int_equal(frame.def, s->schema);
    assert_int_equal(frame.kind, SHM_KIND_RECORD);
    assert_int_equal(record_cells(&s->plan, s->reader.payload, frame.len, s->cells, &fault), 0);
    (void)reader_publish(&s->reader, SHM_POS_ACCEPTED, s->reader.pos);
    return frame.len;
}

static void cell_is(const struct setup *s, const char *name, uint32_t type, const void *data,
                    uint32_t len)
{
    int i = schema_find(&s->columns, name, strlen(name));

    assert_true(i >= 0);
    assert_int_equal(s->cells[i].type, type);
    if (type == CELL_STRING || type == CELL_BYTES) {
        assert_int_equal(s->cells[i].len, len);
        assert_memory_equal(s->cells[i].u.s, data, len);
    } else if (type != CELL_NULL) {
        assert_memory_equal(&s->cells[i].u, data, len);
    }
}

static const struct all sample = {
    .yes = true, .small = INT32_MIN, .large = INT64_MIN, .counter = UINT64_MAX, .coarse = -0.5F,
    .fine = DBL_MIN, .at = -1, .user = "gr\xc3\xb6\xc3\x9f" "e", .url = "a\0b", .url_len = 3,
    .blob = "\xff\0\xfe", .blob_len = 3, .country = {'D', 'E'}, .hash = {1, 0, 2, 0},
    .has_o_bool = true, .o_bool = true, .has_o_i32 = true, .o_i32 = -7, .has_o_i64 = true,
    .o_i64 = 7, .has_o_u64 = true, .o_u64 = 1, .has_o_f32 = true, .o_f32 = FLT_MAX,
    .has_o_f64 = true, .o_f64 = -INFINITY, .has_o_at = true, .o_at = 4711, .o_user = "",
    .o_url = "x", .o_url_len = 1, .o_blob = "", .o_blob_len = 0,
};

static void sample_check(const struct setup *s)
{
    static const int64_t one = 1, small = INT32_MIN, o_i32 = -7;
    const double coarse = -0.5, o_f32 = (double)FLT_MAX;

    cell_is(s, "yes", CELL_BOOL, &one, 8);
    cell_is(s, "small", CELL_I64, &small, 8);
    cell_is(s, "large", CELL_I64, &sample.large, 8);
    cell_is(s, "counter", CELL_U64, &sample.counter, 8);
    cell_is(s, "coarse", CELL_F64, &coarse, 8);
    cell_is(s, "fine", CELL_F64, &sample.fine, 8);
    cell_is(s, "at", CELL_TIMESTAMP, &sample.at, 8);
    cell_is(s, "user", CELL_STRING, sample.user, 7);
    cell_is(s, "url", CELL_STRING, sample.url, 3);
    cell_is(s, "blob", CELL_BYTES, sample.blob, 3);
    cell_is(s, "country", CELL_STRING, "DE", 2);
    cell_is(s, "hash", CELL_BYTES, sample.hash, 4);
    cell_is(s, "o_bool", CELL_BOOL, &one, 8);
    cell_is(s, "o_i32", CELL_I64, &o_i32, 8);
    cell_is(s, "o_i64", CELL_I64, &sample.o_i64, 8);
    cell_is(s, "o_u64", CELL_U64, &sample.o_u64, 8);
    cell_is(s, "o_f32", CELL_F64, &o_f32, 8);
    cell_is(s, "o_f64", CELL_F64, &sample.o_f64, 8);
    cell_is(s, "o_at", CELL_TIMESTAMP, &sample.o_at, 8);
    cell_is(s, "o_user", CELL_STRING, "", 0);
    cell_is(s, "o_url", CELL_STRING, "x", 1);
    cell_is(s, "o_blob", CELL_BYTES, "", 0);
}

static void structs_arrive_with_every_type_of_field(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct all value = sample;
    struct setup s;

    setup_open(&s, *state, &opt, all_fields, all_count);
    assert_int_equal(shmc_write_struct(s.h, s.schema, &value), 0);
    next_cells(&s);
    sample_check(&s);

    value.yes = false;
    value.country[0] = '\0';
    value.url = NULL; /* nothing of nothing is empty */
    value.url_len = 0;
    assert_int_equal(shmc_write_struct_at(s.h, s.schema, 4711, &value), 0);
    next_cells(&s);
    cell_is(&s, "yes", CELL_BOOL, &(int64_t){0}, 8);
    cell_is(&s, "country", CELL_STRING, "", 0);
    cell_is(&s, "url", CELL_STRING, "", 0);
    setup_close(&s);
}

static void what_is_left_zero_has_no_value_where_it_may(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct all value = {.user = ""};
    struct setup s;
    void *place;

    setup_open(&s, *state, &opt, all_fields, all_count);
    assert_int_equal(shmc_reserve(s.h, s.stream, SHMC_BYTES, 1024, &place), 0);
    memset(place, 0xee, 1024); /* old bytes of the ring */
    assert_int_equal(shmc_abort(s.h), 0);
    assert_int_equal(shmc_write_struct(s.h, s.schema, &value), 0);
    for (uint32_t len = next_cells(&s), i = 0; i < len; i++)
        assert_int_not_equal(s.reader.payload[i], 0xee);
    for (unsigned int i = 0; i < all_count; i++)
        assert_int_equal(s.cells[i].type == CELL_NULL, i >= FIRST_OPTIONAL);
    value.user = NULL;
    assert_int_equal(shmc_write_struct(s.h, s.schema, &value), -ENODATA);
    assert_non_null(strstr(shmc_error(s.h), "field 7"));
    value.user = "u";
    value.url_len = 1;
    assert_int_equal(shmc_write_struct(s.h, s.schema, &value), -ENODATA);
    assert_int_equal(shmc_write_struct(s.h, s.schema, NULL), -EINVAL);
    setup_close(&s);
}

/* By the index in the list. */
static void sample_set(struct shmc *h, bool optional)
{
    assert_int_equal(shmc_set_bytes(h, 11, sample.hash, 4), 0);
    assert_int_equal(shmc_set_bool(h, 0, sample.yes), 0);
    assert_int_equal(shmc_set_i32(h, 1, sample.small), 0);
    assert_int_equal(shmc_set_i64(h, 2, sample.large), 0);
    assert_int_equal(shmc_set_u64(h, 3, sample.counter), 0);
    assert_int_equal(shmc_set_f32(h, 4, sample.coarse), 0);
    assert_int_equal(shmc_set_f64(h, 5, sample.fine), 0);
    assert_int_equal(shmc_set_timestamp(h, 6, sample.at), 0);
    assert_int_equal(shmc_set_string(h, 8, sample.url, 3), 0);
    assert_int_equal(shmc_set_string(h, 7, sample.user, strlen(sample.user)), 0);
    assert_int_equal(shmc_set_bytes(h, 9, sample.blob, 3), 0);
    assert_int_equal(shmc_set_string(h, 10, sample.country, 2), 0);
    if (!optional)
        return;
    assert_int_equal(shmc_set_bool(h, 12, sample.o_bool), 0);
    assert_int_equal(shmc_set_i32(h, 13, sample.o_i32), 0);
    assert_int_equal(shmc_set_i64(h, 14, sample.o_i64), 0);
    assert_int_equal(shmc_set_u64(h, 15, sample.o_u64), 0);
    assert_int_equal(shmc_set_f32(h, 16, sample.o_f32), 0);
    assert_int_equal(shmc_set_f64(h, 17, sample.o_f64), 0);
    assert_int_equal(shmc_set_timestamp(h, 18, sample.o_at), 0);
    assert_int_equal(shmc_set_string(h, 19, NULL, 0), 0);
    assert_int_equal(shmc_set_string(h, 20, "x", 1), 0);
    assert_int_equal(shmc_set_bytes(h, 21, NULL, 0), 0);
}

static void records_are_filled_field_by_field(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc_stats stats = SHMC_STATS_INIT;
    struct setup s;
    uint32_t len;

    setup_open(&s, *state, &opt, all_fields, all_count);
    assert_int_equal(shmc_record_begin(s.h, s.schema, 100), 0);
    sample_set(s.h, true);
    assert_int_equal(shmc_record_commit(s.h), 0);
    len = next_cells(&s);
    sample_check(&s);
    assert_int_equal(shmc_record_begin(s.h, s.schema, 20), 0);
    sample_set(s.h, false);
    assert_int_equal(shmc_record_commit(s.h), 0);
    len += next_cells(&s);
    for (unsigned int i = 0; i < all_count; i++)
        assert_int_equal(s.cells[i].type == CELL_NULL, i >= FIRST_OPTIONAL);
    assert_int_equal(shmc_stats(s.h, &stats), 0);
    assert_int_equal(stats.events, 2);
    assert_int_equal(stats.bytes, len);
    setup_close(&s);
}

static void a_field_that_cannot_be_set_fails_the_record(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shm_frame frame;
    struct setup s;

    setup_open(&s, *state, &opt, pair_fields, pair_count);
    assert_int_equal(shmc_record_commit(s.h), -EINVAL);
    assert_int_equal(shmc_set_i64(s.h, 0, 1), -EINVAL);
    assert_non_null(strstr(shmc_error(s.h), "no reserve is open, nor a record"));

    assert_int_equal(shmc_record_begin(s.h, s.schema, 2), 0);
    assert_int_equal(shmc_set_i64(s.h, 0, 1), 0);
    assert_int_equal(shmc_set_i64(s.h, 0, 1), -EALREADY);
    assert_int_equal(shmc_set_string(s.h, 1, "x", 1), 0);
    assert_int_equal(shmc_record_commit(s.h), -EALREADY);

    assert_int_equal(shmc_record_begin(s.h, s.schema, 2), 0);
    assert_int_equal(shmc_set_i64(s.h, 2, 1), -EINVAL);
    assert_non_null(strstr(shmc_error(s.h), "the schema has 2"));
    assert_int_equal(shmc_set_i64(s.h, UINT32_MAX, 1), -EINVAL);
    assert_int_equal(shmc_set_timestamp(s.h, 0, 1), -EINVAL);
    assert_non_null(strstr(shmc_error(s.h), "another type"));
    assert_int_equal(shmc_set_bytes(s.h, 1, "x", 1), -EINVAL);
    assert_int_equal(shmc_record_commit(s.h), -EINVAL);

    assert_int_equal(shmc_record_begin(s.h, s.schema, 2), 0);
    assert_int_equal(shmc_set_string(s.h, 1, "xyz", 3), -EMSGSIZE);
    assert_int_equal(shmc_set_string(s.h, 1, "xyz", SIZE_MAX), -EMSGSIZE);
    assert_int_equal(shmc_record_commit(s.h), -EMSGSIZE);

    assert_int_equal(shmc_record_begin(s.h, s.schema, 2), 0);
    assert_int_equal(shmc_set_i64(s.h, 0, 1), 0);
    assert_int_equal(shmc_record_commit(s.h), -ENODATA);
    assert_non_null(strstr(shmc_error(s.h), "field 1"));
    assert_int_equal(shmc_record_commit(s.h), -EINVAL); /* it was given up */
    assert_false(reader_next(&s.reader, &frame));

    assert_int_equal(shmc_record_begin(s.h, s.schema, 0), 0);
    assert_int_equal(shmc_set_i64(s.h, 0, 9), 0);
    assert_int_equal(shmc_set_string(s.h, 1, "", 0), 0);
    assert_int_equal(shmc_record_commit(s.h), 0);
    next_cells(&s);
    cell_is(&s, "id", CELL_I64, &(int64_t){9}, 8);
    setup_close(&s);
}

static void an_open_record_is_a_busy_handle(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct pair value = {.id = 1};
    struct setup s;
    uint16_t id;
    void *place;

    setup_open(&s, *state, &opt, pair_fields, pair_count);
    assert_int_equal(shmc_record_begin(s.h, s.schema, 8), 0);
    assert_int_equal(shmc_write(s.h, s.stream, SHMC_TEXT, "x", 1), -EBUSY);
    assert_int_equal(shmc_write_struct(s.h, s.schema, &value), -EBUSY);
    assert_int_equal(shmc_record_begin(s.h, s.schema, 8), -EBUSY);
    assert_int_equal(shmc_reserve(s.h, s.stream, SHMC_TEXT, 8, &place), -EBUSY);
    assert_int_equal(shmc_schema(s.h, s.stream, pair_fields, pair_count, &id), -EBUSY);
    assert_int_equal(shmc_commit(s.h, 8), -EINVAL);
    assert_non_null(strstr(shmc_error(s.h), "shmc_record_commit"));
    assert_int_equal(shmc_abort(s.h), 0);
    assert_int_equal(shmc_abort(s.h), -EINVAL);
    assert_int_equal(shmc_reserve(s.h, s.stream, SHMC_TEXT, 8, &place), 0);
    assert_int_equal(shmc_set_i64(s.h, 0, 1), -EINVAL);
    assert_int_equal(shmc_record_commit(s.h), -EINVAL);
    assert_non_null(strstr(shmc_error(s.h), "but a reserve"));
    assert_int_equal(shmc_abort(s.h), 0);
    assert_int_equal(shmc_write_struct(s.h, s.schema, &value), 0);
    next_cells(&s);
    setup_close(&s);
}

/* Lengths past each way in which a string is copied, in a ring that wraps, with the clocks. */
static void strings_of_every_length_arrive_around_the_ring(void **state)
{
    static const enum shmc_clock clocks[] = {SHMC_CLOCK_NONE, SHMC_CLOCK_COARSE, SHMC_CLOCK_TSC,
                                             SHMC_CLOCK_REAL};
    struct shmc_options opt = scratch_options(*state);
    size_t max = 16384 - 16 - 1;
    char *note = malloc(max + 1);
    struct setup s;

    assert_non_null(note);
    for (size_t c = 0; c < 4; c++) {
        opt.clock = clocks[c];
        setup_open(&s, *state, &opt, pair_fields, pair_count);
        assert_int_equal(shmc_event_bytes_max(s.h), 16384);
        for (size_t len = 0; len <= max; len += len < 300 ? 1 : 997) {
            struct pair value = {.id = (int64_t)len, .note = note, .note_len = len};

            memset(note, 'a' + (int)(len % 26), max + 1);
            assert_int_equal(shmc_write_struct(s.h, s.schema, &value), 0);
            assert_int_equal(next_cells(&s), 16 + len);
            cell_is(&s, "id", CELL_I64, &value.id, 8);
            cell_is(&s, "note", CELL_STRING, note, (uint32_t)len);
            assert_int_equal(shmc_record_begin(s.h, s.schema, len), 0);
            assert_int_equal(shmc_set_string(s.h, 1, note, len), 0);
            assert_int_equal(shmc_set_i64(s.h, 0, -value.id), 0);
            assert_int_equal(shmc_record_commit(s.h), 0);
            assert_int_equal(next_cells(&s), 16 + len);
            cell_is(&s, "note", CELL_STRING, note, (uint32_t)len);
        }
        setup_close(&s);
    }
    free(note);
}

static void the_largest_record_fits_and_one_byte_more_does_not(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    size_t max;
    struct pair value = {.id = 1};
    struct setup s;
    char *note;

    setup_open(&s, *state, &opt, pair_fields, pair_count);
    max = shmc_event_bytes_max(s.h) - 16;
    note = calloc(1, max + 1);
    assert_non_null(note);
    value.note = note;
    for (int lap = 0; lap < 9; lap++) {
        value.note_len = max + 1;
        assert_int_equal(shmc_write_struct(s.h, s.schema, &value), -EMSGSIZE);
        value.note_len = SIZE_MAX;
        assert_int_equal(shmc_write_struct(s.h, s.schema, &value), -EMSGSIZE);
        assert_int_equal(shmc_record_begin(s.h, s.schema, max + 1), -EMSGSIZE);
        assert_int_equal(shmc_record_begin(s.h, s.schema, SIZE_MAX), -EMSGSIZE);
        value.note_len = max;
        assert_int_equal(shmc_write_struct(s.h, s.schema, &value), 0);
        assert_int_equal(next_cells(&s), max + 16);
    }
    free(note);
    setup_close(&s);
}

static void a_full_ring_is_met_as_by_every_write(void **state)
{
    static const enum shmc_full policies[] = {SHMC_FULL_FAIL, SHMC_FULL_DROP, SHMC_FULL_WAIT};
    struct shmc_options opt = scratch_options(*state);
    char note[100] = "";

    opt.wait_ns_max = 1000000;
    for (size_t i = 0; i < 3; i++) {
        struct pair value = {.id = 0, .note = note, .note_len = sizeof(note)};
        struct shmc_stats stats = SHMC_STATS_INIT;
        struct shm_frame frame;
        int64_t written = 0;
        struct setup s;
        int rc;

        opt.full = policies[i];
        setup_open(&s, *state, &opt, pair_fields, pair_count);
        for (; written < 1000; written++, value.id++) {
            rc = shmc_write_struct(s.h, s.schema, &value);
            assert_int_equal(shmc_stats(s.h, &stats), 0);
            if (rc != 0 || stats.drops_full != 0)
                break;
        }
        assert_int_equal(written, 65536 / 136);
        assert_int_equal(rc, i == 0 ? -EAGAIN : i == 1 ? 0 : -ETIMEDOUT);
        rc = shmc_record_begin(s.h, s.schema, 100);
        assert_int_equal(rc, i == 2 ? -ETIMEDOUT : -EAGAIN);
        for (int64_t id = 0; id < written; id++) {
            next_cells(&s);
            cell_is(&s, "id", CELL_I64, &id, 8);
        }
        assert_false(reader_next(&s.reader, &frame));
        assert_int_equal(shmc_write_struct(s.h, s.schema, &value), 0);
        next_cells(&s);
        setup_close(&s);
    }
}

static void packed_records_are_written_under_their_schema_alone(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct { int64_t id; struct shm_ref note; char text[3]; } packed = {5, {16, 3}, "abc"};
    struct setup s;
    uint16_t later;
    void *place;

    setup_open(&s, *state, &opt, pair_fields, pair_count);
    assert_int_equal(shmc_write(s.h, s.schema, SHMC_RECORD, &packed, 19), 0);
    assert_int_equal(next_cells(&s), 19);
    cell_is(&s, "id", CELL_I64, &packed.id, 8);
    cell_is(&s, "note", CELL_STRING, "abc", 3);
    assert_int_equal(shmc_reserve(s.h, s.schema, SHMC_RECORD, 30, &place), 0);
    memcpy(place, &packed, 19);
    assert_int_equal(shmc_commit(s.h, 15), -EINVAL);
    assert_int_equal(shmc_commit(s.h, 19), 0);
    next_cells(&s);

    assert_int_equal(shmc_write(s.h, s.schema, SHMC_RECORD, &packed, 15), -EINVAL);
    assert_non_null(strstr(shmc_error(s.h), "its fixed part has 16"));
    assert_int_equal(shmc_write(s.h, s.stream, SHMC_RECORD, &packed, 19), -EINVAL);
    assert_int_equal(shmc_write(s.h, s.schema, SHMC_JSON, "{}", 2), -EINVAL);
    assert_non_null(strstr(shmc_error(s.h), "takes records alone"));
    assert_int_equal(shmc_reserve(s.h, s.schema, SHMC_TEXT, 8, &place), -EINVAL);
    assert_int_equal(shmc_write(s.h, s.schema + 1, SHMC_RECORD, &packed, 19), -EINVAL);
    assert_int_equal(shmc_write_struct(s.h, s.stream, &packed), -EINVAL);
    assert_int_equal(shmc_write_struct(s.h, 0, &packed), -EINVAL);
    assert_int_equal(shmc_record_begin(s.h, s.stream, 8), -EINVAL);

    /* A stream behind a schema is as good as one before it. */
    assert_int_equal(shmc_stream(s.h, "later", &later), 0);
    assert_int_equal(later, s.schema + 1);
    for (uint32_t len = 0; len < 300; len += 50) {
        struct shm_frame frame;
        char data[300];

        memset(data, 'l', sizeof(data));
        assert_int_equal(shmc_write(s.h, later, SHMC_TEXT, data, len), 0);
        assert_true(reader_next(&s.reader, &frame));
        assert_int_equal(frame.def, later);
        assert_int_equal(frame.len, len);
        assert_memory_equal(s.reader.payload, data, len);
        assert_int_equal(shmc_write(s.h, later, SHMC_RECORD, data, len), -EINVAL);
    }
    setup_close(&s);
}

static void records_are_refused_in_a_forked_child(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct pair value = {.id = 1};
    struct setup s;
    pid_t pid;

    setup_open(&s, *state, &opt, pair_fields, pair_count);
    assert_int_equal(shmc_record_begin(s.h, s.schema, 8), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        uint16_t id;
        bool good = shmc_set_i64(s.h, 0, 1) == -ECHILD && shmc_record_commit(s.h) == -ECHILD &&
                    shmc_record_begin(s.h, s.schema, 8) == -ECHILD &&
                    shmc_write_struct(s.h, s.schema, &value) == -ECHILD &&
                    shmc_write(s.h, s.schema, SHMC_RECORD, &value, 16) == -ECHILD &&
                    shmc_schema(s.h, s.stream, pair_fields, pair_count, &id) == -ECHILD;

        _exit(good ? 0 : 1);
    }
    assert_int_equal(child_wait(pid), 0);
    assert_int_equal(shmc_abort(s.h), 0);
    setup_close(&s);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(structs_arrive_with_every_type_of_field),
        CLAIM(what_is_left_zero_has_no_value_where_it_may),
        CLAIM(records_are_filled_field_by_field),
        CLAIM(a_field_that_cannot_be_set_fails_the_record),
        CLAIM(an_open_record_is_a_busy_handle),
        CLAIM(strings_of_every_length_arrive_around_the_ring),
        CLAIM(the_largest_record_fits_and_one_byte_more_does_not),
        CLAIM(a_full_ring_is_met_as_by_every_write),
        CLAIM(packed_records_are_written_under_their_schema_alone),
        CLAIM(records_are_refused_in_a_forked_child),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
