/*
 * status_json: field names are a contract, so they are all spelled out here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "control/fake_shard.h"
#include "control/status_json.h"

static json_t *json_of(const struct status *s)
{
    char *text;
    size_t len;
    json_t *json;

    assert_int_equal(status_json_render(s, &text, &len), 0);
    assert_int_equal(strlen(text), len);
    assert_int_equal(text[len - 1], '\n');
    json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    free(text);
    return json;
}

/* The object has exactly these members, in this order. */
static void members(json_t *object, const char *names)
{
    char found[1024] = "";
    const char *key;
    json_t *value;

    assert_true(json_is_object(object));
    json_object_foreach(object, key, value) {
        size_t len = strlen(found);

        (void)value;
        (void)snprintf(found + len, sizeof(found) - len, "%s%s", len > 0 ? " " : "", key);
    }
    assert_string_equal(found, names);
}

static json_t *first_of(json_t *object, const char *list)
{
    json_t *item = json_array_get(json_object_get(object, list), 0);

    assert_non_null(item);
    return item;
}

static void field_names_are_the_contract(void **state)
{
    static struct fake_shard f;
    struct status *s = fake_status(&f);
    json_t *json = json_of(s);
    json_t *stream = first_of(json, "streams");
    json_t *ring = first_of(json, "rings");

    (void)state;
    members(json, "version agent epoch pid uptime_ns ready stopping recovery_left_bytes turns wal "
                  "memory backpressure pushes_back lost_bytes intake_drops intake relay "
                  "rings_by_state streams sinks rings shards");
    assert_true(json_is_null(json_object_get(json, "intake")));     /* no sockets */
    members(json_object_get(json, "wal"),
            "bytes spool_bytes bytes_max end_lsn synced_lsn trim_lsn segments syncs commits");
    members(json_object_get(json, "memory"), "bytes bytes_max");
    members(json_object_get(json, "backpressure"),
            "log_full memory disk_full log_error sink_error rings_max streams_max "
            "seals_max spool_full");
    members(first_of(json, "pushes_back"), "reason words");
    members(json_object_get(json, "lost_bytes"), "corrupt unsynced crash");
    members(json_object_get(json, "intake_drops"), "full timeout too_large stale");
    members(json_object_get(json, "rings_by_state"), "attached orphan quarantined waiting");
    members(stream, "name accepted accepted_bytes delivered dropped lost pending "
                    "dropped_by_reason lost_by_reason refused_by_reason oldest_pending_ns "
                    "batches_open batches_sealing sinks");
    members(json_object_get(stream, "dropped_by_reason"), "sink_removed");
    members(json_object_get(stream, "lost_by_reason"), "corrupt unsynced crash");
    members(json_object_get(stream, "refused_by_reason"),
            "processing-failed format-conversion-failed");
    members(first_of(stream, "sinks"), "sink delivered delivered_bytes batches");
    members(first_of(json, "sinks"),
            "name type target draining retries duplicates batches_waiting lag_ns waits_because");
    members(ring, "name state quarantine waits_because id pid uid ring_bytes head accepted "
                  "durable delivered drops shard");
    members(first_of(json, "shards"), "shard surplus ready rings turns wal_bytes wal_segments "
                                      "wal_end_lsn wal_synced_lsn wal_trim_lsn");
    members(json_object_get(ring, "drops"), "full timeout too_large stale");
    json_decref(json);
    status_free(s);
}

static void values_are_those_of_the_status(void **state)
{
    static struct fake_shard f;
    struct status *s = fake_status(&f);
    json_t *json, *stream;

    (void)state;
    s->rings[0].state = STATUS_RING_QUARANTINED;
    s->rings[0].quarantine = SHM_QUARANTINE_FRAME;
    json = json_of(s);
    stream = first_of(json, "streams");
    assert_string_equal(json_string_value(json_object_get(json, "epoch")), "69a1b2c3d4e5f607");
    assert_true(json_is_false(json_object_get(json, "ready")));
    assert_true(json_is_true(json_object_get(json_object_get(json, "backpressure"), "disk_full")));
    assert_int_equal(json_integer_value(json_object_get(stream, "pending")), 95);
    assert_int_equal(json_integer_value(json_object_get(
                         json_object_get(stream, "refused_by_reason"),
                         "format-conversion-failed")), 4);
    assert_int_equal(json_array_size(json_object_get(stream, "sinks")), 2);
    assert_true(json_is_null(json_object_get(first_of(json, "sinks"), "waits_because")));
    assert_string_equal(json_string_value(json_object_get(first_of(json, "rings"), "quarantine")),
                        "frame");
    assert_true(json_is_null(json_object_get(first_of(json, "rings"), "waits_because")));
    json_decref(json);
    s->rings[0].state = STATUS_RING_WAITING;
    s->rings[0].waits = SHM_WAIT_RINGS_UID;
    json = json_of(s);
    assert_string_equal(json_string_value(json_object_get(first_of(json, "rings"), "state")),
                        "waiting");
    assert_string_equal(
        json_string_value(json_object_get(first_of(json, "rings"), "waits_because")),
        "rings_per_uid_max");
    json_decref(json);
    status_free(s);
}

static void impossible_numbers_and_paths_stay_json(void **state)
{
    static struct fake_shard f;
    struct status *s = fake_status(&f);
    json_t *json;

    (void)state;
    s->rings[0].drops[SHM_DROP_FULL] = UINT64_MAX;
    memcpy(s->sinks[0].target, "/data/\xff\xfe\"\n", 11);
    json = json_of(s);
    assert_true(json_integer_value(json_object_get(
                    json_object_get(first_of(json, "rings"), "drops"), "full")) == INT64_MAX);
    assert_string_equal(json_string_value(json_object_get(first_of(json, "sinks"), "target")),
                        "/data/?\?\"\n");
    json_decref(json);
    status_free(s);
}

static void nothing_to_free_is_fine(void **state)
{
    (void)state;
    status_free(NULL);
    status_free(calloc(1, sizeof(struct status)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_names_are_the_contract),
        cmocka_unit_test(values_are_those_of_the_status),
        cmocka_unit_test(impossible_numbers_and_paths_stay_json),
        cmocka_unit_test(nothing_to_free_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
