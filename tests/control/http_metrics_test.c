/*
 * http_metrics: the page is read back by a strict reader of the text format.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/fake_shard.h"
#include "control/http_metrics.h"

static char *page_of(const struct status *s)
{
    struct bytes page = BYTES_INIT;
    char *text;

    assert_int_equal(http_metrics_render(s, &page), 0);
    text = bytes_take_cstr(&page);
    assert_non_null(text);
    return text;
}

static struct status *status_full(void)
{
    static struct fake_shard f;

    atomic_store(&f.ready, true);
    return fake_status(&f);
}

/* Each sample stands under a TYPE line of its own family, no family and no sample comes twice. */
static void the_page_obeys_the_format(void **state)
{
    struct status *s = status_full();
    char *page = page_of(s);
    char *seen[512];
    size_t seen_count = 0;
    char family[128] = "";
    bool histogram = false;
    char *save = NULL;

    (void)state;
    for (char *line = strtok_r(page, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        size_t name_len;
        char *value;

        if (strncmp(line, "# HELP ", 7) == 0) {
            name_len = strcspn(line + 7, " ");
            assert_true(name_len < sizeof(family));
            memcpy(family, line + 7, name_len);
            family[name_len] = '\0';
            assert_memory_equal(family, "hydrant_", 8);
            for (size_t i = 0; i < seen_count; i++)
                assert_string_not_equal(seen[i], family);
            seen[seen_count++] = strdup(family);
            line = strtok_r(NULL, "\n", &save);
            assert_non_null(line);
            assert_memory_equal(line, "# TYPE ", 7);
            assert_memory_equal(line + 7, family, name_len);
            /* Counters, and only they, end in _total. */
            assert_int_equal(strcmp(line + 8 + name_len, "counter") == 0,
                             strcmp(family + name_len - 6, "_total") == 0);
            histogram = strcmp(line + 8 + name_len, "histogram") == 0;
            continue;
        }
        name_len = strcspn(line, "{ ");
        assert_memory_equal(line, family, strlen(family));
        if (histogram)
            assert_true(name_len == strlen(family) + 7 || name_len == strlen(family) + 4 ||
                        name_len == strlen(family) + 6);    /* _bucket, _sum, _count */
        else
            assert_int_equal(name_len, strlen(family));
        value = strrchr(line, ' ');
        assert_non_null(value);
        assert_true(isdigit((unsigned char)value[1]));
        assert_int_equal(value[1 + strspn(value + 1, "0123456789.")], '\0');
        if (line[name_len] == '{')
            assert_int_equal(value[-1], '}');
        value[1] = '\0'; /* with the space, so that no sample is a family's name */
        for (size_t i = 0; i < seen_count; i++)
            assert_string_not_equal(seen[i], line);
        assert_true(seen_count < sizeof(seen) / sizeof(seen[0]));
        seen[seen_count++] = strdup(line);
    }
    assert_true(seen_count > 40);
    for (size_t i = 0; i < seen_count; i++)
        free(seen[i]);
    free(page);
    status_free(s);
}

static void the_names_of_the_contract_are_there(void **state)
{
    static const char *const lines[] = {
        "\nhydrant_events_accepted_total{stream=\"clicks\",source=\"ring\"} 990\n",
        "\nhydrant_events_accepted_total{stream=\"clicks\",source=\"tcp\"} 10\n",
        "\nhydrant_events_accepted_total{stream=\"clicks\",source=\"relay\"} 0\n",
        "\nhydrant_event_bytes_accepted_total{stream=\"clicks\"} 200000\n",
        "\nhydrant_events_delivered_total{stream=\"clicks\",sink=\"local\"} 900\n",
        "\nhydrant_events_delivered_total{stream=\"clicks\",sink=\"second\"} 0\n",
        "\nhydrant_events_delivered_total{stream=\"errors.x-1\",sink=\"local\"} 0\n",
        "\nhydrant_events_dropped_total{stream=\"clicks\",reason=\"sink_removed\"} 0\n",
        "\nhydrant_events_dropped_total{stream=\"errors.x-1\",reason=\"sink_removed\"} 3\n",
        "\nhydrant_events_lost_total{stream=\"clicks\",reason=\"corrupt\"} 5\n",
        "\nhydrant_events_lost_total{stream=\"clicks\",reason=\"unsynced\"} 0\n",
        "\nhydrant_events_lost_total{stream=\"errors.x-1\",reason=\"corrupt\"} 0\n",
        "\nhydrant_events_refused_total{stream=\"clicks\",reason=\"processing-failed\"} 0\n",
        "\nhydrant_events_refused_total{stream=\"clicks\",reason=\"format-conversion-failed\"} 4\n",
        "\nhydrant_events_refused_total{stream=\"errors.x-1\",reason=\"processing-failed\"} 0\n",
        "\nhydrant_events_pending{stream=\"clicks\"} 95\n",
        "\nhydrant_stream_oldest_pending_seconds{stream=\"clicks\"} 1.250000000\n",
        "\nhydrant_rings{state=\"attached\"} 2\n",
        "\nhydrant_backpressure{reason=\"disk_full\"} 1\n",
        "\nhydrant_backpressure{reason=\"log_full\"} 0\n",
        "\nhydrant_backpressure{reason=\"memory\"} 0\n",
        "\nhydrant_backpressure{reason=\"log_error\"} 0\n",
        "\nhydrant_backpressure{reason=\"sink_error\"} 0\n",
        "\nhydrant_backpressure{reason=\"rings_max\"} 0\n",
        "\nhydrant_backpressure{reason=\"streams_max\"} 0\n",
        "\nhydrant_backpressure{reason=\"seals_max\"} 0\n",
        "\nhydrant_wal_bytes 67108864\n",
        "\nhydrant_sink_retries_total{sink=\"local\"} 0\n",
        "\nhydrant_build_info{version=\"0.1.0\"} 1\n",
        "\nhydrant_intake_drops_total{reason=\"full\"} 7\n",
        "\nhydrant_lost_bytes_total{reason=\"corrupt\"} 0\n",
        "\nhydrant_lost_bytes_total{reason=\"unsynced\"} 8192\n",
    };
    struct status *s = status_full();
    char *page = page_of(s);

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strstr(page, lines[i]) == NULL)
            fail_msg("missing: %s", lines[i] + 1);
    free(page);
    status_free(s);
}

