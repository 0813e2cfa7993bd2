/*
 * records: every event of a file comes back, in order and out of it, larger ones than the window
 * too; what is no sound file is told apart from what cannot be sent.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sink/records.h"

static struct records records;
static struct errmsg err;
static int fd = -1;

static int opened(const char *key, struct bytes *file)
{
    struct object_type type = object_type_of(key);
    int r;

    fd = memfd_create("batch", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file->data, file->len), (ssize_t)file->len);
    r = records_open(&records, &type, fd, file->len, &err);
    bytes_free(file);
    return r;
}

static void closed(void)
{
    records_close(&records);
    assert_int_equal(close(fd), 0);
    memset(&records, 0, sizeof(records));
}

static void every_record_comes_back(void **state)
{
    enum { COUNT = 9 };
    static const uint32_t lens[COUNT] = {0, 1, 262140, 262144, 3, 1024000, 300000, 0, 7};
    static uint8_t payload[1024000];
    uint64_t at = 0, begins[COUNT];
    struct bytes file = BYTES_INIT;
    struct record record;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        memset(payload, 'a' + i, lens[i]);
        assert_int_equal(bytes_append(&file, &lens[i], 4), 0);
        assert_int_equal(bytes_append(&file, payload, lens[i]), 0);
    }
    assert_int_equal(opened("x.records", &file), 0);
    for (int i = 0; i < COUNT; i++, at = record.next) {
        begins[i] = at;
        assert_int_equal(records_get(&records, at, &record, &err), 0);
        assert_int_equal(record.len, lens[i]);
        memset(payload, 'a' + i, lens[i]);
        assert_memory_equal(record.data, payload, lens[i]);
    }
    assert_true(at == records.file_bytes);
    for (int i = COUNT - 1; i >= 0; i--) {
        assert_int_equal(records_get(&records, begins[i], &record, &err), 0);
        assert_int_equal(record.len, lens[i]);
        assert_true(lens[i] == 0 || record.data[lens[i] - 1] == 'a' + i);
    }
    closed();
}

static void lines_are_records_with_their_ends(void **state)
{
    static const uint32_t lens[] = {1, 4096, 4097, 262144, 1024000, 2};
    struct bytes file = BYTES_INIT;
    struct record record;
    uint64_t at = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        assert_int_equal(bytes_reserve(&file, lens[i]), 0);
        memset(file.data + file.len, 'x', lens[i]);
        file.len += lens[i];
        file.data[file.len - 1] = '\n';
    }
    assert_int_equal(opened("x.json", &file), 0);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++, at = record.next) {
        assert_int_equal(records_get(&records, at, &record, &err), 0);
        assert_int_equal(record.len, lens[i]);
    }
    assert_true(at == records.file_bytes);
    closed();
}

static void what_is_not_sound_is_said_to_be(void **state)
{
    static const struct {
        const char *key, *text;
        size_t len, more;               /* x behind it */
        int result;
    } cases[] = {
        {"x.records", "\1\0\0", 3, 0, -EBADMSG},
        {"x.records", "\2\0\0\0a", 5, 0, -EBADMSG},
        {"x.records", "\377\377\377\377", 4, 100, -EBADMSG},
        {"x.records", "\1\240\17\0", 4, 1100000, -EBADMSG},     /* 1,024,001 */
        {"x.json", "{}", 2, 0, -EBADMSG},
        {"x.json", "", 0, 300000, -EBADMSG},
        {"x.json", "", 0, 1100000, -EOPNOTSUPP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes file = BYTES_INIT;
        struct record record;

        assert_int_equal(bytes_append(&file, cases[i].text, cases[i].len), 0);
        assert_int_equal(bytes_reserve(&file, cases[i].more), 0);
        memset(file.data + file.len, 'x', cases[i].more);
        file.len += cases[i].more;
        assert_int_equal(opened(cases[i].key, &file), 0);
        assert_int_equal(records_get(&records, 0, &record, &err), cases[i].result);
        closed();
    }
}

static void a_file_that_has_become_shorter_is_damaged(void **state)
{
    struct bytes file = BYTES_INIT;
    struct record record;

    (void)state;
    assert_int_equal(bytes_append(&file, "\5\0\0\0abcde", 9), 0);
    assert_int_equal(opened("x.records", &file), 0);
    assert_int_equal(ftruncate(fd, 8), 0);
    assert_int_equal(records_get(&records, 0, &record, &err), -EBADMSG);
    closed();
}

static void other_files_are_not_made_of_records(void **state)
{
    static const char *const keys[] = {"x.json.gz", "x.csv", "x.parquet", "x.raw", "x.array",
                                       "x.records.gz"};

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct bytes file = BYTES_INIT;

        assert_int_equal(bytes_append_str(&file, "x"), 0);
        assert_int_equal(opened(keys[i], &file), -EOPNOTSUPP);
        closed();
    }
}

static void base64_is_as_long_as_it_was_said_to_be(void **state)
{
    struct bytes body = BYTES_INIT;

    (void)state;
    for (size_t len = 0; len < 100; len++) {
        size_t before = body.len;

        assert_int_equal(records_put_base64(&body, "abcdefghij", len % 10), 0);
        assert_int_equal(body.len - before, records_base64_bytes(len % 10));
    }
    assert_memory_equal(body.data, "YQ==YWI=YWJj", 12);
    bytes_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_comes_back),
        cmocka_unit_test(lines_are_records_with_their_ends),
        cmocka_unit_test(what_is_not_sound_is_said_to_be),
        cmocka_unit_test(a_file_that_has_become_shorter_is_damaged),
        cmocka_unit_test(other_files_are_not_made_of_records),
        cmocka_unit_test(base64_is_as_long_as_it_was_said_to_be),
    };

    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
