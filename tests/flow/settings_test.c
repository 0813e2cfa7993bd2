/*
 * settings: what is written is read back, equal settings have equal bytes, and nothing else passes.
 */
#include "flow/settings_builder.h"

#include <errno.h>

static void check_targets(const struct target_settings *a, const struct target_settings *b,
                          uint16_t targets)
{
    for (int t = 0; t < targets; t++) {
        assert_string_equal(a[t].sink, b[t].sink);
        assert_string_equal(a[t].directory, b[t].directory);
        assert_int_equal(a[t].type, b[t].type);
        assert_int_equal(a[t].flat, b[t].flat);
    }
}

static void check_equal(const struct output_settings *a, const struct output_settings *b)
{
    assert_string_equal(a->format, b->format);
    assert_string_equal(a->prefix, b->prefix);
    assert_int_equal(a->delimiter_len, b->delimiter_len);
    assert_memory_equal(a->delimiter, b->delimiter, a->delimiter_len);
    assert_int_equal(a->epoch_name, b->epoch_name);
    assert_int_equal(a->file_mode, b->file_mode);
    assert_true(a->buffer_count == b->buffer_count);
    assert_true(a->buffer_bytes == b->buffer_bytes);
    assert_true(a->buffer_time_ns == b->buffer_time_ns);
    assert_string_equal(a->error_prefix, b->error_prefix);
    assert_string_equal(a->columns, b->columns);
    assert_string_equal(a->fields, b->fields);
    assert_string_equal(a->drop_fields, b->drop_fields);
    assert_string_equal(a->add_fields, b->add_fields);
    assert_string_equal(a->partition_by, b->partition_by);
    assert_int_equal(a->event_clock, b->event_clock);
    assert_int_equal(a->validate, b->validate);
    assert_int_equal(a->partition_missing_error, b->partition_missing_error);
    assert_int_equal(a->compression, b->compression);
    assert_int_equal(a->compression_level, b->compression_level);
    assert_int_equal(a->framing, b->framing);
    assert_int_equal(a->partitions_max, b->partitions_max);
    assert_true(a->infer_bytes == b->infer_bytes);
    assert_true(a->row_group_bytes == b->row_group_bytes);
    assert_int_equal(a->together, b->together);
    assert_int_equal(a->targets, b->targets);
    assert_int_equal(a->error_targets, b->error_targets);
    check_targets(a->target, b->target, a->targets);
    check_targets(a->error_target, b->error_target, a->error_targets);
}

static void every_field_comes_back(void **state)
{
    static const uint16_t sizes[][2] = { { 1, 1 }, { 3, 2 }, { WAL_OUTPUTS_MAX, WAL_TARGETS_MAX } };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct stream_settings set, back;
        struct bytes text = BYTES_INIT;

        built_settings(&set, sizes[i][0], sizes[i][1]);
        assert_int_equal(stream_settings_format(&set, &text), 0);
        assert_int_equal(stream_settings_parse(text.data, text.len, &back), 0);
        assert_int_equal(back.outputs, set.outputs);
        for (int o = 0; o < set.outputs; o++)
            check_equal(&set.output[o], &back.output[o]);
        stream_settings_fini(&set);
        stream_settings_fini(&back);
        bytes_free(&text);
    }
}

/* A delimiter is bytes: it may hold NULs, and may be empty. */
static void delimiters_of_any_bytes_come_back(void **state)
{
    static const uint8_t delimiters[][4] = { { 0, 1, 0, 0 }, { 'a', 0, 0, 0 }, { 0, 0, 0, 0 } };
    static const uint32_t lens[] = { 3, 1, 0 };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stream_settings set, back;
        struct bytes text = BYTES_INIT;

        built_settings(&set, 1, 1);
        free(set.output[0].delimiter);
        set.output[0].delimiter = malloc(4);
        assert_non_null(set.output[0].delimiter);
        memcpy(set.output[0].delimiter, delimiters[i], 4);
        set.output[0].delimiter_len = lens[i];
        assert_int_equal(stream_settings_format(&set, &text), 0);
        assert_int_equal(stream_settings_parse(text.data, text.len, &back), 0);
        check_equal(&set.output[0], &back.output[0]);
        stream_settings_fini(&set);
        stream_settings_fini(&back);
        bytes_free(&text);
    }
}

