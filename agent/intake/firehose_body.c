/*
 * firehose_body: walks the request once for its members, then its records one by one.
 *
 * Owns:   see the header.
 * Thread: any one at a time.
 */
#include "intake/firehose_body.h"

#include <errno.h>
#include <inttypes.h>

enum { MEMBER_NAME, MEMBER_RECORD, MEMBER_RECORDS, MEMBER_COUNT };

static const char *const members[MEMBER_COUNT] = {"DeliveryStreamName", "Record", "Records"};

static int reader_init(struct json_reader *r, const char *const *names, size_t count)
{
    struct schema known;
    int rc = 0;

    schema_init(&known);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = schema_add(&known, names[i], strlen(names[i]), COLUMN_STRING);
    if (rc == 0)
        rc = json_reader_init(r, &known, NULL, JSON_KEY_UNKNOWN);
    schema_fini(&known);
    return rc;
}

int firehose_reader_init(struct firehose_reader *r)
{
    static const char *const data[] = {"Data"};
    int rc;

    memset(r, 0, sizeof(*r));
    rc = reader_init(&r->body, members, MEMBER_COUNT);
    return rc == 0 ? reader_init(&r->record, data, 1) : rc;
}

void firehose_reader_fini(struct firehose_reader *r)
{
    json_reader_fini(&r->body);
    json_reader_fini(&r->record);
    bytes_free(&r->data);
}

/* ---- base64 ---- */

/* 0..63, or 64 and more. */
static uint32_t digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26U;
    if (c >= '0' && c <= '9')
        return c - '0' + 52U;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

int64_t firehose_base64(const uint8_t *text, size_t len, uint8_t *out)
{
    uint8_t *at = out;
    size_t pad = 0;

    if (len % 4 != 0)
        return -1;
    while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < len; i += 4) {
        size_t here = i + 4 == len ? pad : 0;       /* digits that are padding */
        uint32_t word = 0;

        for (size_t k = 0; k < 4 - here; k++) {
            uint32_t value = digit(text[i + k]);

            if (value > 63)
                return -1;
            word |= value << (18 - 6 * k);
        }
        /* Bits that no byte takes are zero, so that each run of bytes has one text. */
        if ((word & ((1U << 8 * here) - 1)) != 0)
            return -1;
        *at++ = (uint8_t)(word >> 16);
        if (here < 2)
            *at++ = (uint8_t)(word >> 8);
        if (here < 1)
            *at++ = (uint8_t)word;
    }
    return at - out;
}

/* ---- the request ---- */

static int ended(const struct json_reader *r, const char *what, struct errmsg *err)
{
    if (r->step == JSON_STEP_END)
        return 0;
    if (r->step == JSON_STEP_NO_MEMORY)
        return errmsg_set(err, -ENOMEM, "out of memory");
    return errmsg_set(err, -EBADMSG, "%s is not a JSON object: at byte %zu: %s", what,
                      json_reader_where(r) + 1, r->why);
}

static int stream_set(struct firehose_reader *r, const struct json_member *m, struct errmsg *err)
{
    const uint8_t *text;
    uint32_t len;

    if (m->kind != JSON_KIND_STRING)
        return errmsg_set(err, -EBADMSG, "DeliveryStreamName is not a string");
    if (json_reader_text(&r->body, m, &text, &len) != 0)
        return errmsg_set(err, -ENOMEM, "out of memory");
    if (!stream_name_valid((const char *)text, len))
        return errmsg_set(err, -EINVAL, "DeliveryStreamName: 1 to %d of [A-Za-z0-9_.-] are wanted, "
                          "the first a letter or digit", STREAM_NAME_MAX);
    memcpy(r->stream, text, len);
    r->stream[len] = '\0';
    return 0;
}

int firehose_reader_begin(struct firehose_reader *r, bool batch, const uint8_t *body, size_t len,
                          struct errmsg *err)
{
    const uint8_t *at = json_reader_begin(&r->body, body, len), *records = NULL;
    size_t records_len = 0;
    struct json_member m;
    int rc = 0;

