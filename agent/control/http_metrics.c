/*
 * http_metrics: walks the table of metrics.def over a status.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/http_metrics.h"

#include <inttypes.h>

#include "base/version.h"
#include "control/status_json.h"

enum metric_over {
    OVER_FAMILY, /* not a sample: the head of those that follow */
    OVER_HISTOGRAM, /* a head and its samples in one */
    OVER_AGENT,
    OVER_STREAM,
    OVER_STREAM_SINK,
    OVER_STREAM_SOURCE,
    OVER_STREAM_DROPPED,
    OVER_STREAM_LOST,
    OVER_STREAM_REFUSED,
    OVER_LOST,
    OVER_SINK,
    OVER_RING_STATE,
    OVER_DROP,
    OVER_BACKPRESSURE,
    OVER_INTAKE_SOURCE,
    OVER_INTAKE_SOCKET,
    OVER_INTAKE_ENDED,
    OVER_INTAKE_FAULT,
    OVER_RELAY_WAIT,
    OVER_COUNT
};

enum metric_unit { UNIT_COUNT, UNIT_NS };

#define TYPE_COUNTER "counter"
#define TYPE_GAUGE   "gauge"
#define TYPE_HISTOGRAM "histogram"

/* Where a sample's value is taken from. */
struct metric_at {
    const struct status *s;
    const struct status_stream *st;
    const struct status_stream_sink *ss;
    const struct status_sink *k;
    size_t i;
};

/* One function for each SAMPLE, named by its line in the table. */
#define METRIC_CAT(a, b)  a##b
#define METRIC_NAME(line) METRIC_CAT(metric_value_, line)
#define FAMILY(name, type, help)
#define HISTOGRAM(name, scale, help, value)                                             \
    static const struct histogram *METRIC_NAME(__LINE__)(const struct status *s)        \
    {                                                                                   \
        return &(value);                                                                \
    }
#define SAMPLE(over, labels, unit, value)                               \
    static uint64_t METRIC_NAME(__LINE__)(const struct metric_at *at)   \
    {                                                                   \
        const struct status *s = at->s;                                 \
        const struct status_stream *st = at->st;                        \
        const struct status_stream_sink *ss = at->ss;                   \
        const struct status_sink *k = at->k;                            \
        size_t i = at->i;                                               \
                                                                        \
        (void)s, (void)st, (void)ss, (void)k, (void)i;                  \
        return (uint64_t)(value);                                       \
    }
#include "control/metrics.def"
#undef FAMILY
#undef HISTOGRAM
#undef SAMPLE

struct metric_row {
    enum metric_over over;
    const char *name;   /* FAMILY, HISTOGRAM */
    const char *type;
    const char *help;
    const char *labels; /* SAMPLE */
    enum metric_unit unit;
    uint64_t (*value)(const struct metric_at *at);
    enum histogram_scale scale; /* HISTOGRAM */
    const struct histogram *(*histogram)(const struct status *s);
};