static struct bytes bytes_with(void (*change)(struct stream_settings *set))
{
    struct bytes text = BYTES_INIT;
    struct stream_settings set;

    built_settings(&set, 2, 2);
    if (change)
        change(&set);
    assert_int_equal(stream_settings_format(&set, &text), 0);
    stream_settings_fini(&set);
    return text;
}

static void text_change(char **text)
{
    free(*text);
    *text = strdup("another");
    assert_non_null(*text);
}

static void format_change(struct stream_settings *set)
{
    text_change(&set->output[1].format);
}

static void prefix_change(struct stream_settings *set)
{
    text_change(&set->output[1].prefix);
}

static void sink_change(struct stream_settings *set)
{
    text_change(&set->output[1].target[1].sink);
}

static void directory_change(struct stream_settings *set)
{
    text_change(&set->output[0].target[1].directory);
}

static void delimiter_change(struct stream_settings *set)
{
    set->output[0].delimiter[0] = ';';
}

static void delimiter_cut(struct stream_settings *set)
{
    set->output[0].delimiter_len = 0;
}

static void epoch_change(struct stream_settings *set)
{
    set->output[0].epoch_name ^= true;
}

static void mode_change(struct stream_settings *set)
{
    set->output[1].file_mode++;
}

static void count_change(struct stream_settings *set)
{
    set->output[1].buffer_count++;
}

static void size_change(struct stream_settings *set)
{
    set->output[1].buffer_bytes++;
}

static void time_change(struct stream_settings *set)
{
    set->output[1].buffer_time_ns++;
}

static void flat_change(struct stream_settings *set)
{
    set->output[1].target[0].flat ^= true;
}

static void error_prefix_change(struct stream_settings *set)
{
    text_change(&set->output[1].error_prefix);
}

static void columns_change(struct stream_settings *set)
{
    text_change(&set->output[1].columns);
}

static void fields_change(struct stream_settings *set)
{
    text_change(&set->output[1].fields);
}

static void drop_fields_change(struct stream_settings *set)
{
    text_change(&set->output[1].drop_fields);
}

static void add_fields_change(struct stream_settings *set)
{
    text_change(&set->output[1].add_fields);
}

static void partition_by_change(struct stream_settings *set)
{
    text_change(&set->output[1].partition_by);
}

static void event_clock_change(struct stream_settings *set)
{
    set->output[1].event_clock ^= true;
}

static void validate_change(struct stream_settings *set)
{
    set->output[1].validate ^= true;
}

static void partition_missing_error_change(struct stream_settings *set)
{
    set->output[1].partition_missing_error ^= true;
}

static void compression_change(struct stream_settings *set)
{
    set->output[1].compression++;
}

static void compression_level_change(struct stream_settings *set)
{
    set->output[1].compression_level++;
}

static void framing_change(struct stream_settings *set)
{
    set->output[1].framing++;
}

static void type_change(struct stream_settings *set)
{
    set->output[1].target[1].type = TARGET_HTTP;
}

static void partitions_max_change(struct stream_settings *set)
{
    set->output[1].partitions_max++;
}

static void infer_bytes_change(struct stream_settings *set)
{
    set->output[1].infer_bytes++;
}

static void row_group_bytes_change(struct stream_settings *set)
{
    set->output[1].row_group_bytes++;
}

static void together_change(struct stream_settings *set)
{
    set->output[1].together = !set->output[1].together;
}

static void error_directory_change(struct stream_settings *set)
{
    text_change(&set->output[1].error_target[1].directory);
}

static void error_target_left_out(struct stream_settings *set)
{
    struct target_settings *t = &set->output[1].error_target[--set->output[1].error_targets];

    free(t->sink);
    free(t->directory);
    *t = (struct target_settings){ 0 };
}

