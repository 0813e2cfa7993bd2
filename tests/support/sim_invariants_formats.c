/*
 * sim_invariants_formats: which events are in a file, and how. Each output's files are made again
 * from their events, at once and with all the memory there is, and compared:
 *
 *   json, raw, csv of declared columns, errors   byte by byte, once they are unpacked
 *   csv of found columns    row by row, by the columns' names: a batch may begin with columns of
 *                           the one before, which are empty then
 *   parquet                 how many rows the footer tells; byte by byte where the columns are
 *                           declared and the lengths agree: what ends a row group is memory, too
 *
 * Owns:   an encoding for each output of a version; the pool and the workspace.
 * Thread: one.
 * Units:  bytes.
 */
#include <lz4frame.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/crc32c.h"
#include "encode/compress.h"
#include "encode/dead_letter.h"
#include "encode/row_writer.h"
#include "encode/writer.h"
#include "flow/prefix_clock.h"
#include "pipeline/parts.h"
#include "support/sim_invariants.h"

typedef unsigned long long ull;

enum { POOL_BYTES = 64 << 20, COLUMNS_MAX = 32, ROOM = 1 << 20 };

struct inv_format {
    struct output_settings set;         /* owned */
    struct encoding *encoding;
    struct prefix_clock prefix;
};

static struct block_pool pool;
static struct parquet_workspace *workspace;
static struct record_types types;

struct inv_format *inv_format_open(struct inv *v, struct output_settings *set)
{
    struct inv_format *f = calloc(1, sizeof(*f));
    struct errmsg err = {""};

    if (pool.max == 0) {
        block_pool_init(&pool, POOL_BYTES);
        workspace = parquet_workspace_open();
        record_types_init(&types);
    }
    f->set = *set;
    memset(set, 0, sizeof(*set));
    if (encoding_open(&f->set, "host", "stream", workspace, &f->encoding, &err))
        inv_fail(v, __func__, "%s", err.text);
    prefix_clock_init(&f->prefix, f->set.prefix);
    return f;
}

void inv_format_close(struct inv_format *f)
{
    encoding_close(f->encoding);
    output_settings_fini(&f->set);
    free(f);
}

bool inv_is_key(const char *name)
{
    static const char *const formats[] = {".json", ".raw", ".csv", ".parquet"};
    static const char *const packed[] = {"", ".gz", ".zst", ".sz", ".lz4"};
    char suffix[32];

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        for (size_t k = 0; k < sizeof(packed) / sizeof(packed[0]); k++) {
            snprintf(suffix, sizeof(suffix), "%s%s", formats[i], packed[k]);
            if (inv_name_ends(name, suffix))
                return true;
        }
    return false;
}

/* ---- Partitions ---- */

uint32_t inv_place_named(const void *name, size_t len)
{
    return crc32c(0, name, len) | 1;
}

static struct event event_of(const struct inv *v, const struct inv_event *ev)
{
    struct event event = {v->payloads + ev->payload, ev->len, ev->kind, ev->time_ns, NULL};
    const struct inv_def *def;

    if (ev->kind == SHM_KIND_RECORD) {
        def = inv_def_of(v, ev->ring, ev->def);
        if (def && def->schema_crc32c != 0)     /* else, or if it is malformed, the type is none */
            (void)record_types_get(&types, v->payloads + def->schema, def->schema_len,
                                   &event.record);
    }
    return event;
}

uint32_t inv_place(struct inv *v, const struct inv_version *version, uint16_t output,
                   struct inv_event *ev)
{
    struct inv_format *f = version->format[output];
    const struct event event = event_of(v, ev);
    char name[PREFIX_BYTES_MAX + PARTITION_KEY_BYTES_MAX + 1];
    uint32_t len = 0;
    int r;

    if (ev->place[output] != 0)
        return ev->place[output];
    r = encoding_look(f->encoding, &event, true);
    if (r) {
        len = (uint32_t)snprintf(name, sizeof(name), "%c%s", OUTPUT_ERROR_MARK,
                                 encoding_error_names[f->encoding->error]);
    } else {
        if (f->set.event_clock) {
            const char *prefix = prefix_clock_render(&f->prefix, ev->time_ns, &len);

            memcpy(name, prefix, len);
        }
        memcpy(name + len, f->encoding->key.text, f->encoding->key.len);
        len += f->encoding->key.len;
    }
    ev->place[output] = inv_place_named(name, len);
    return ev->place[output];
}

