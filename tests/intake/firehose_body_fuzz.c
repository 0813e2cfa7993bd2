/*
 * firehose_body_fuzz: whatever is sent, a reader gives records within the limits or says why not,
 * and says the same when it is asked again.
 *
 * Input: a byte, odd for a batch, then the body.
 */
#include "intake/firehose_body.h"

#include <errno.h>

#include "base/crc32c.h"
#include "base/invariant.h"

enum { FUZZ_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int run(struct firehose_reader *r, const uint8_t *data, size_t len, uint32_t *ret_crc)
{
    const uint8_t *record;
    size_t record_len;
    struct errmsg err = {""};
    int rc = firehose_reader_begin(r, data[0] % 2 != 0, data + 1, len - 1, &err);

    *ret_crc = 0;
    while (rc == 0 && (rc = firehose_reader_next(r, &record, &record_len, &err)) > 0) {
        INVARIANT(record_len <= len && stream_name_valid(r->stream, strlen(r->stream)));
        *ret_crc = crc32c(*ret_crc, record, record_len);
        rc = 0;
    }
    INVARIANT(rc == 0 || ((rc == -EBADMSG || rc == -EINVAL) && err.text[0] != '\0'));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct firehose_reader r;
    static bool ready;
    uint32_t first, again;

    if (len < 1 || len > FUZZ_BYTES_MAX)
        return 0;
    if (!ready)
        INVARIANT(firehose_reader_init(&r) == 0);
    ready = true;
    INVARIANT(run(&r, data, len, &first) == run(&r, data, len, &again) && first == again);
    return 0;
}