static void bytes_are_equal_exactly_when_settings_are(void **state)
{
    static void (*const changes[])(struct stream_settings *) = {
        format_change, prefix_change, sink_change, directory_change, delimiter_change,
        delimiter_cut, epoch_change, mode_change, count_change, size_change, time_change,
        flat_change, error_prefix_change, columns_change, fields_change, drop_fields_change,
        add_fields_change, partition_by_change, event_clock_change, validate_change,
        partition_missing_error_change, compression_change, compression_level_change,
        framing_change, type_change, partitions_max_change, infer_bytes_change,
        row_group_bytes_change, together_change, error_directory_change, error_target_left_out
    };
    struct bytes one = bytes_with(NULL), same = bytes_with(NULL);

    (void)state;
    assert_int_equal(one.len, same.len);
    assert_memory_equal(one.data, same.data, one.len);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct bytes other = bytes_with(changes[i]);

        assert_true(other.len != one.len || memcmp(other.data, one.data, one.len) != 0);
        bytes_free(&other);
    }
    bytes_free(&one);
    bytes_free(&same);
}

static void expect_bad(const uint8_t *data, size_t len)
{
    static const struct stream_settings none;
    struct stream_settings set;

    memset(&set, 0x5a, sizeof(set));
    assert_int_equal(stream_settings_parse(data, len, &set), -EBADMSG);
    assert_memory_equal(&set, &none, sizeof(set));
}

static void cut_at_every_byte_it_is_refused(void **state)
{
    struct bytes text = BYTES_INIT;

    (void)state;
    built_settings_bytes(2, 3, &text);
    for (size_t len = 0; len < text.len; len++) {
        /* A block of its own, so that reading beyond the end is found. */
        uint8_t *cut = malloc(len + 1);

        assert_non_null(cut);
        memcpy(cut, text.data, len);
        expect_bad(cut, len);
        free(cut);
    }
    assert_int_equal(bytes_append_char(&text, 'x'), 0);
    expect_bad(text.data, text.len);
    bytes_free(&text);
}

/* Offsets in the bytes of one output with one target; see the drawing in settings.c. */
enum {
    AT_VERSION = 0, AT_OUTPUTS = 1, AT_FORMAT = 3, AT_PREFIX = AT_FORMAT + 4 + 4,
    AT_DELIMITER = AT_PREFIX + 4, AT_EPOCH = AT_DELIMITER + 4 + 1,
    AT_ERROR_PREFIX = AT_EPOCH + 1 + 4 + 24,
    AT_COLUMNS = AT_ERROR_PREFIX + 4 + sizeof("errors0/!{firehose:error-output-type}/") - 1,
    AT_FIELDS = AT_COLUMNS + 4 + sizeof("a0 i64,\"b c\" string") - 1,
    AT_PARTITION_BY = AT_FIELDS + 4 + sizeof("f0,g") - 1 + 4 + sizeof("d0") - 1 + 4
                      + sizeof("x0 = 1") - 1,
    AT_EVENT_CLOCK = AT_PARTITION_BY + 4, AT_VALIDATE = AT_EVENT_CLOCK + 1,
    AT_MISSING = AT_VALIDATE + 1, AT_COMPRESSION = AT_MISSING + 1,
    AT_FRAMING = AT_COMPRESSION + 2, AT_TOGETHER = AT_FRAMING + 1 + 4 + 16,
    AT_TARGETS = AT_TOGETHER + 1,
    AT_TYPE = AT_TARGETS + 2, AT_FLAT = AT_TYPE + 1, AT_SINK = AT_FLAT + 1,
    AT_ERROR_TARGETS = AT_SINK + 4 + sizeof("sink-0") - 1 + 4 + sizeof("/data/out0") - 1,
    AT_ERROR_TYPE = AT_ERROR_TARGETS + 2
};

