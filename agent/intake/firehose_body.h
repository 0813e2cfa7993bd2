/*
 * firehose_body: what PutRecord and PutRecordBatch bring: a stream's name and records, in base64.
 * Pure.
 *
 *     firehose_reader_begin(r, batch, body, len, &err)
 *     while ((rc = firehose_reader_next(r, &data, &len, &err)) > 0)
 *         ...
 *
 * Limits are those of the service: 500 records, 1,000 KiB each and 4 MiB in all, unpacked.
 *
 * Owns:   a reader owns memory that grows to the size of the largest record. The body is borrowed.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef INTAKE_FIREHOSE_BODY_H
#define INTAKE_FIREHOSE_BODY_H

#include "base/errmsg.h"
#include "encode/json_reader.h"
#include "flow/name.h"
#include "intake/body.h"

enum {
    FIREHOSE_RECORDS_MAX = 500,
    FIREHOSE_RECORD_BYTES_MAX = 1000 << 10,
    FIREHOSE_BATCH_BYTES_MAX = 4 << 20
};

struct firehose_reader {
    char stream[STREAM_NAME_MAX + 1];
    struct json_reader body, record;
    struct body_elements elements;      /* of a batch */
    const uint8_t *one;                 /* the record of no batch; NULL: none left */
    size_t one_len;
    uint64_t bytes;                     /* of the records so far */
    bool batch;
    struct bytes data;
};

int firehose_reader_init(struct firehose_reader *r);    /* 0 or -ENOMEM; fini in any case */
void firehose_reader_fini(struct firehose_reader *r);

/*
 * 0; -EBADMSG: not JSON, or values of other types; -EINVAL: a name or limit is not kept, both with
 * a text; -ENOMEM.
 */
int firehose_reader_begin(struct firehose_reader *r, bool batch, const uint8_t *body, size_t len,
                          struct errmsg *err);

/* 1: a record, borrowed until the next call; 0: none more; else as above. */
int firehose_reader_next(struct firehose_reader *r, const uint8_t **ret_data, size_t *ret_len,
                         struct errmsg *err);

/* Strict: with padding, nothing else in it. The bytes, written to out (3 for 4); -1: it is not. */
int64_t firehose_base64(const uint8_t *text, size_t len, uint8_t *out);

#endif
