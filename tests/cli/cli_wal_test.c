/*
 * cli_wal: logs laid out byte by byte, sound, contradictory and damaged, as `hydrant wal` tells of
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "cli/cli_wal_item.h"
#include "io/file.h"
#include "wal/log_builder.h"
#include "wal/wal_state.h"

static struct capture capture;
static char root[64], wal[128];

/* The log under construction: items go into the state as they go into the log. */
static struct built_log built;
static struct wal_state known;
static struct bytes items;
static uint32_t items_count;
static uint8_t body[4096];
static uint32_t body_len, body_lens[BUILT_GROUPS_MAX];
static uint64_t ring_pos;

static void item_add(const struct wal_item *item)
{
    built_item(&items, item);
    items_count++;
}

/* Ends a group. */
static void group_add(void)
{
    const uint8_t *at, *end;
    struct wal_item it;

    body_lens[built.groups] = body_len;
    built_append(&built, body, body_len, &items, items_count);
    for (at = items.data, end = at + items.len; at < end;) {
        assert_int_equal(wal_item_next(&at, end, &it), 0);
        (void)wal_state_apply(&known, &it, built.end_lsn);
    }
    bytes_clear(&items);
    items_count = body_len = 0;
}

/* Begins a segment with the checkpoint that belongs there. */
static void segment_add(void)
{
    const uint8_t *at;

    built_segment(&built);
    assert_int_equal(wal_state_checkpoint(&known, &items), 0);
    for (at = items.data; at < items.data + items.len; items_count++)
        at += 8 + bytes_round_up(bytes_get_u32(at + 4), 8);
    group_add();
}

/* A span of `events` events of eight bytes each, with the tally that built_item() gives. */
static struct wal_item span_add(uint32_t events)
{
    uint32_t offset = body_len;
    struct wal_item it;

    for (uint32_t i = 0; i < events; i++) {
        struct shm_frame frame = { .len = 8, .def = 1, .kind = SHM_KIND_TEXT, .time_ns = 42 };

        memcpy(body + body_len, &frame, sizeof(frame));
        memcpy(body + body_len + sizeof(frame), "a\033[3\"\\\nz", 8);
        body_len += 24;
    }
    it = built_span(1, ring_pos, body + offset, body_len - offset, offset, events);
    ring_pos = it.u.span.to;
    return it;
}

static void spans_add(uint32_t events)
{
    struct wal_item it = span_add(events);

    item_add(&it);
    group_add();
}

/* Three segments: rings, streams, events, a batch delivered to one of its two sinks, a trim. */
static void log_make(void)
{
    struct wal_item it = built_attach(1, 0);

    built_log_init(&built);
    built.headers_twice = true;
    assert_int_equal(wal_state_init(&known), 0);
    ring_pos = 0;
    segment_add();
    item_add(&it);
    it = built_stream(1, 1, "clicks", 1);
    item_add(&it);
    it = built_def(1, 1, 1);
    item_add(&it);
    group_add();
    spans_add(3);
    segment_add();
    spans_add(5);
    it = built_seal(1, 1, 1, 0, 4);
    item_add(&it);
    it = built_ack(1, 0, WAL_ACK_DELIVERED);
    item_add(&it);
    group_add();
    segment_add();
    spans_add(2);
}

static void log_write(void)
{
    char path[256];

    for (uint32_t i = 0; i < built.segments; i++) {
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", wal, built.name[i]);
        file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(built.file[i].data, 1, built.file[i].len, file),
                         built.file[i].len);
        assert_int_equal(fclose(file), 0);
    }
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/var/tmp/hydrant-wal-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    (void)snprintf(wal, sizeof(wal), "%s/wal", root);
    if (mkdir(wal, 0700) != 0)
        return -1;
    log_make();
    log_write();
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    wal_state_fini(&known);
    built_log_free(&built);
    bytes_free(&items);
    body_len = items_count = 0;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* words: `wal COMMAND`, then the log's directory, then options. */
static void expect(const char *words, const char *options, int code, const char *out)
{
    char line[512];

    (void)snprintf(line, sizeof(line), "%s %s%s%s", words, wal, options[0] != '\0' ? " " : "",
                   options);
    capture_expect(&capture, cli_wal, line, code, out, "");
}