static void values_that_nobody_writes_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {
        { AT_VERSION, 0 }, { AT_VERSION, 1 }, { AT_VERSION, 2 }, { AT_VERSION, 3 },
        { AT_VERSION, 5 },
        { AT_OUTPUTS, 0 }, { AT_OUTPUTS, 2 }, { AT_OUTPUTS, WAL_OUTPUTS_MAX + 1 },
        { AT_OUTPUTS + 1, 1 },
        { AT_FORMAT + 3, 0x80 }, { AT_FORMAT, 5 }, { AT_FORMAT + 4, 0 }, { AT_DELIMITER + 2, 1 },
        { AT_EPOCH, 2 }, { AT_ERROR_PREFIX + 1, 0x11 }, { AT_ERROR_PREFIX + 4, 0 },
        { AT_COLUMNS + 2, 2 }, { AT_COLUMNS + 4, 0 }, { AT_FIELDS, 5 }, { AT_PARTITION_BY, 9 },
        { AT_EVENT_CLOCK, 2 }, { AT_VALIDATE, 2 }, { AT_MISSING, 2 },
        { AT_COMPRESSION, SETTINGS_COMPRESSION_COUNT }, { AT_FRAMING, SETTINGS_FRAMING_COUNT },
        { AT_TOGETHER, 2 }, { AT_TARGETS, 0 }, { AT_TARGETS, 2 },
        { AT_TARGETS, WAL_TARGETS_MAX + 1 },
        { AT_TARGETS + 1, 1 }, { AT_TYPE, 0 }, { AT_TYPE, TARGET_TYPE_END },
        { AT_FLAT, 0xff }, { AT_SINK, 200 }, { AT_ERROR_TARGETS, 0 }, { AT_ERROR_TARGETS, 2 },
        { AT_ERROR_TARGETS, WAL_TARGETS_MAX + 1 }, { AT_ERROR_TYPE, 0 },
        { AT_ERROR_TYPE, TARGET_FIREHOSE }
    };
    struct stream_settings set;
    struct bytes text = BYTES_INIT;

    (void)state;
    built_settings_bytes(1, 1, &text);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t was = text.data[bad[i].at];

        assert_int_not_equal(was, bad[i].value);
        text.data[bad[i].at] = bad[i].value;
        expect_bad(text.data, text.len);
        text.data[bad[i].at] = was;
    }
    /* The offsets above are right: what they point to is what it is meant to be. */
    assert_memory_equal(text.data + AT_FORMAT + 4, "json", 4);
    assert_int_equal(text.data[AT_DELIMITER + 4], '\n');
    assert_memory_equal(text.data + AT_FIELDS + 4, "f0,g", 4);
    assert_int_equal(text.data[AT_TYPE], TARGET_FILE);
    assert_int_equal(text.data[AT_ERROR_TYPE], TARGET_FILE);
    assert_memory_equal(text.data + AT_SINK + 4, "sink-0", 6);
    assert_int_equal(stream_settings_parse(text.data, text.len, &set), 0);
    stream_settings_fini(&set);
    bytes_free(&text);
}