/* ---- Unpacking; files may be of several frames ---- */

static void room_make(struct bytes *out)
{
    if (bytes_reserve(out, ROOM))
        abort();
}

static bool gzip_unpack(const uint8_t *data, size_t len, struct bytes *out)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)data, .avail_in = (uInt)len};
    int r = Z_STREAM_END;

    if (inflateInit2(&z, 31) != Z_OK)
        abort();
    while (z.avail_in > 0 || r == Z_OK) {
        if (r == Z_STREAM_END)
            inflateReset(&z);
        room_make(out);
        z.next_out = out->data + out->len;
        z.avail_out = (uInt)(out->cap - out->len);
        r = inflate(&z, Z_NO_FLUSH);
        out->len = out->cap - z.avail_out;
        if (r != Z_OK && r != Z_STREAM_END)
            break;
    }
    inflateEnd(&z);
    return r == Z_STREAM_END;
}

static bool zstd_unpack(const uint8_t *data, size_t len, struct bytes *out)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {data, len, 0};
    size_t left = 0;

    do {
        ZSTD_outBuffer to;

        room_make(out);
        to = (ZSTD_outBuffer){out->data, out->cap, out->len};
        left = ZSTD_decompressStream(z, &to, &in);
        out->len = to.pos;
    } while (!ZSTD_isError(left) && (in.pos < in.size || out->len == out->cap));
    ZSTD_freeDStream(z);
    return left == 0;
}

static bool lz4_unpack(const uint8_t *data, size_t len, struct bytes *out)
{
    size_t taken = 0, left = 1;
    LZ4F_dctx *z;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
        abort();
    while (taken < len || left != 0) {
        size_t n = len - taken, made;

        room_make(out);
        made = out->cap - out->len;
        left = LZ4F_decompress(z, out->data + out->len, &made, data + taken, &n, NULL);
        if (LZ4F_isError(left) || (n == 0 && made == 0))
            break;
        taken += n;
        out->len += made;
    }
    (void)LZ4F_freeDecompressionContext(z);
    return left == 0 && taken == len;
}

static bool snappy_unpack(const uint8_t *data, size_t len, struct bytes *out)
{
    while (len >= 4) {
        size_t chunk = (size_t)data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16;

        if (chunk > len - 4)
            return false;
        room_make(out);
        if (data[0] <= 1) {
            size_t made = out->cap - out->len;

            if (data[0] == 1)
                memcpy(out->data + out->len, data + 8, made = chunk - 4);
            else if (snappy_uncompress((const char *)data + 8, chunk - 4,
                                       (char *)out->data + out->len, &made) != SNAPPY_OK)
                return false;
            out->len += made;
        } else if (data[0] != 0xff || memcmp(data, "\xff\x06\0\0sNaPpY", 10) != 0) {
            return false;
        }
        data += 4 + chunk;
        len -= 4 + chunk;
    }
    return len == 0;
}

static bool unpack(enum compress_type type, const uint8_t *data, size_t len, struct bytes *out)
{
    static bool (*const fns[COMPRESS_TYPE_COUNT])(const uint8_t *, size_t, struct bytes *) = {
        NULL, gzip_unpack, zstd_unpack, snappy_unpack, lz4_unpack,
    };

    if (type != COMPRESS_NONE)
        return fns[type](data, len, out);
    return bytes_append(out, data, len) == 0;
}

/* ---- A file from its events ---- */

struct making {
    struct inv *v;
    const struct inv_seal *seal;
    struct inv_format *format;
    struct writer *writer;
    struct block_chain chain;
    struct bytes out;
    bool errors, learning;
};

static void chain_take(struct making *m, bool all)
{
    struct block *block;

    while ((block = chain_shift(&m->chain, all)) != NULL) {
        if (bytes_append(&m->out, block->data, block->len))
            abort();
        block_give(&pool, block);
    }
}