    r->stream[0] = '\0';
    r->bytes = 0;
    r->batch = batch;
    while (rc == 0 && (at = json_reader_next(&r->body, at, &m)) != NULL) {
        if (m.index == MEMBER_NAME) {
            rc = stream_set(r, &m, err);
        } else if (m.index == (batch ? MEMBER_RECORDS : MEMBER_RECORD)) {
            records = m.text;
            records_len = m.len;
        }
    }
    if (rc == 0)
        rc = ended(&r->body, "the body", err);
    if (rc != 0)
        return rc;
    if (r->stream[0] == '\0' || records == NULL)
        return errmsg_set(err, -EINVAL, "%s is missing",
                          r->stream[0] == '\0' ? "DeliveryStreamName"
                                               : members[batch ? MEMBER_RECORDS : MEMBER_RECORD]);
    r->elements = body_elements(records, records_len);
    r->one = records;
    r->one_len = records_len;
    return 0;
}

/* Sets r->data to what this record holds. */
static int record_read(struct firehose_reader *r, const uint8_t *record, size_t len,
                       struct errmsg *err)
{
    const uint8_t *at = json_reader_begin(&r->record, record, len), *text = NULL;
    struct json_member m;
    uint32_t text_len = 0;
    int64_t bytes;
    int rc;

    while ((at = json_reader_next(&r->record, at, &m)) != NULL) {
        if (m.index != 0)
            continue;
        if (m.kind != JSON_KIND_STRING)
            return errmsg_set(err, -EBADMSG, "Data is not a string");
        if (json_reader_text(&r->record, &m, &text, &text_len) != 0)
            return errmsg_set(err, -ENOMEM, "out of memory");
    }
    rc = ended(&r->record, "a record", err);
    if (rc != 0)
        return rc;
    if (text == NULL)
        return errmsg_set(err, -EINVAL, "Data is missing");
    bytes_clear(&r->data);
    if (bytes_reserve(&r->data, text_len / 4U * 3 + 1) != 0)
        return errmsg_set(err, -ENOMEM, "out of memory");
    bytes = firehose_base64(text, text_len, r->data.data);
    if (bytes < 0)
        return errmsg_set(err, -EBADMSG, "Data is not base64");
    r->data.len = (size_t)bytes;
    if (bytes > FIREHOSE_RECORD_BYTES_MAX)
        return errmsg_set(err, -EINVAL, "%" PRId64 " bytes of data, a record may have %d", bytes,
                          FIREHOSE_RECORD_BYTES_MAX);
    r->bytes += (uint64_t)bytes;
    if (r->bytes > FIREHOSE_BATCH_BYTES_MAX)
        return errmsg_set(err, -EINVAL, "the records have more than %d bytes of data",
                          FIREHOSE_BATCH_BYTES_MAX);
    return 0;
}

/* 1: *ret_record is the next one; 0: none. */
static int record_find(struct firehose_reader *r, const uint8_t **ret_record, size_t *ret_len,
                       struct errmsg *err)
{
    int rc = r->one != NULL;

    *ret_record = r->one;
    *ret_len = r->one_len;
    if (!r->batch) {
        r->one = NULL;
        return rc;
    }
    rc = body_elements_next(&r->elements, err);
    if (rc < 0)
        errmsg_prefix(err, "Records: ");
    if (rc > 0 && r->elements.number > FIREHOSE_RECORDS_MAX)
        return errmsg_set(err, -EINVAL, "more than %d records", FIREHOSE_RECORDS_MAX);
    if (rc == 0 && r->elements.number == 0)
        return errmsg_set(err, -EINVAL, "Records is empty");
    *ret_record = r->elements.element;
    *ret_len = r->elements.element_len;
    return rc;
}

int firehose_reader_next(struct firehose_reader *r, const uint8_t **ret_data, size_t *ret_len,
                         struct errmsg *err)
{
    const uint8_t *record;
    size_t len;
    int rc = record_find(r, &record, &len, err);

    if (rc <= 0)
        return rc;
    rc = record_read(r, record, len, err);
    if (rc != 0) {
        if (r->batch)
            errmsg_prefix(err, "record %" PRIu64 ": ", r->elements.number);
        return rc;
    }
    *ret_data = r->data.data;
    *ret_len = r->data.len;
    return 1;
}