static unsigned lines_with(const char *text)
{
    unsigned n = 0;

    for (const char *at = capture.out; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

static void a_giant_is_no_segment(void **state)
{
    char path[256];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/%s", wal, built.name[2]);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    (void)snprintf(path, sizeof(path), "wal verify %s", wal);
    capture_expect(&capture, cli_wal, path, CLI_FAILED, "", "larger than any segment");
}

static void help_explains_and_mistakes_are_usage_errors(void **state)
{
    (void)state;
    capture_expect(&capture, cli_wal, "wal --help", CLI_OK, "usage: hydrant wal ls", "");
    capture_expect(&capture, cli_wal, "wal ls --help", CLI_OK, "usage: hydrant wal ls", "");
    capture_expect(&capture, cli_wal, "wal dump --help", CLI_OK, "usage: hydrant wal dump", "");
    capture_expect(&capture, cli_wal, "wal verify -h", CLI_OK, "usage: hydrant wal verify", "");
    capture_expect(&capture, cli_wal, "wal", CLI_USAGE, "", "is wanted");
    capture_expect(&capture, cli_wal, "wal nonsense", CLI_USAGE, "", "is wanted");
    capture_expect(&capture, cli_wal, "wal ls a b", CLI_USAGE, "", "one directory");
    capture_expect(&capture, cli_wal, "wal ls a --data-dir b", CLI_USAGE, "", "either DIR");
    capture_expect(&capture, cli_wal, "wal ls --events", CLI_USAGE, "", "unknown option --events");
    capture_expect(&capture, cli_wal, "wal verify --json", CLI_USAGE, "", "unknown option --json");
    capture_expect(&capture, cli_wal, "wal dump --from x", CLI_USAGE, "", "is no log position");
    capture_expect(&capture, cli_wal, "wal dump --to -1", CLI_USAGE, "", "is no log position");
    capture_expect(&capture, cli_wal, "wal dump --type seal,", CLI_USAGE, "", "there is no ''");
    capture_expect(&capture, cli_wal, "wal dump /nonexistent", CLI_FAILED, "", "no such directory");
    capture_expect(&capture, cli_wal, "wal dump -c /nonexistent.ini", CLI_FAILED, "",
                   "/nonexistent.ini");
}

static void every_type_of_item_has_a_name(void **state)
{
    (void)state;
    for (int i = 1; i < WAL_ITEM_TYPE_COUNT; i++)
        assert_string_not_equal(wal_item_type_name((enum wal_item_type)i), "unknown");
}

static void ls_names_every_file_and_what_it_is(void **state)
{
    char path[256], other[256];
    json_t *json;

    (void)state;
    expect("wal ls", "", CLI_OK, "3 segments, 8 groups, 3 files");
    assert_int_equal(lines_with(" closed\n"), 2);
    assert_int_equal(lines_with(" ends here\n"), 1);
    (void)snprintf(path, sizeof(path), "%s/%s", wal, built.name[0]);
    (void)snprintf(other, sizeof(other), "%s/%s.aside", wal, built.name[0]);
    assert_int_equal(link(path, other), 0);
    (void)snprintf(other, sizeof(other), "%s/%.*s.new", wal, (int)strlen(built.name[0]) - 4,
                   built.name[0]);
    assert_int_equal(link(path, other), 0);
    (void)snprintf(other, sizeof(other), "%s/README\033", wal);
    assert_int_equal(link(path, other), 0);
    expect("wal ls", "", CLI_OK, " set aside\n");
    assert_int_equal(lines_with(" spare\n"), 1);
    assert_int_equal(lines_with("README? "), 1);
    assert_int_equal(lines_with(" no part of the log\n"), 1);
    expect("wal ls", "--json", CLI_OK, "");
    json = json_loads(capture.out, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "files")), 6);
    assert_int_equal(json_integer_value(json_object_get(json, "groups")), 8);
    json_decref(json);
}

