/*
 * upload_bench: batches to an S3 on loopback by the delivery thread, beside plain libcurl with the
 * same files from the same disk: one easy handle, one PUT after the other.
 *
 * Ours counts what it sends: what is stored is what was sealed. Files are not in the page cache
 * when a run begins. The server throws all away; it takes a processor of its own, or all of it and
 * more with TLS. Both sides have the library's own choice of TLS version and cipher.
 *
 * Payloads are signed where there is no TLS: the hash of a body is in the head before it, so each
 * file is read twice. libcurl does the same there: SHA-256 of a file, then its PUT. The rate of
 * SHA-256 alone on this processor is a case of its own.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/blocks.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "benchmarks/harness.h"
#include "benchmarks/sink/upload_server.h"
#include "sink/delivery.h"
#include "support/rng.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 12, FILE_BYTES = 64 << 20, PIECE_BYTES = 1 << 20, NAME_MAX_BYTES = 32 };

static struct {
    int dir;
    char path[400], ca_file[440];
    char names[FILES][NAME_MAX_BYTES];
    uint32_t crc32c, block_crc32c[FILE_BYTES / BLOCK_BYTES];
    uint8_t piece[PIECE_BYTES];
    sem_t done;
} at;

static double cpu_seconds(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts); /* cannot fail for this clock */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- files ----------------------------------------------------------------------------------- */