static void event_make(struct making *m, const struct inv_event *ev)
{
    struct encoding *e = m->format->encoding;
    const struct event event = event_of(m->v, ev);
    enum writer_result result = WRITER_AGAIN;
    int r = encoding_look(e, &event, true);

    INV_CHECK(m->v, (r != 0) == m->errors, "the event at %llu: %s", (ull)ev->lsn, e->why.text);
    if (m->errors) {
        if (!chain_reserve(&m->chain, dead_letter_bytes_max(&event, e->why.text)))
            abort();
        dead_letter_append(&event, ev->arrival_ns, encoding_error_names[e->error], e->why.text,
                           &m->chain);
        chain_take(m, false);
        return;
    }
    if (!m->writer) {
        if (writer_open(e, &event, NULL, &m->writer))
            abort();
        m->learning = writer_learns(m->writer);
    }
    if (m->learning) {
        INV_CHECK(m->v, writer_learn(m->writer) == 0, "the event at %llu is not learned from",
                  (ull)ev->lsn);
        return;
    }
    while (result == WRITER_AGAIN) {
        result = writer_take(m->writer, &event, &m->chain);
        chain_take(m, false);
    }
    INV_CHECK(m->v, result == WRITER_TAKEN, "the event at %llu is not taken again: %d",
              (ull)ev->lsn, (int)result);
}

/* How many there are. */
static uint64_t events_make(struct making *m)
{
    struct inv *v = m->v;
    uint32_t me = (uint32_t)(m->seal - v->seals) + 1;
    uint64_t events = 0;

    for (uint32_t i = inv_event_from(v, m->seal->first_lsn);
         i < v->events_count && v->events[i].lsn <= m->seal->last_lsn; i++) {
        const struct inv_event *ev = &v->events[i];

        if (ev->seal[m->seal->output] != me || ev->stream != m->seal->stream
            || ev->version != m->seal->version)
            continue;
        event_make(m, ev);
        events++;
    }
    return events;
}

static uint64_t file_make(struct making *m)
{
    uint64_t events = events_make(m);

    if (m->learning) {
        if (writer_learned(m->writer))
            abort();
        m->learning = false;
        events = events_make(m);
    }
    while (m->writer && writer_finish(m->writer, &m->chain) != WRITER_TAKEN)
        chain_take(m, true);
    chain_take(m, true);
    writer_close(m->writer);
    return events;
}

/* ---- Comparing ---- */

static bool field_is(const struct csv_field *a, const struct csv_field *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/* NULL, or what is wrong. Both are taken apart in place. */
static const char *csv_compare(struct bytes *file, struct bytes *made)
{
    struct csv_field there[COLUMNS_MAX], here[COLUMNS_MAX], row[COLUMNS_MAX];
    int from[COLUMNS_MAX], columns, wanted;
    uint8_t *at = file->data, *made_at = made->data;

    columns = csv_record_read(&at, file->data + file->len, there, COLUMNS_MAX);
    wanted = csv_record_read(&made_at, made->data + made->len, here, COLUMNS_MAX);
    if (columns < wanted || wanted < 0)
        return "header";
    for (int i = 0, found = 0; i < columns; i++) {
        from[i] = -1;
        for (int k = 0; k < wanted; k++)
            if (field_is(&there[i], &here[k]))
                from[i] = k;
        found += from[i] >= 0;
        if (i + 1 == columns && found != wanted)
            return "columns";
    }
    while (at < file->data + file->len) {
        if (csv_record_read(&at, file->data + file->len, row, COLUMNS_MAX) != columns)
            return "number of fields";
        if (made_at == made->data + made->len
            || csv_record_read(&made_at, made->data + made->len, here, COLUMNS_MAX) != wanted)
            return "more rows than events";
        for (int i = 0; i < columns; i++)
            if (from[i] < 0 ? row[i].len > 0 : !field_is(&row[i], &here[from[i]]))
                return "a field";
    }
    return made_at == made->data + made->len ? NULL : "less rows than events";
}

static uint64_t varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t value = 0;

    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    return value;
}