static void dump_shows_every_item_once(void **state)
{
    static const char *const parts[] = {
        "type=attach ring_id=1 ring=\"app.1.ring\" uuid=01010101",
        "type=stream stream_id=1 stream=\"clicks\" version=1",
        "type=def ring_id=1 ring=\"app.1.ring\" definition=1 stream_id=1 stream=\"clicks\"",
        "type=span ring_id=1 ring=\"app.1.ring\" from=0 to=72 events=3 ",
        "type=seal epoch=0000000000000007 batch=1 stream_id=1 stream=\"clicks\"",
        "{sink=\"archive\" directory=\"\" key=\"s/b.json\" staging_id=0000000000000000}",
        " batch=1 stream_id=1 stream=\"clicks\" target=0 sink=\"local\" how=delivered",
        "type=stream_totals stream_id=1 stream=\"clicks\" accepted=3",
        "type=sink_totals stream_id=1 stream=\"clicks\" sink=\"local\" events=4 bytes=40 batches=1",
    };

    (void)state;
    expect("wal dump", "", CLI_OK, "type=checkpoint_end");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (lines_with(parts[i]) == 0)
            fail_msg("not found: %s\n%s", parts[i], capture.out);
    assert_int_equal(lines_with("type=segment "), 3);
    assert_int_equal(lines_with("type=group "), 8);
    assert_int_equal(lines_with("type=span "), 3);
    assert_int_equal(lines_with("type=event "), 0);
}

static void dump_takes_filters(void **state)
{
    char option[64];

    (void)state;
    expect("wal dump", "--type span", CLI_OK, "type=span ");
    assert_int_equal(lines_with("\n"), 3);
    expect("wal dump", "--type span,ack --stream clicks", CLI_OK, "type=ack ");
    assert_int_equal(lines_with("\n"), 5);      /* a checkpoint says it again */
    expect("wal dump", "--stream absent", CLI_OK, "");
    assert_string_equal(capture.out, "");
    expect("wal dump", "--ring app.1 --type span", CLI_OK, "type=span ");
    assert_int_equal(lines_with("\n"), 3);
    expect("wal dump", "--ring 1 --type span,seal", CLI_OK, "type=span ");
    assert_int_equal(lines_with("\n"), 3);
    expect("wal dump", "--ring 2", CLI_OK, "");
    assert_string_equal(capture.out, "");
    /* From the second segment on: names come from its checkpoint. */
    (void)snprintf(option, sizeof(option), "--type span --from %llu",
                   (unsigned long long)built.header[1].start_lsn);
    expect("wal dump", option, CLI_OK, "stream=\"clicks\"");
    assert_int_equal(lines_with("\n"), 2);
    (void)snprintf(option, sizeof(option), "--type span --to %llu",
                   (unsigned long long)built.header[1].start_lsn);
    expect("wal dump", option, CLI_OK, "events=3");
    assert_int_equal(lines_with("\n"), 1);
}