static void flipped_bytes_are_refused_or_come_back_as_they_are(void **state)
{
    struct bytes text = BYTES_INIT;
    unsigned refused = 0, taken = 0;

    (void)state;
    built_settings_bytes(2, 2, &text);
    for (size_t bit = 0; bit < text.len * 8; bit++) {
        struct stream_settings set;
        struct bytes again = BYTES_INIT;
        int r;

        text.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        r = stream_settings_parse(text.data, text.len, &set);
        if (r == 0) {
            assert_int_equal(stream_settings_format(&set, &again), 0);
            assert_int_equal(again.len, text.len);
            assert_memory_equal(again.data, text.data, text.len);
            stream_settings_fini(&set);
            taken++;
        } else {
            assert_int_equal(r, -EBADMSG);
            refused++;
        }
        bytes_free(&again);
        text.data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    assert_true(refused > 100);
    assert_true(taken > 100);
    bytes_free(&text);
}

static void text_fill(char **text, size_t len)
{
    free(*text);
    *text = calloc(1, len + 1);
    assert_non_null(*text);
    memset(*text, 't', len);
}

/* What could not be read back at the next start must not get into the log. */
static void a_string_too_long_to_read_is_not_written(void **state)
{
    (void)state;
    for (int which = 0; which < 8; which++)
        for (size_t over = 0; over <= 1; over++) {
            struct stream_settings set, back;
            struct output_settings *o = &set.output[0];
            char **const texts[] = {
                &o->target[0].directory, &o->prefix, &o->error_prefix, &o->partition_by,
                &o->columns, &o->fields, &o->drop_fields, &o->add_fields
            };
            struct bytes text = BYTES_INIT;

            built_settings(&set, 1, 1);
            text_fill(texts[which], (which < 4 ? SETTINGS_STR_MAX : SETTINGS_TEXT_MAX) + over);
            if (over) {
                assert_int_equal(stream_settings_format(&set, &text), -ENAMETOOLONG);
            } else {
                assert_int_equal(stream_settings_format(&set, &text), 0);
                assert_int_equal(stream_settings_parse(text.data, text.len, &back), 0);
                check_equal(o, &back.output[0]);
                stream_settings_fini(&back);
            }
            stream_settings_fini(&set);
            bytes_free(&text);
        }
}

/* Each text is short enough, and all of them are more than a small segment has room for. */
static void more_than_the_log_has_room_for_is_not_written(void **state)
{
    struct bytes text = BYTES_INIT;
    struct stream_settings set;

    (void)state;
    built_settings(&set, 5, 1);
    for (int i = 0; i < 3; i++)
        text_fill(&set.output[i].columns, SETTINGS_TEXT_MAX);
    assert_int_equal(stream_settings_format(&set, &text), 0);
    bytes_clear(&text);
    text_fill(&set.output[3].columns, SETTINGS_TEXT_MAX);
    assert_int_equal(stream_settings_format(&set, &text), -E2BIG);
    expect_bad(text.data, text.len);
    stream_settings_fini(&set);
    bytes_free(&text);
}

/* Zeroed settings, as tests and defaults have them, are written as empty texts. */
static void texts_that_are_not_there_are_empty(void **state)
{
    struct stream_settings set, back;
    struct bytes text = BYTES_INIT;

    (void)state;
    built_settings(&set, 1, 1);
    free(set.output[0].columns);
    set.output[0].columns = NULL;
    assert_int_equal(stream_settings_format(&set, &text), 0);
    assert_int_equal(stream_settings_parse(text.data, text.len, &back), 0);
    assert_string_equal(back.output[0].columns, "");
    stream_settings_fini(&set);
    stream_settings_fini(&back);
    bytes_free(&text);
}

static void targets_do_not_count_for_what_sinks_share(void **state)
{
    struct bytes all[3] = { BYTES_INIT, BYTES_INIT, BYTES_INIT };
    struct stream_settings set[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        built_settings(&set[i], 1, (uint16_t)(i + 1));
        if (i == 2)
            text_change(&set[i].output[0].columns);
        assert_int_equal(output_settings_format(&set[i].output[0], &all[i]), 0);
        stream_settings_fini(&set[i]);
    }
    assert_int_equal(all[0].len, all[1].len);
    assert_memory_equal(all[0].data, all[1].data, all[0].len);
    assert_true(all[2].len != all[0].len || memcmp(all[2].data, all[0].data, all[0].len) != 0);
    for (int i = 0; i < 3; i++)
        bytes_free(&all[i]);
}

static void put(struct bytes *out, const void *data, size_t len)
{
    assert_int_equal(bytes_append(out, data, len), 0);
}

static void put_str(struct bytes *out, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);

    put(out, &len, sizeof(len));
    put(out, text, len);
}

/* As earlier agents wrote them: one output, two targets. */
static void put_version_1(struct bytes *out)
{
    static const uint8_t head[] = { 1, 1, 0 }, epoch_name = 1, flags[] = { TARGET_FILE, 1 };
    static const int64_t buffer[] = { 7, -1, 60000000000LL };
    static const uint32_t mode = 0640;
    static const uint16_t targets = 2;

    put(out, head, sizeof(head));
    put_str(out, "json");
    put_str(out, "p/");
    put_str(out, "\n");
    put(out, &epoch_name, 1);
    put(out, &mode, sizeof(mode));
    put(out, buffer, sizeof(buffer));
    put(out, &targets, sizeof(targets));
    for (int i = 0; i < 2; i++) {
        put(out, flags, sizeof(flags));
        put_str(out, i == 0 ? "local" : "more");
        put_str(out, i == 0 ? "/out" : "/more");
    }
}