static int file_make(const char *name, struct errmsg *err)
{
    int fd = openat(at.dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = 0;

    for (size_t i = 0; fd >= 0 && rc == 0 && i < FILE_BYTES / PIECE_BYTES; i++)
        if (write(fd, at.piece, PIECE_BYTES) != PIECE_BYTES)
            rc = -1;
    if (fd < 0 || rc != 0 || fsync(fd) != 0)
        rc = errmsg_set_errno(err, -errno, "'%s/%s'", at.path, name);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

static int files_make(const struct bench *b, struct errmsg *err)
{
    uint64_t x = 0x9e3779b97f4a7c15U;

    (void)mkdir("build", 0755); /* what matters fails below */
    (void)mkdir(b->dir, 0755);
    (void)snprintf(at.path, sizeof(at.path), "%s/upload-XXXXXX", b->dir);
    if (mkdtemp(at.path) == NULL)
        return errmsg_set_errno(err, -errno, "'%s'", at.path);
    (void)snprintf(at.ca_file, sizeof(at.ca_file), "%s/ca.pem", at.path);
    at.dir = open(at.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < PIECE_BYTES; i += sizeof(x)) {
        (void)rng_next(&x);
        memcpy(at.piece + i, &x, sizeof(x));
    }
    for (size_t i = 0; i < FILE_BYTES / PIECE_BYTES; i++)
        at.crc32c = crc32c(at.crc32c, at.piece, PIECE_BYTES);
    for (size_t i = 0; i < FILE_BYTES / BLOCK_BYTES; i++)
        at.block_crc32c[i] = crc32c(0, at.piece + i * BLOCK_BYTES % PIECE_BYTES, BLOCK_BYTES);
    for (size_t i = 0; i < FILES; i++) {
        int rc;

        (void)snprintf(at.names[i], NAME_MAX_BYTES, "%zu.spool", i);
        rc = file_make(at.names[i], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Out of the page cache: they are read from the disk. */
static void files_cool(void)
{
    for (size_t i = 0; i < FILES; i++) {
        int fd = openat(at.dir, at.names[i], O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            continue;
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
}

/* --- ours ------------------------------------------------------------------------------------ */

static void on_done(struct remote_job *job)
{
    (void)job;
    (void)sem_post(&at.done);
}

static int deliver(const struct remote_settings *set, struct errmsg *err)
{
    static struct remote_job jobs[FILES];
    struct delivery *d;
    int rc = delivery_open(&d, err);

    if (rc != 0)
        return rc;
    rc = delivery_configure(d, set, 1);
    if (rc == 0)
        rc = delivery_start(d, err);
    for (size_t i = 0; rc == 0 && i < FILES; i++) {
        jobs[i] = (struct remote_job){
            .sink = "bench", .stream = "s", .batch = at.names[i], .place = "bucket",
            .key = at.names[i], .type = object_type_of(at.names[i]), .spool_dir = at.dir,
            .spool_name = at.names[i], .file_bytes = FILE_BYTES, .crc32c = at.crc32c,
            .block_crc32c = at.block_crc32c, .done = on_done,
        };
        delivery_post(d, &jobs[i]);
    }
    for (size_t i = 0; rc == 0 && i < FILES; i++)
        while (sem_wait(&at.done) != 0)
            continue;
    for (size_t i = 0; rc == 0 && i < FILES; i++)
        if (jobs[i].result != SINK_DONE)
            rc = errmsg_set(err, -EIO, "not delivered: %s", jobs[i].err.text);
    delivery_close(d);
    return rc;
}

struct ours {
    bool tls;
    enum s3_choice sign;
    uint64_t part_bytes;
};

static int ours_send(const struct ours *o, const char *url, struct errmsg *err)
{
    struct remote_settings set = {
        .name = "bench", .type = TARGET_S3, .in_flight_max = 8, .timeout_ns = 60000000000,
        .backoff_max_ns = 1000000000, .ca_file = o->tls ? at.ca_file : "",
    };

    set.cloud.access_key = "AKIDEXAMPLE";
    set.cloud.secret_key = "secret";
    set.cloud.region = set.s3.set.region = "us-east-1";
    set.s3.set.bucket = "bucket";
    set.s3.set.endpoint = url;
    set.s3.set.signed_payload = o->sign;
    set.s3.set.checksum = true;
    set.s3.set.storage_class = set.s3.set.server_side_encryption = set.s3.set.kms_key_id = "";
    set.s3.part_bytes = o->part_bytes;
    set.s3.conditional = S3_AUTO;
    return deliver(&set, err);
}

/* --- plain libcurl --------------------------------------------------------------------------- */

static size_t on_answer(char *data, size_t size, size_t count, void *ctx)
{
    (void)data;
    (void)ctx;
    return size * count;
}

/* Its SHA-256 goes into the request's head; then the file is at its beginning again. */
static int curl_hash(CURL *easy, FILE *file, struct curl_slist **headers)
{
    static char piece[PIECE_BYTES];
    char line[32 + SIGV4_HEX_BYTES] = "x-amz-content-sha256: ";
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    uint8_t sum[SIGV4_SHA256_BYTES];
    bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;
    size_t n;

    while (ok && (n = fread(piece, 1, sizeof(piece), file)) > 0)
        ok = EVP_DigestUpdate(hash, piece, n) == 1;
    ok = ok && EVP_DigestFinal_ex(hash, sum, NULL) == 1 && fseek(file, 0, SEEK_SET) == 0;
    EVP_MD_CTX_free(hash);
    bytes_hex(line + strlen(line), sum, sizeof(sum));
    *headers = ok ? curl_slist_append(NULL, line) : NULL;
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
    return *headers != NULL ? 0 : -EIO;
}

static int curl_file(CURL *easy, bool sign, const char *url, const char *name, struct errmsg *err)
{
    char path[440], whole[512];
    struct curl_slist *headers = NULL;
    FILE *file;
    CURLcode code;
    long status = 0;

    (void)snprintf(path, sizeof(path), "%s/%s", at.path, name);
    (void)snprintf(whole, sizeof(whole), "%s/bucket/%s", url, name);
    file = fopen(path, "re");
    if (file == NULL)
        return errmsg_set_errno(err, -errno, "'%s'", path);
    if (sign && curl_hash(easy, file, &headers) != 0) {
        (void)fclose(file);
        return errmsg_set(err, -EIO, "SHA-256 of '%s'", path);
    }
    (void)curl_easy_setopt(easy, CURLOPT_URL, whole);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, file);
    (void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)FILE_BYTES);
    code = curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    (void)fclose(file);
    if (code != CURLE_OK || status != 200)
        return errmsg_set(err, -EIO, "libcurl: %s, status %ld", curl_easy_strerror(code), status);
    return 0;
}

static int curl_send(bool tls, bool sign, const char *url, struct errmsg *err)
{
    CURL *easy = curl_easy_init();
    int rc = easy != NULL ? 0 : errmsg_set(err, -ENOMEM, "libcurl");

    if (rc != 0)
        return rc;
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    if (tls)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, at.ca_file);
    for (size_t i = 0; rc == 0 && i < FILES; i++)
        rc = curl_file(easy, sign, url, at.names[i], err);
    curl_easy_cleanup(easy);
    return rc;
}

/* --- runs ------------------------------------------------------------------------------------ */

struct upload {
    bool tls;
    const struct ours *ours; /* NULL: libcurl, */
    bool sign;               /* with hashes */
};

static int upload_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct upload *u = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    const double gb = (double)FILES * FILE_BYTES / 1e9;
    struct upload_server server;
    double cpu_s, seconds;
    uint64_t from;
    char url[64];
    int rc = upload_server_start(&server, u->tls, at.ca_file, err);

    if (rc != 0)
        return rc;
    (void)snprintf(url, sizeof(url), "http%s://127.0.0.1:%d", u->tls ? "s" : "", server.port);
    files_cool();
    cpu_s = cpu_seconds();
    from = bench_ticks(clock);
    rc = u->ours != NULL ? ours_send(u->ours, url, err)
                         : curl_send(u->tls, u->sign, url, err);
    seconds = bench_ticks_ns(clock, bench_ticks(clock) - from) / 1e9;
    upload_server_stop(&server);
    if (rc == 0 && bench_stopped())
        rc = errmsg_set(err, -EINTR, "stopped by a signal");
    if (rc != 0)
        return rc;
    bench_add(run, 0, gb / seconds);
    bench_add(run, 1, (cpu_seconds() - cpu_s) / gb);
    return 0;
}

static int sha256_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    char hex[SIGV4_HEX_BYTES];
    uint64_t from = bench_ticks(clock);
    int rc = 0;

    (void)ctx;
    for (unsigned int i = 0; rc == 0 && i < 64; i++)
        rc = sigv4_hash(at.piece, PIECE_BYTES, hex);
    if (rc != 0)
        return errmsg_set_errno(err, rc, "SHA-256");
    bench_add(run, 0, 64.0 * PIECE_BYTES / bench_ticks_ns(clock, bench_ticks(clock) - from));
    return 0;
}

static const struct bench_metric rates[] = {
    { "", "GB/s", BENCH_MORE },
    { ".cpu", "s/GB", BENCH_LESS },
};

static int uploads(struct bench *b, struct errmsg *err)
{
    static const struct bench_plan plan = { .rounds = 5 };
    static const struct ours unsigned_put = { false, S3_NO, (uint64_t)5 << 30 },
                             unsigned_parts = { false, S3_NO, 16 << 20 },
                             signed_parts = { false, S3_AUTO, 16 << 20 },
                             tls_parts = { true, S3_AUTO, 16 << 20 };
    static struct upload http_curl = { false, NULL, false },
                         http_put = { false, &unsigned_put, false },
                         http_parts = { false, &unsigned_parts, false },
                         sign_parts = { false, &signed_parts, false },
                         sign_curl = { false, NULL, true }, https_curl = { true, NULL, false },
                         https_parts = { true, &tls_parts, false };
    static const struct bench_case put[] = {
        { "upload.put.hydrant", "files=12x64MiB unsigned", rates, 2, upload_run, &http_put },
        { "upload.put.libcurl", "files=12x64MiB", rates, 2, upload_run, &http_curl },
    };
    static const struct bench_case parts[] = {
        { "upload.parts.hydrant", "part=16MiB unsigned", rates, 2, upload_run, &http_parts },
        { "upload.parts.libcurl", "files=12x64MiB", rates, 2, upload_run, &http_curl },
    };
    static const struct bench_case hashed[] = {
        { "upload.signed.hydrant", "part=16MiB signed", rates, 2, upload_run, &sign_parts },
        { "upload.signed.libcurl", "files=12x64MiB SHA-256", rates, 2, upload_run, &sign_curl },
        { "upload.sha256", "one thread", rates, 1, sha256_run, NULL },
    };
    static const struct bench_case https[] = {
        { "upload.tls.hydrant", "part=16MiB", rates, 2, upload_run, &https_parts },
        { "upload.tls.libcurl", "files=12x64MiB", rates, 2, upload_run, &https_curl },
    };
    int rc = bench_group(b, &plan, put, sizeof(put) / sizeof(put[0]), err);

    if (rc == 0)
        rc = bench_group(b, &plan, parts, sizeof(parts) / sizeof(parts[0]), err);
    if (rc == 0)
        rc = bench_group(b, &plan, hashed, sizeof(hashed) / sizeof(hashed[0]), err);
    return rc == 0 ? bench_group(b, &plan, https, sizeof(https) / sizeof(https[0]), err) : rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    int rc = files_make(b, err), remove_rc;

    (void)sem_init(&at.done, 0, 0);
    if (rc == 0)
        rc = uploads(b, err);
    if (at.dir > 0)
        (void)close(at.dir);
    remove_rc = at.path[0] != '\0' ? bench_remove_tree(at.path) : 0;
    if (rc == 0 && remove_rc != 0)
        rc = errmsg_set_errno(err, remove_rc, "'%s'", at.path);
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main("upload_bench", argc, argv, body);
}