static void thrift_skip(const uint8_t **at, const uint8_t *end, unsigned type)
{
    uint64_t n;

    switch (type) {
    case 1: case 2:                     /* true, false: no bytes of their own in a struct */
        break;
    case 3: case 4: case 5: case 6:
        (void)varint(at, end);
        break;
    case 8:
        n = varint(at, end);
        *at += n < (uint64_t)(end - *at) ? n : (uint64_t)(end - *at);
        break;
    case 9:
        n = *at < end ? *(*at)++ : 0;
        type = n & 15;
        n = n >> 4 == 15 ? varint(at, end) : n >> 4;
        while (n-- > 0 && *at < end)
            thrift_skip(at, end, type);
        break;
    case 12:
        while (*at < end && (n = *(*at)++) != 0) {
            if (n >> 4 == 0)
                (void)varint(at, end);
            thrift_skip(at, end, n & 15);
        }
        break;
    default:
        *at = end;
    }
}

/* num_rows, the third field of FileMetaData, as the footer tells; UINT64_MAX: no Parquet file. */
static uint64_t rows_told(const uint8_t *data, uint64_t len)
{
    const uint8_t *at, *end = data + len - 8;
    unsigned field = 0;
    uint32_t footer;

    if (len < 12 || memcmp(data, "PAR1", 4) != 0 || memcmp(data + len - 4, "PAR1", 4) != 0)
        return UINT64_MAX;
    memcpy(&footer, end, sizeof(footer));
    if (footer > len - 12)
        return UINT64_MAX;
    for (at = end - footer; at < end && *at != 0; ) {
        unsigned head = *at++;

        if (head >> 4 == 0)
            return UINT64_MAX;
        field += head >> 4;
        if (field == 3) {
            uint64_t zigzag = varint(&at, end);

            return zigzag >> 1;
        }
        thrift_skip(&at, end, head & 15);
    }
    return UINT64_MAX;
}

static bool bytes_are(const struct bytes *b, const uint8_t *data, uint64_t len)
{
    return b->len == len && (len == 0 || memcmp(b->data, data, len) == 0);
}

void inv_file_is_its_events(struct inv *v, const struct inv_seal *seal, uint32_t target,
                            const uint8_t *data, uint64_t len)
{
    struct inv_format *f = inv_version_of(v, seal->stream, seal->version)->format[seal->output];
    struct making m = {.v = v, .seal = seal, .format = f,
                       .errors = seal->partition[0] == OUTPUT_ERROR_MARK};
    bool rows = !m.errors && (f->set.format[0] == 'c' || f->set.format[0] == 'p');
    bool found = rows && f->encoding->declared.count == 0;
    enum compress_type type = m.errors || f->set.format[0] == 'p'
                                  ? COMPRESS_NONE : (enum compress_type)f->set.compression;
    const char *path = seal->target[target].path, *wrong = NULL;
    struct bytes text = BYTES_INIT;
    uint64_t events;

    chain_init(&m.chain, &pool);
    events = file_make(&m);
    inv_count(v, COVER_files_compared);
    v->cover[COVER_files_of_rows] += rows;
    v->cover[COVER_files_packed] += type != COMPRESS_NONE;
    v->cover[COVER_files_framed] += !m.errors && f->set.framing != SETTINGS_FRAMING_NONE;
    INV_CHECK(v, unpack(type, data, len, &text), "%s cannot be unpacked: %llu bytes, %llu came out",
              path, (ull)len, (ull)text.len);
    if (rows && f->set.format[0] == 'p') {
        uint64_t there = rows_told(text.data, text.len);

        INV_CHECK(v, there == events, "%s has %llu rows of %llu events", path, (ull)there,
                  (ull)events);
        if (found || m.out.len != text.len)
            goto out;
    }
    if (found)
        wrong = csv_compare(&text, &m.out);
    else if (!bytes_are(&m.out, text.data, text.len))
        wrong = "bytes";
    INV_CHECK(v, !wrong, "%s: %llu bytes, unpacked %llu, differ from the %llu of its events: %s",
              path, (ull)len, (ull)text.len, (ull)m.out.len, wrong);
out:
    bytes_free(&text);
    bytes_free(&m.out);
    chain_fini(&m.chain);
}