static void events_are_escaped_and_valid_json(void **state)
{
    unsigned events = 0;
    char *save = NULL;

    (void)state;
    expect("wal dump", "--events --type event", CLI_OK, "payload=\"a\\x1b[3\\\"\\\\\\nz\"");
    assert_int_equal(lines_with("\n"), 10);
    expect("wal dump", "--events --json", CLI_OK, "");
    for (char *line = strtok_r(capture.out, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

        if (json == NULL)
            fail_msg("no JSON: %s", line);
        assert_true(json_is_integer(json_object_get(json, "lsn")));
        if (strcmp(json_string_value(json_object_get(json, "type")), "event") == 0) {
            assert_string_equal(json_string_value(json_object_get(json, "payload")),
                                "a\033[3\"\\\nz");
            assert_string_equal(json_string_value(json_object_get(json, "stream")), "clicks");
            events++;
        }
        json_decref(json);
    }
    assert_int_equal(events, 10);
}

static void a_sound_log_is_sound(void **state)
{
    (void)state;
    expect("wal verify", "", CLI_OK, "sound\n");
    assert_non_null(strstr(capture.out, "3 segments, 8 groups, "));
    assert_non_null(strstr(capture.out, "3 spans with 10 events"));
    assert_non_null(strstr(capture.out, "clicks        10          0       10        0     0"));
    assert_int_equal(lines_with("damage"), 0);
}

/* Adds a group to a sound log and expects it to be found fault with. */
static void refused(const struct wal_item *it, const char *text)
{
    item_add(it);
    group_add();
    log_write();
    expect("wal verify", "", CLI_FAILED, text);
    if (lines_with("damage  ") != 1)
        fail_msg("one finding is wanted:\n%s", capture.out);
}

static void an_unknown_stream_is_a_contradiction(void **state)
{
    struct wal_item it = built_seal(2, 9, 1, 0, 1);

    (void)state;
    refused(&it, "contradicts the log before it: type=seal");
}

static void bytes_taken_twice_are_a_contradiction(void **state)
{
    struct wal_item it;

    (void)state;
    ring_pos -= 24;
    it = span_add(1);
    refused(&it, "contradicts the log before it: type=span");
}

static void more_events_than_frames_are_damage(void **state)
{
    struct wal_item it = span_add(2);

    (void)state;
    it.u.span.events = 3;
    refused(&it, "span of 3 events of ring 1 (app.1.ring): its events are not as many");
}

static void more_sealed_than_accepted_is_damage(void **state)
{
    struct wal_item it = built_seal(2, 1, 1, 0, 1000);

    (void)state;
    refused(&it, "1004 events sealed, 10 accepted");
}

/* Sealed side by side in two partitions, and one of them twice. */
static void a_partition_sealed_twice_is_damage(void **state)
{
    struct wal_item it = built_seal(2, 1, 1, 0, 1);

    (void)state;
    it.u.seal.partition = built_str("country=DE/");
    item_add(&it);
    it.u.seal.number = 3;
    it.u.seal.first_lsn = it.u.seal.last_lsn = 210;
    it.u.seal.partition = built_str("country=F\033/");
    item_add(&it);
    group_add();
    segment_add();
    log_write();
    expect("wal verify", "", CLI_OK, "sound\n");
    expect("wal dump", "--type partition", CLI_OK,
           "type=partition stream_id=1 stream=\"clicks\" version=1 output=0 "
           "partition=\"country=DE/\" sealed_lsn=299\n");
    assert_int_equal(lines_with("type=partition"), 2);
    it.u.seal.number = 4;
    refused(&it, "seals again what is sealed up to lsn 210 and trimmed below lsn 0: type=seal");
    assert_non_null(strstr(capture.out, "output=0 partition=\"country=F\\x1b/\" first_lsn=210"));
}

static void schemas_are_shown_by_ring_and_stream(void **state)
{
    struct wal_item it = built_schema(1, 2, 1, "a long\033");

    (void)state;
    item_add(&it);
    group_add();
    segment_add();
    log_write();
    expect("wal verify", "", CLI_OK, "sound\n");
    expect("wal dump", "--type schema --stream clicks --ring app.1", CLI_OK,
           "type=schema ring_id=1 ring=\"app.1.ring\" definition=2 stream_definition=1 "
           "stream_id=1 stream=\"clicks\" body=\"a long\\x1b\"\n");
    assert_int_equal(lines_with("type=schema"), 2);
    expect("wal dump", "--type schema --stream other", CLI_OK, "");
    assert_int_equal(lines_with("type=schema"), 0);
    it.u.schema.body = built_str("b long");
    refused(&it, "contradicts the log before it: type=schema");
}

static void a_checkpoint_must_say_what_the_log_says(void **state)
{
    struct wal_item it = {.type = WAL_STREAM_TOTALS};

    (void)state;
    /* The model learns what the log is not told. */
    it.u.stream_totals.stream = 1;
    it.u.stream_totals.accepted = 11;
    it.u.stream_totals.accepted_bytes = 80;
    assert_int_equal(wal_state_apply(&known, &it, 0), 0);
    segment_add();
    log_write();
    expect("wal verify", "", CLI_FAILED, "the checkpoint says: type=stream_totals");
    assert_non_null(strstr(capture.out, "accepted=11"));
    assert_non_null(strstr(capture.out, "the log before it: type=stream_totals"));
}

static void a_torn_end_is_a_note(void **state)
{
    uint8_t *last = built.file[2].data + built.file[2].len - WAL_BLOCK;

    (void)state;
    last[70] ^= 1;
    log_write();
    expect("wal verify", "", CLI_OK, "the log ends here; 8192 bytes behind");
    last[70] ^= 1;
    last[-WAL_BLOCK + 30] ^= 1;     /* its body, which no group says was synced */
    log_write();
    expect("wal verify", "", CLI_OK, "was not synced when its writer died");
    expect("wal dump", "--events", CLI_FAILED, "type=damage");
}

static void an_unsynced_hole_ends_the_log(void **state)
{
    (void)state;
    spans_add(1);
    built.file[2].data[built.group[7].lsn - built.header[2].start_lsn + 70] ^= 1;
    log_write();
    expect("wal verify", "", CLI_OK, "the log ends here: what follows was not synced");
    expect("wal dump", "", CLI_FAILED, "type=hole");
}

static void foreign_segments_are_named(void **state)
{
    struct built_log other;
    char path[256];
    FILE *file;

    (void)state;
    built_log_init(&other);
    other.uuid[0] ^= 1;
    other.epoch++;
    other.headers_twice = true;
    built_segment(&other);
    (void)snprintf(path, sizeof(path), "%s/%s", wal, other.name[0]);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(other.file[0].data, 1, other.file[0].len, file), other.file[0].len);
    assert_int_equal(fclose(file), 0);
    built_log_free(&other);
    expect("wal verify", "", CLI_FAILED, "is a segment of another log");
    assert_int_equal(lines_with("damage  "), 1);
    expect("wal ls", "", CLI_FAILED, "unreadable: of another log");
}

