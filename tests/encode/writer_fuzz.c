/*
 * writer_fuzz: any settings and any events. Nothing crashes or hangs, and every event is in a file
 * or refused for a reason: as many lines or rows come out as were taken, in a pool of two blocks as
 * in a large one, and an event is refused in the middle of a batch if and only if none can begin
 * with it.
 *
 * Input: a byte of settings, a byte of infer_bytes or framing, then events: kind, length, bytes.
 */
#include "encode/format_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct output_settings settings_of(uint8_t a, uint8_t b)
{
    static char *const formats[] = {(char *)"json", (char *)"csv", (char *)"parquet",
                                    (char *)"raw"};
    struct output_settings set = {.format = formats[a & 3], .compression_level = -1};
    bool rows = (a & 3) == 1 || (a & 3) == 2;

    set.columns = rows && a & 4 ? (char *)"a i64,b string,c bool,d f64" : (char *)"";
    set.fields = a & 8 && !*set.columns && (a & 3) != 3 ? (char *)"b,a" : NULL;
    set.drop_fields = a & 16 && (a & 3) != 3 ? (char *)"d,\"e e\"" : NULL;
    set.add_fields = a & 32 && (a & 3) != 3 ? (char *)"h = \"x\"" : NULL;
    set.partition_by = a & 64 && (a & 3) != 3 ? (char *)"c" : NULL;
    set.validate = a & 128;
    if (!rows && a & 4)
        set.framing = (a & 3) == 0 && b & 1 ? SETTINGS_FRAMING_ARRAY : SETTINGS_FRAMING_RECORDS;
    set.infer_bytes = 1 + b * 16;
    set.row_group_bytes = 1 << 16;
    return set;
}

/* Told apart as they were framed. */
static void framed(const struct format_file *f, uint64_t taken)
{
    const uint8_t *at = f->bytes.data, *end = at + f->bytes.len;

    if (f->set.framing == SETTINGS_FRAMING_ARRAY) {
        INVARIANT(f->bytes.len > 3 && *at == '[' && memcmp(end - 2, "]\n", 2) == 0);
        INVARIANT(end[-3] != '\n' && end[-3] != ',');
        return;
    }
    for (; f->set.framing == SETTINGS_FRAMING_RECORDS && taken > 0; taken--) {
        INVARIANT(end - at >= 4 && (size_t)(end - at - 4) >= bytes_get_u32(at));
        at += 4 + bytes_get_u32(at);
    }
    INVARIANT(f->set.framing != SETTINGS_FRAMING_RECORDS || at == end);
}

/* The file is ended: whatever is in it, in CSV a header and the rows. */
static void file_end(struct format_file *f, uint64_t taken, uint64_t *total)
{
    uint64_t lines = 0;
    bool quoted = false;

    if (!f->w)
        return;
    ff_finish(f);
    for (size_t i = 0; i < f->bytes.len; i++) {
        quoted ^= f->bytes.data[i] == '"';
        lines += f->bytes.data[i] == '\n' && !quoted;
    }
    if (f->enc->format == ENCODING_CSV)
        INVARIANT(lines == taken + 1);
    if (f->enc->format == ENCODING_PARQUET)
        INVARIANT(f->bytes.len > 8 && memcmp(f->bytes.data, "PAR1", 4) == 0);
    framed(f, taken);
    *total += f->bytes.len;
    writer_close(f->w);
    f->w = NULL;
    bytes_clear(&f->bytes);
}

/* Bytes of all files. */
static uint64_t run(const uint8_t *data, size_t len, unsigned blocks)
{
    uint64_t taken = 0, total = 0;
    struct errmsg err = {""};
    struct format_file f;

    INVARIANT(ff_open(&f, settings_of(data[0], data[1]), blocks, &err) == 0);
    for (size_t at = 2; at + 2 <= len; ) {
        size_t part = data[at + 1] < len - at - 2 ? data[at + 1] : len - at - 2;
        enum shm_kind kind = data[at] % 8 == 0 ? SHM_KIND_TEXT
                             : data[at] % 8 == 1 ? SHM_KIND_BYTES : SHM_KIND_JSON;
        struct event ev = ff_event(kind, data + at + 2, part);
        bool begins = encoding_look(f.enc, &ev, true) == 0;
        int r = ff_take(&f, &ev);

        if (r == -ERANGE) {
            file_end(&f, taken, &total);
            taken = 0;
            r = ff_take(&f, &ev);
        }
        INVARIANT(r == 0 || r == -EBADMSG);
        INVARIANT((r == 0) == begins);
        if (r)
            INVARIANT(f.enc->why.text[0] != '\0');
        taken += r == 0;
        at += 2 + part;
        if (f.w && data[at - 1] == 0xff)
            writer_squeeze(f.w);
    }
    file_end(&f, taken, &total);
    ff_close(&f);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    INVARIANT(run(data, len, 2) == run(data, len, 40));
    return 0;
}