static void settings_of_earlier_agents_are_read(void **state)
{
    struct bytes text = BYTES_INIT, again = BYTES_INIT;
    struct stream_settings set;
    const struct output_settings *o = &set.output[0];

    (void)state;
    put_version_1(&text);
    assert_int_equal(stream_settings_parse(text.data, text.len, &set), 0);
    assert_int_equal(set.outputs, 1);
    assert_string_equal(o->format, "json");
    assert_string_equal(o->prefix, "p/");
    assert_int_equal(o->delimiter_len, 1);
    assert_true(o->epoch_name);
    assert_int_equal(o->file_mode, 0640);
    assert_true(o->buffer_count == 7 && o->buffer_bytes == -1);
    assert_true(o->buffer_time_ns == 60000000000LL);
    assert_string_equal(o->error_prefix, "errors/!{firehose:error-output-type}/");
    assert_int_equal(o->compression, SETTINGS_COMPRESSION_NONE);
    assert_int_equal(o->compression_level, -1);
    assert_false(o->event_clock || o->validate || o->partition_missing_error);
    assert_string_equal(o->columns, "");
    assert_string_equal(o->fields, "");
    assert_string_equal(o->drop_fields, "");
    assert_string_equal(o->add_fields, "");
    assert_string_equal(o->partition_by, "");
    assert_true(o->partitions_max == 0 && o->infer_bytes == 0 && o->row_group_bytes == 0);
    assert_int_equal(o->targets, 2);
    assert_string_equal(o->target[1].sink, "more");
    assert_string_equal(o->target[1].directory, "/more");
    assert_true(o->target[1].flat);
    assert_int_equal(o->error_targets, 2);
    check_targets(o->target, o->error_target, 2);
    assert_int_equal(stream_settings_format(&set, &again), 0);
    assert_int_equal(again.data[0], 4);
    stream_settings_fini(&set);
    for (size_t len = 0; len < text.len; len++)
        expect_bad(text.data, len);
    bytes_free(&text);
    bytes_free(&again);
}

static void byte_cut(struct bytes *text, size_t at)
{
    memmove(text->data + at, text->data + at + 1, text->len - at - 1);
    text->len--;
}

static void versions_2_and_3_lack_what_came_later(void **state)
{
    struct bytes text = BYTES_INIT;
    struct stream_settings set, back;

    (void)state;
    built_settings(&set, 1, 1);
    assert_int_equal(stream_settings_format(&set, &text), 0);
    for (uint8_t version = 3; version >= 2; version--) {
        byte_cut(&text, version == 3 ? AT_TOGETHER : AT_FRAMING);
        text.data[AT_VERSION] = version;
        assert_int_equal(stream_settings_parse(text.data, text.len, &back), 0);
        check_equal(&set.output[0], &back.output[0]);
        stream_settings_fini(&back);
    }
    assert_int_equal(set.output[0].framing, SETTINGS_FRAMING_NONE);
    assert_false(set.output[0].together);
    stream_settings_fini(&set);
    bytes_free(&text);
}

static void fini_of_nothing_is_fine_and_may_be_repeated(void **state)
{
    struct stream_settings set;

    (void)state;
    built_settings(&set, 2, 2);
    stream_settings_fini(&set);
    assert_int_equal(set.outputs, 0);
    assert_null(set.output[1].target[1].sink);
    stream_settings_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(delimiters_of_any_bytes_come_back),
        cmocka_unit_test(bytes_are_equal_exactly_when_settings_are),
        cmocka_unit_test(cut_at_every_byte_it_is_refused),
        cmocka_unit_test(values_that_nobody_writes_are_refused),
        cmocka_unit_test(flipped_bytes_are_refused_or_come_back_as_they_are),
        cmocka_unit_test(a_string_too_long_to_read_is_not_written),
        cmocka_unit_test(more_than_the_log_has_room_for_is_not_written),
        cmocka_unit_test(texts_that_are_not_there_are_empty),
        cmocka_unit_test(targets_do_not_count_for_what_sinks_share),
        cmocka_unit_test(settings_of_earlier_agents_are_read),
        cmocka_unit_test(versions_2_and_3_lack_what_came_later),
        cmocka_unit_test(fini_of_nothing_is_fine_and_may_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
