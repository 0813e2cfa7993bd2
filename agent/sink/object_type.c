/*
 * object_type: the ends of keys.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/object_type.h"

#include <string.h>

static bool ends(const char *key, size_t *len, const char *end)
{
    size_t n = strlen(end);

    if (*len < n || memcmp(key + *len - n, end, n) != 0)
        return false;
    *len -= n;
    return true;
}

struct object_type object_type_of(const char *key)
{
    static const struct {
        const char *end;
        enum settings_compression compression;
    } compressions[] = {
        {".gz", SETTINGS_COMPRESSION_GZIP},
        {".zst", SETTINGS_COMPRESSION_ZSTD},
        {".sz", SETTINGS_COMPRESSION_SNAPPY},
        {".lz4", SETTINGS_COMPRESSION_LZ4},
    };
    static const struct {
        const char *end;
        struct object_type type;
    } formats[] = {
        {".json", {.format = OBJECT_JSON, .content_type = "application/x-ndjson"}},
        {".csv", {.format = OBJECT_CSV, .content_type = "text/csv; charset=utf-8"}},
        {".parquet", {.format = OBJECT_PARQUET, .content_type = "application/vnd.apache.parquet"}},
        {".array", {.format = OBJECT_JSON, .framing = SETTINGS_FRAMING_ARRAY,
                    .content_type = "application/json"}},
        {".records", {.framing = SETTINGS_FRAMING_RECORDS, .format = OBJECT_RAW,
                      .content_type = "application/octet-stream"}},
    };
    struct object_type type = {.format = OBJECT_RAW, .content_type = "application/octet-stream"};
    enum settings_compression compression = SETTINGS_COMPRESSION_NONE;
    size_t len = strlen(key);

    for (size_t i = 0; i < sizeof(compressions) / sizeof(compressions[0]); i++)
        if (ends(key, &len, compressions[i].end))
            compression = compressions[i].compression;
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (ends(key, &len, formats[i].end))
            type = formats[i].type;
    type.compression = compression;
    return type;
}

const char *object_type_encoding(enum settings_compression compression)
{
    switch (compression) {
    case SETTINGS_COMPRESSION_GZIP:
        return "gzip";
    case SETTINGS_COMPRESSION_ZSTD:
        return "zstd";
    default:
        return NULL;
    }
}