/* Whatever byte is wrong below a segment's end is found; elsewhere nothing worse happens. */
static void every_flipped_byte_is_found(void **state)
{
    const size_t step = getenv("HYDRANT_LONG") != NULL ? 7 : 211;
    char path[256];

    (void)state;
    for (uint32_t s = 0; s < built.segments; s++) {
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", wal, built.name[s]);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        for (size_t at = s; at < built.file[s].len; at += step) {
            uint8_t byte = built.file[s].data[at] ^ (uint8_t)(1U << at % 8);
            bool zero_block = at < WAL_BLOCK
                              && at % WAL_HEADER_AGAIN >= sizeof(struct wal_segment_header);
            bool padding = false;
            char line[256];

            for (uint32_t g = 0; g < built.groups; g++)
                padding |= built.group[g].segment == s
                           && at >= built.group[g].group_lsn - built.header[s].start_lsn
                                        + body_lens[g]
                           && at < built.group[g].lsn - built.header[s].start_lsn;
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
            (void)snprintf(line, sizeof(line), "wal verify %s", wal);
            capture_run(&capture, cli_wal, "", 0, line);
            if (capture.code != CLI_FAILED && s + 1 < built.segments && !zero_block && !padding)
                fail_msg("segment %u, byte %zu: %s%s", s, at, capture.out, capture.err);
            (void)snprintf(line, sizeof(line), "wal dump %s --events", wal);
            capture_run(&capture, cli_wal, "", 0, line);
            assert_true(capture.code == CLI_OK || capture.code == CLI_FAILED);
            assert_int_equal(pwrite(fd, &built.file[s].data[at], 1, (off_t)at), 1);
        }
        assert_int_equal(close(fd), 0);
    }
    expect("wal verify", "", CLI_OK, "sound\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(help_explains_and_mistakes_are_usage_errors),
        T(every_type_of_item_has_a_name),
        T(ls_names_every_file_and_what_it_is),
        T(dump_shows_every_item_once),
        T(dump_takes_filters),
        T(events_are_escaped_and_valid_json),
        T(a_sound_log_is_sound),
        T(an_unknown_stream_is_a_contradiction),
        T(bytes_taken_twice_are_a_contradiction),
        T(more_events_than_frames_are_damage),
        T(more_sealed_than_accepted_is_damage),
        T(a_partition_sealed_twice_is_damage),
        T(schemas_are_shown_by_ring_and_stream),
        T(a_checkpoint_must_say_what_the_log_says),
        T(a_torn_end_is_a_note),
        T(an_unsynced_hole_ends_the_log),
        T(foreign_segments_are_named),
        T(a_giant_is_no_segment),
        T(every_flipped_byte_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
