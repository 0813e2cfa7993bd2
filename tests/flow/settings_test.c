/*
 * settings: what is written is read back, equal settings have equal bytes, and nothing else passes.
 */
#include "flow/settings_builder.h"

#include <errno.h>

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
    assert_int_equal(a->targets, b->targets);
    for (int t = 0; t < a->targets; t++) {
        assert_string_equal(a->target[t].sink, b->target[t].sink);
        assert_string_equal(a->target[t].directory, b->target[t].directory);
        assert_int_equal(a->target[t].type, b->target[t].type);
        assert_int_equal(a->target[t].flat, b->target[t].flat);
    }
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

static void bytes_are_equal_exactly_when_settings_are(void **state)
{
    static void (*const changes[])(struct stream_settings *) = {
        format_change, prefix_change, sink_change, directory_change, delimiter_change,
        delimiter_cut, epoch_change, mode_change, count_change, size_change, time_change,
        flat_change
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
    AT_TARGETS = AT_EPOCH + 1 + 4 + 24, AT_TYPE = AT_TARGETS + 2,
    AT_FLAT = AT_TYPE + 1, AT_SINK = AT_FLAT + 1
};

static void values_that_nobody_writes_are_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
    } bad[] = {
        { AT_VERSION, 0 }, { AT_VERSION, 2 }, { AT_OUTPUTS, 0 }, { AT_OUTPUTS, 2 },
        { AT_OUTPUTS, WAL_OUTPUTS_MAX + 1 }, { AT_OUTPUTS + 1, 1 }, { AT_FORMAT + 3, 0x80 },
        { AT_FORMAT, 5 }, { AT_FORMAT + 4, 0 }, { AT_DELIMITER + 2, 1 }, { AT_EPOCH, 2 },
        { AT_TARGETS, 0 }, { AT_TARGETS, 2 }, { AT_TARGETS, WAL_TARGETS_MAX + 1 },
        { AT_TARGETS + 1, 1 }, { AT_TYPE, 0 }, { AT_TYPE, 2 }, { AT_FLAT, 0xff }, { AT_SINK, 200 }
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
    assert_int_equal(text.data[AT_TYPE], TARGET_FILE);
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

/* What could not be read back at the next start must not get into the log. */
static void a_string_too_long_to_read_is_not_written(void **state)
{
    enum { LONGEST = 4096 };

    (void)state;
    for (size_t len = LONGEST; len <= LONGEST + 1; len++) {
        struct stream_settings set, back;
        struct bytes text = BYTES_INIT;

        built_settings(&set, 1, 1);
        free(set.output[0].target[0].directory);
        set.output[0].target[0].directory = calloc(1, len + 1);
        assert_non_null(set.output[0].target[0].directory);
        memset(set.output[0].target[0].directory, 'd', len);
        if (len > LONGEST) {
            assert_int_equal(stream_settings_format(&set, &text), -ENAMETOOLONG);
        } else {
            assert_int_equal(stream_settings_format(&set, &text), 0);
            assert_int_equal(stream_settings_parse(text.data, text.len, &back), 0);
            check_equal(&set.output[0], &back.output[0]);
            stream_settings_fini(&back);
        }
        stream_settings_fini(&set);
        bytes_free(&text);
    }
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
        cmocka_unit_test(fini_of_nothing_is_fine_and_may_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