static void histograms_are_cumulative(void **state)
{
    static const char *const wanted[] = {
        "# TYPE hydrant_wal_commit_seconds histogram\n"
        "hydrant_wal_commit_seconds_bucket{le=\"0.0001\"} 1\n"
        "hydrant_wal_commit_seconds_bucket{le=\"0.00025\"} 1\n"
        "hydrant_wal_commit_seconds_bucket{le=\"0.0005\"} 1\n"
        "hydrant_wal_commit_seconds_bucket{le=\"0.001\"} 3\n",
        "hydrant_wal_commit_seconds_bucket{le=\"300\"} 3\n"
        "hydrant_wal_commit_seconds_bucket{le=\"+Inf\"} 4\n"
        "hydrant_wal_commit_seconds_sum 400.001900000\n"
        "hydrant_wal_commit_seconds_count 4\n",
        "hydrant_batch_bytes_bucket{le=\"1024\"} 0\nhydrant_batch_bytes_bucket{le=\"4096\"} 1\n",
        "hydrant_batch_bytes_sum 1025\nhydrant_batch_bytes_count 1\n",
    };
    static const uint64_t commits_ns[] = { 100000, 900000, 900000, 400000000000 };
    struct status *s = status_full();
    char *page;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        histogram_add(&s->meters[METER_COMMIT], HISTOGRAM_NS, commits_ns[i]);
    histogram_add(&s->meters[METER_BATCH], HISTOGRAM_BYTES, 1025);
    page = page_of(s);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (strstr(page, wanted[i]) == NULL)
            fail_msg("missing: %s", wanted[i]);
    free(page);
    status_free(s);
}

static void labels_are_escaped(void **state)
{
    struct status *s = status_full();
    char *page;

    (void)state;
    memcpy(s->sinks[0].name, "a\"b\\c\nd", 8);
    page = page_of(s);
    assert_non_null(strstr(page, "hydrant_sink_retries_total{sink=\"a\\\"b\\\\c\\nd\"} 0\n"));
    free(page);
    status_free(s);
}

static void an_empty_agent_has_a_page(void **state)
{
    struct status s = { .pid = 1 };
    char *page = page_of(&s);

    (void)state;
    assert_non_null(strstr(page, "\nhydrant_ready 0\n"));
    assert_null(strstr(page, "stream=\""));
    free(page);
}

static void the_documentation_has_every_family(void **state)
{
    struct status s = { .pid = 1 };
    char *page = page_of(&s);
    char *doc = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&doc, &len);

    (void)state;
    assert_non_null(out);
    http_metrics_print_doc(out);
    assert_int_equal(fclose(out), 0);
    for (const char *at = page; (at = strstr(at, "# HELP ")) != NULL; at += 7) {
        char name[128];
        size_t n = strcspn(at + 7, " ");

        assert_true(n < sizeof(name));
        memcpy(name, at + 7, n);
        name[n] = '\0';
        assert_non_null(strstr(doc, name));
    }
    free(doc);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_obeys_the_format),
        cmocka_unit_test(the_names_of_the_contract_are_there),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(labels_are_escaped),
        cmocka_unit_test(an_empty_agent_has_a_page),
        cmocka_unit_test(the_documentation_has_every_family),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