static const struct metric_row metric_rows[] = {
#define FAMILY(name_, type_, help_) \
    { .over = OVER_FAMILY, .name = (name_), .type = TYPE_##type_, .help = (help_) },
#define HISTOGRAM(name_, scale_, help_, value_) \
    { .over = OVER_HISTOGRAM, .name = (name_), .type = TYPE_HISTOGRAM, .help = (help_), \
      .scale = HISTOGRAM_##scale_, .histogram = METRIC_NAME(__LINE__) },
#define SAMPLE(over_, labels_, unit_, value_) \
    { .over = OVER_##over_, .labels = (labels_), .unit = UNIT_##unit_, \
      .value = METRIC_NAME(__LINE__) },
#include "control/metrics.def"
#undef FAMILY
#undef HISTOGRAM
#undef SAMPLE
};

enum { METRIC_ROWS = sizeof(metric_rows) / sizeof(metric_rows[0]) };

/* The labels that go with each `over`, for the documentation and in the order printed. */
static const char *const over_labels[OVER_COUNT] = {
    [OVER_STREAM] = "stream",
    [OVER_STREAM_SINK] = "stream, sink",
    [OVER_STREAM_SOURCE] = "stream, source",
    [OVER_STREAM_DROPPED] = "stream, reason",
    [OVER_STREAM_LOST] = "stream, reason",
    [OVER_STREAM_REFUSED] = "stream, reason",
    [OVER_LOST] = "reason",
    [OVER_SINK] = "sink",
    [OVER_RING_STATE] = "state",
    [OVER_DROP] = "reason",
    [OVER_BACKPRESSURE] = "reason",
    [OVER_INTAKE_SOURCE] = "source",
    [OVER_INTAKE_SOCKET] = "source",
    [OVER_INTAKE_ENDED] = "reason",
    [OVER_INTAKE_FAULT] = "reason",
    [OVER_RELAY_WAIT] = "reason",
};

static size_t over_count(enum metric_over over, const struct status *s)
{
    switch (over) {
    case OVER_AGENT:
        return 1;
    case OVER_STREAM:
        return s->streams_count;
    case OVER_STREAM_SINK:
        return s->stream_sinks_count;
    case OVER_STREAM_SOURCE:
        return s->streams_count * WAL_SOURCE_COUNT;
    case OVER_STREAM_DROPPED:
        return s->streams_count * WAL_DROP_REASON_COUNT;
    case OVER_STREAM_LOST:
        return s->streams_count * WAL_LOST_REASON_COUNT;
    case OVER_STREAM_REFUSED:
        return s->streams_count * ENCODING_ERROR_COUNT;
    case OVER_LOST:
        return WAL_LOST_REASON_COUNT;
    case OVER_SINK:
        return s->sinks_count;
    case OVER_RING_STATE:
        return STATUS_RING_STATE_COUNT;
    case OVER_DROP:
        return SHM_DROP_COUNT;
    case OVER_BACKPRESSURE:
        return BACKPRESSURE_COUNT;
    case OVER_INTAKE_SOURCE:
        return INTAKE_SOURCE_COUNT;
    case OVER_INTAKE_SOCKET:
        return INTAKE_SOCKET_COUNT;
    case OVER_INTAKE_ENDED:
        return INTAKE_ENDED_COUNT;
    case OVER_INTAKE_FAULT:
        return LINE_FAULT_COUNT;
    case OVER_RELAY_WAIT:
        return RELAY_WAIT_COUNT;
    case OVER_FAMILY:
    case OVER_HISTOGRAM:
    case OVER_COUNT:
        break;
    }
    return 0;
}

/* name="value" with the three characters escaped that the format asks for; a comma before all but
 * the first. */
static int label_append(struct bytes *page, bool first, const char *name, const char *value)
{
    int res = bytes_printf(page, "%s%s=\"", first ? "" : ",", name);

    for (const char *c = value; res == 0 && *c != '\0'; c++) {
        if (*c == '\n')
            res = bytes_append_str(page, "\\n");
        else if (*c == '\\' || *c == '"')
            res = bytes_printf(page, "\\%c", *c);
        else
            res = bytes_append_char(page, *c);
    }
    return res != 0 ? res : bytes_append_char(page, '"');
}

/* The stream and the name of item i, of which each stream has `count`. */
static int stream_item_begin(struct metric_at *at, const char *label, const char *const *names,
                             size_t count, struct bytes *page)
{
    int res;

    at->st = &at->s->streams[at->i / count];
    at->i %= count;
    res = label_append(page, true, "stream", at->st->name);
    return res != 0 ? res : label_append(page, false, label, names[at->i]);
}

/* The labels of one item; sets what the value function needs to see. */
static int over_begin(enum metric_over over, struct metric_at *at, struct bytes *page)
{
    const struct status *s = at->s;
    int res;

    switch (over) {
    case OVER_STREAM:
        at->st = &s->streams[at->i];
        return label_append(page, true, "stream", at->st->name);
    case OVER_STREAM_SINK:
        at->ss = &s->stream_sinks[at->i];
        at->st = &s->streams[at->ss->stream];
        res = label_append(page, true, "stream", at->st->name);
        return res != 0 ? res : label_append(page, false, "sink", at->ss->sink);
    case OVER_STREAM_SOURCE:
        return stream_item_begin(at, "source", wal_source_names, WAL_SOURCE_COUNT, page);
    case OVER_STREAM_DROPPED:
        return stream_item_begin(at, "reason", wal_drop_names, WAL_DROP_REASON_COUNT, page);
    case OVER_STREAM_LOST:
        return stream_item_begin(at, "reason", wal_lost_names, WAL_LOST_REASON_COUNT, page);
    case OVER_STREAM_REFUSED:
        return stream_item_begin(at, "reason", encoding_error_names, ENCODING_ERROR_COUNT, page);
    case OVER_LOST:
        return label_append(page, true, "reason", wal_lost_names[at->i]);
    case OVER_SINK:
        at->k = &s->sinks[at->i];
        return label_append(page, true, "sink", at->k->name);
    case OVER_RING_STATE:
        return label_append(page, true, "state", status_ring_state_names[at->i]);
    case OVER_DROP:
        return label_append(page, true, "reason", status_drop_names[at->i]);
    case OVER_BACKPRESSURE:
        return label_append(page, true, "reason", backpressure_names[at->i]);
    case OVER_INTAKE_SOURCE:
    case OVER_INTAKE_SOCKET:
        return label_append(page, true, "source", intake_source_names[at->i]);
    case OVER_INTAKE_ENDED:
        return label_append(page, true, "reason", intake_ended_names[at->i]);
    case OVER_INTAKE_FAULT:
        return label_append(page, true, "reason", line_fault_names[at->i]);
    case OVER_RELAY_WAIT:
        return label_append(page, true, "reason", relay_wait_names[at->i]);
    case OVER_FAMILY:
    case OVER_HISTOGRAM:
    case OVER_AGENT:
    case OVER_COUNT:
        break;
    }
    return 0;
}

static int value_append(struct bytes *page, enum metric_unit unit, uint64_t value)
{
    if (unit == UNIT_NS)
        return bytes_printf(page, " %" PRIu64 ".%09" PRIu64 "\n", value / 1000000000U,
                            value % 1000000000U);
    return bytes_printf(page, " %" PRIu64 "\n", value);
}

static int sample_append(struct bytes *page, const char *family, const struct metric_row *row,
                         struct metric_at *at)
{
    bool own = over_labels[row->over] != NULL;
    bool braces = own || row->labels[0] != '\0';
    int res = bytes_append_str(page, family);

    if (res == 0 && braces)
        res = bytes_append_char(page, '{');
    if (res == 0)
        res = over_begin(row->over, at, page);
    if (res == 0 && row->labels[0] != '\0')
        res = bytes_printf(page, "%s%s", own ? "," : "", row->labels);
    if (res == 0 && braces)
        res = bytes_append_char(page, '}');
    if (res == 0)
        res = value_append(page, row->unit, row->value(at));
    return res;
}

/* Each bucket has those of the buckets before it, too. */
static int histogram_append(struct bytes *page, const struct metric_row *row,
                            const struct histogram *h)
{
    enum metric_unit unit = row->scale == HISTOGRAM_NS ? UNIT_NS : UNIT_COUNT;
    size_t count;
    const uint64_t *bounds = histogram_bounds(row->scale, &count);
    uint64_t total = 0;
    int res = 0;

    for (size_t i = 0; res == 0 && i < count; i++) {
        total += h->count[i];
        res = bytes_printf(page, "%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", row->name,
                           (double)bounds[i] / (unit == UNIT_NS ? 1e9 : 1), total);
    }
    total += h->count[count];
    if (res == 0)
        res = bytes_printf(page, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum", row->name, total,
                           row->name);
    if (res == 0)
        res = value_append(page, unit, h->sum);
    return res != 0 ? res : bytes_printf(page, "%s_count %" PRIu64 "\n", row->name, total);
}

int http_metrics_render(const struct status *status, struct bytes *page)
{
    const char *family = NULL;
    int res = 0;

    for (size_t r = 0; res == 0 && r < METRIC_ROWS; r++) {
        const struct metric_row *row = &metric_rows[r];
        size_t count = over_count(row->over, status);

        if (row->name != NULL) {
            family = row->name;
            res = bytes_printf(page, "# HELP %s %s\n# TYPE %s %s\n", family, row->help, family,
                               row->type);
        }
        if (res == 0 && row->over == OVER_HISTOGRAM)
            res = histogram_append(page, row, row->histogram(status));
        for (size_t i = 0; res == 0 && i < count; i++) {
            struct metric_at at = { .s = status, .i = i };

            res = sample_append(page, family, row, &at);
        }
    }
    return res;
}

void http_metrics_print_doc(FILE *out)
{
    for (size_t r = 0; r < METRIC_ROWS; r++) {
        const struct metric_row *row = &metric_rows[r];

        if (row->name != NULL)
            fprintf(out, "%s\n    %s. %s\n", row->name, row->type, row->help);
        else if (over_labels[row->over] != NULL || row->labels[0] != '\0')
            fprintf(out, "    {%s%s%s}\n",
                    over_labels[row->over] != NULL ? over_labels[row->over] : "",
                    over_labels[row->over] != NULL && row->labels[0] != '\0' ? ", " : "",
                    row->labels);
    }
}
