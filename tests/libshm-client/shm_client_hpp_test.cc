/*
 * shm_client_hpp_test: the header for C++.
 */
#include "shm_client.hpp"

#include <cerrno>
#include <cstdarg>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <type_traits>

#include <dirent.h>
#include <unistd.h>

extern "C" {
#include <cmocka.h>
}

#define PAYMENT(FIELD, s)       \
    FIELD(s, TIMESTAMP, at)     \
    FIELD(s, STRING, user)      \
    FIELD(s, F64, amount)       \
    FIELD(s, OPT_I32, status)
SHMC_STRUCT(payment, PAYMENT);

namespace {

char directory[64];

shmc_options options(std::uint64_t ring_bytes = 65536)
{
    shmc_options o = SHMC_OPTIONS_INIT;

    o.shm_dir = directory;
    o.ring_bytes = ring_bytes;
    return o;
}

int setup(void **)
{
    (void)snprintf(directory, sizeof(directory), "/dev/shm/shmc-hpp-XXXXXX");
    return mkdtemp(directory) != nullptr ? 0 : -1;
}

int teardown(void **)
{
    DIR *dir = opendir(directory);
    int failed = dir == nullptr;

    for (dirent *entry = dir ? readdir(dir) : nullptr; entry; entry = readdir(dir))
        if (entry->d_name[0] != '.' || std::strlen(entry->d_name) > 2)
            failed |= unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != nullptr)
        (void)closedir(dir);
    return failed | rmdir(directory);
}

template <typename F> int thrown(F call)
{
    try {
        call();
    } catch (const std::system_error &error) {
        assert_true(std::strlen(error.what()) > 0);
        return error.code().value();
    }
    return 0;
}

static_assert(!std::is_copy_constructible_v<hydrant::client>);
static_assert(!std::is_copy_constructible_v<hydrant::reservation>);
static_assert(std::is_trivially_copyable_v<hydrant::stream>);
static_assert(noexcept(std::declval<hydrant::stream &>().write(
    SHMC_JSON, "", std::declval<std::error_code &>())));

void events_of_each_kind_are_counted(void **)
{
    hydrant::client client(options());
    hydrant::stream stream = client.stream("s"), copy = stream;
    std::error_code ec;
    std::string text = "text";

    stream.json(R"({"a":1})");
    copy.text(text);
    copy.text(std::string_view(text).substr(2));
    stream.bytes("\0\xff", 2);
    stream.write(SHMC_TEXT, "then", std::chrono::system_clock::now());
    assert_true(stream.write(SHMC_JSON, "{}", ec));
    assert_true(stream.write(SHMC_JSON, "{}", std::chrono::system_clock::now(), ec));
    assert_int_equal(client.stats().events, 7);
    assert_int_equal(client.stats().bytes, 7 + 4 + 2 + 2 + 4 + 2 + 2);
    assert_int_equal(client.event_bytes_max(), 16384);
}

void errors_are_thrown_or_told(void **)
{
    hydrant::client client(options());
    hydrant::stream stream = client.stream("s");
    std::string large(client.event_bytes_max() + 1, 'x');
    std::error_code ec;
    shmc_options bad = options();

    bad.shm_dir = "/";
    assert_int_equal(thrown([&] { hydrant::client no(bad); }), EMEDIUMTYPE);
    assert_false(bool(hydrant::client(bad, ec)));
    assert_int_equal(ec.value(), EMEDIUMTYPE);
    assert_int_equal(thrown([&] { client.stream("not a name"); }), EINVAL);
    assert_int_equal(thrown([&] { stream.text(large); }), EMSGSIZE);
    assert_false(stream.write(SHMC_TEXT, large, ec));
    assert_true(ec == std::errc::message_size);
    stream.text("nobody takes it");
    assert_int_equal(thrown([&] { client.flush(SHMC_ACCEPTED, std::chrono::milliseconds(1)); }),
                     ETIMEDOUT);
    assert_false(client.flush(SHMC_DURABLE, std::chrono::nanoseconds(-1), ec));
    assert_true(ec == std::errc::timed_out);
    client.flush(SHMC_COMMITTED);
    while (stream.write(SHMC_TEXT, std::string_view(large).substr(1), ec))
        ;
    assert_true(ec == std::errc::resource_unavailable_try_again);
}

void a_reservation_that_is_not_committed_leaves_nothing(void **)
{
    hydrant::client client(options());
    hydrant::stream stream = client.stream("s");
    std::error_code ec;

    {
        hydrant::reservation given_up = stream.reserve(SHMC_TEXT, 100);

        assert_int_equal(thrown([&] { stream.text("nested"); }), EBUSY);
        assert_false(bool(stream.reserve(SHMC_TEXT, 1, ec)));
        assert_int_equal(given_up.size(), 100);
    }
    assert_int_equal(client.stats().events, 0);
    hydrant::reservation event = stream.reserve(SHMC_TEXT, 100);
    std::memcpy(event.data(), "hello", 5);
    assert_int_equal(thrown([&] { event.commit(101); }), EINVAL);
    hydrant::reservation moved = std::move(event);
    moved.commit(5);
    assert_false(moved.commit(5, ec));
    assert_int_equal(client.stats().bytes, 5);
    assert_int_equal(thrown([&] { hydrant::reservation().commit(0); }), EINVAL);
}

void records_are_structs_or_filled_field_by_field(void **)
{
    hydrant::client client(options());
    hydrant::stream stream = client.stream("payments");
    hydrant::records<payment> payments = stream.records<payment>(payment_fields);
    hydrant::schema schema = stream.schema(payment_fields);
    payment value = {};
    std::error_code ec;

    assert_int_equal(schema.id(), payments.id());
    assert_int_equal(thrown([&] { payments.write(value); }), ENODATA);
    value.user = "ann";
    payments.write(value);
    assert_true(payments.write(value, ec));
    schema.begin(3)
        .set(0, std::chrono::system_clock::now())
        .set(1, "ann")
        .set(2, 9.5)
        .set(3, std::int32_t{5})
        .commit();
    assert_int_equal(client.stats().events, 3);
    assert_int_equal(thrown([&] { schema.begin(3).set(1, "too long").commit(); }), EMSGSIZE);
    assert_int_equal(thrown([&] { schema.begin(3).set(0, 9.5).commit(); }), EINVAL);
    {
        hydrant::record given_up = schema.begin(0, ec);

        assert_false(bool(ec));
        given_up.set(2, 1.0);
    }
    assert_int_equal(client.stats().events, 3);
    assert_int_equal(thrown([&] { (void)schema.begin(1 << 30); }), EMSGSIZE);
}

void clients_move_and_are_of_one_thread_each(void **)
{
    hydrant::client first(options());
    hydrant::stream stream = first.stream("s");
    hydrant::client second = std::move(first);
    std::thread other([] {
        hydrant::client own(options());

        own.stream("s").text("by another");
        assert_int_equal(own.stats().events, 1);
    });

    other.join();
    assert_false(bool(first));
    stream.text("the handle is where it was");
    assert_int_equal(second.stats().events, 1);
    first = hydrant::client(options());
    assert_true(bool(first));
    assert_non_null(first.get());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_of_each_kind_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_are_thrown_or_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reservation_that_is_not_committed_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(records_are_structs_or_filled_field_by_field, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(clients_move_and_are_of_one_thread_each, setup, teardown),
    };

    return cmocka_run_group_tests_name("shm_client_hpp", tests, nullptr, nullptr);
}
