/*
 * shm_client.hpp: the client library for C++17, in this header alone; link with shm-client.
 *
 *     hydrant::client client;
 *     hydrant::stream clicks = client.stream("clicks");
 *     clicks.json(R"({"user":"ann"})");
 *     client.flush(SHMC_DURABLE, std::chrono::seconds(5));
 *
 * Each call throws std::system_error, whose code is the errno of shm_client.h and whose what() is
 * shmc_error(). Each has a twin with a std::error_code & as its last argument, which throws nothing
 * and allocates nothing. What shm_client.h says of threads, fork and signals holds here: a client
 * is one ring, of one thread at a time; streams, records and reservations belong to it, and end
 * before it does.
 */
#ifndef SHM_CLIENT_HPP
#define SHM_CLIENT_HPP

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

/* shmc_stats is a struct and a function, which C++ has no trouble with and -Wshadow tells. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "shm_client.h"
#pragma GCC diagnostic pop

namespace hydrant {

namespace detail {

inline std::error_code code(int rc) noexcept
{
    return {-rc, std::generic_category()};
}

inline bool set(int rc, std::error_code &ec) noexcept
{
    ec = code(rc);
    return rc == 0;
}

inline void check(int rc, const shmc *handle)
{
    if (rc != 0)
        throw std::system_error(code(rc), shmc_error(handle));
}

} // namespace detail

/* Bytes in the ring to be filled in place. What is not committed is given up at its end. */
class reservation {
public:
    reservation() noexcept = default;
    reservation(reservation &&from) noexcept
        : handle_(std::exchange(from.handle_, nullptr)), data_(from.data_), size_(from.size_)
    {
    }
    reservation &operator=(reservation &&from) noexcept
    {
        std::swap(handle_, from.handle_);
        std::swap(data_, from.data_);
        std::swap(size_, from.size_);
        return *this;
    }
    ~reservation()
    {
        if (handle_ != nullptr)
            (void)shmc_abort(handle_);
    }

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    char *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

    /* The first bytes of it become the event. With more than reserved it stays open. */
    void commit(std::size_t size)
    {
        shmc *handle = handle_;
        std::error_code ec;

        if (!commit(size, ec))
            throw std::system_error(ec, handle != nullptr ? shmc_error(handle) : "reservation");
    }
    bool commit(std::size_t size, std::error_code &ec) noexcept
    {
        int rc = handle_ != nullptr ? shmc_commit(handle_, size) : -EINVAL;

        if (rc == 0)
            handle_ = nullptr;
        return detail::set(rc, ec);
    }

private:
    friend class stream;
    reservation(shmc *handle, void *data, std::size_t size) noexcept
        : handle_(handle), data_(static_cast<char *>(data)), size_(size)
    {
    }

    shmc *handle_ = nullptr;
    char *data_ = nullptr;
    std::size_t size_ = 0;
};

/*
 * A record that is filled field by field, by their numbers, in any order. The first set() that
 * fails makes commit() fail: to look there is enough. Given up at its end unless committed.
 */
class record {
public:
    record(const record &) = delete;
    record(record &&from) noexcept : handle_(std::exchange(from.handle_, nullptr)) {}
    ~record()
    {
        if (handle_ != nullptr)
            (void)shmc_abort(handle_);
    }

    record &set(unsigned field, bool v) noexcept { return did(shmc_set_bool(handle_, field, v)); }
    record &set(unsigned field, std::int32_t v) noexcept
    {
        return did(shmc_set_i32(handle_, field, v));
    }
    record &set(unsigned field, std::int64_t v) noexcept
    {
        return did(shmc_set_i64(handle_, field, v));
    }
    record &set(unsigned field, std::uint64_t v) noexcept
    {
        return did(shmc_set_u64(handle_, field, v));
    }
    record &set(unsigned field, float v) noexcept { return did(shmc_set_f32(handle_, field, v)); }
    record &set(unsigned field, double v) noexcept { return did(shmc_set_f64(handle_, field, v)); }
    record &set(unsigned field, std::chrono::system_clock::time_point v) noexcept
    {
        using std::chrono::microseconds;

        return did(shmc_set_timestamp(
            handle_, field,
            std::chrono::duration_cast<microseconds>(v.time_since_epoch()).count()));
    }
    record &set(unsigned field, std::string_view v) noexcept
    {
        return did(shmc_set_string(handle_, field, v.data(), v.size()));
    }
    record &set(unsigned field, const char *v) noexcept { return set(field, std::string_view(v)); }
    record &set_bytes(unsigned field, const void *data, std::size_t size) noexcept
    {
        return did(shmc_set_bytes(handle_, field, data, size));
    }

    void commit()
    {
        shmc *handle = handle_;
        std::error_code ec;

        if (!commit(ec))
            throw std::system_error(ec, handle != nullptr ? shmc_error(handle) : "record");
    }
    bool commit(std::error_code &ec) noexcept
    {
        shmc *handle = std::exchange(handle_, nullptr);

        return detail::set(handle != nullptr ? shmc_record_commit(handle) : -EINVAL, ec);
    }

private:
    friend class schema;
    explicit record(shmc *handle) noexcept : handle_(handle) {}

    /* Why it failed is kept by the library until the commit. */
    record &did(int) noexcept { return *this; }

    shmc *handle_;
};

/* A schema of a stream, for records that are filled field by field. */
class schema {
public:
    /* With at most bytes_max bytes in all its strings and byte fields. */
    record begin(std::size_t bytes_max) const
    {
        detail::check(shmc_record_begin(handle_, id_, bytes_max), handle_);
        return record(handle_);
    }
    record begin(std::size_t bytes_max, std::error_code &ec) const noexcept
    {
        return record(detail::set(shmc_record_begin(handle_, id_, bytes_max), ec) ? handle_
                                                                                  : nullptr);
    }
    std::uint16_t id() const noexcept { return id_; }

protected:
    friend class stream;
    schema(shmc *handle, std::uint16_t id) noexcept : handle_(handle), id_(id) {}

    shmc *handle_;
    std::uint16_t id_;
};

/* Records that are structs of SHMC_STRUCT, each written by one call. */
template <typename T> class records : public schema {
public:
    void write(const T &value) const
    {
        detail::check(shmc_write_struct(handle_, id_, &value), handle_);
    }
    bool write(const T &value, std::error_code &ec) const noexcept
    {
        return detail::set(shmc_write_struct(handle_, id_, &value), ec);
    }

private:
    friend class stream;
    using schema::schema;
};

/* The number of a stream in its client's ring: copied at will. */
class stream {
public:
    void json(std::string_view object) const { write(SHMC_JSON, object); }
    void text(std::string_view line) const { write(SHMC_TEXT, line); }
    void bytes(const void *data, std::size_t size) const
    {
        write(SHMC_BYTES, {static_cast<const char *>(data), size});
    }
    void write(shmc_kind kind, std::string_view data) const
    {
        detail::check(put(kind, data), handle_);
    }
    bool write(shmc_kind kind, std::string_view data, std::error_code &ec) const noexcept
    {
        return detail::set(put(kind, data), ec);
    }
    /* With the caller's time. */
    void write(shmc_kind kind, std::string_view data,
               std::chrono::system_clock::time_point at) const
    {
        detail::check(put(kind, data, at), handle_);
    }
    bool write(shmc_kind kind, std::string_view data, std::chrono::system_clock::time_point at,
               std::error_code &ec) const noexcept
    {
        return detail::set(put(kind, data, at), ec);
    }

    reservation reserve(shmc_kind kind, std::size_t size_max) const
    {
        std::error_code ec;
        reservation made = reserve(kind, size_max, ec);

        if (ec)
            throw std::system_error(ec, shmc_error(handle_));
        return made;
    }
    reservation reserve(shmc_kind kind, std::size_t size_max, std::error_code &ec) const noexcept
    {
        void *data = nullptr;
        int rc = shmc_reserve(handle_, id_, static_cast<std::uint8_t>(kind), size_max, &data);

        return detail::set(rc, ec) ? reservation(handle_, data, size_max) : reservation();
    }

    /* Of structs: client.stream("payments").records<payment>(payment_fields). */
    template <typename T, unsigned N>
    hydrant::records<T> records(const shmc_field (&fields)[N]) const
    {
        return hydrant::records<T>(handle_, declare(fields, N));
    }
    template <unsigned N> hydrant::schema schema(const shmc_field (&fields)[N]) const
    {
        return hydrant::schema(handle_, declare(fields, N));
    }
    std::uint16_t id() const noexcept { return id_; }

private:
    friend class client;
    stream(shmc *handle, std::uint16_t id) noexcept : handle_(handle), id_(id) {}

    int put(shmc_kind kind, std::string_view data) const noexcept
    {
        return shmc_write(handle_, id_, static_cast<std::uint8_t>(kind), data.data(), data.size());
    }
    int put(shmc_kind kind, std::string_view data,
            std::chrono::system_clock::time_point at) const noexcept
    {
        using std::chrono::nanoseconds;
        auto ns = std::chrono::duration_cast<nanoseconds>(at.time_since_epoch()).count();

        return shmc_write_at(handle_, id_, static_cast<std::uint8_t>(kind),
                             static_cast<std::uint64_t>(ns), data.data(), data.size());
    }
    std::uint16_t declare(const shmc_field *fields, unsigned count) const
    {
        std::uint16_t id = 0;

        detail::check(shmc_schema(handle_, id_, fields, count, &id), handle_);
        return id;
    }

    shmc *handle_;
    std::uint16_t id_;
};

/* A handle, which it owns. What is in the ring at its end stays for the agent. */
class client {
public:
    client() : client(shmc_options SHMC_OPTIONS_INIT) {}
    explicit client(const shmc_options &options)
    {
        detail::check(shmc_open(&options, &handle_), nullptr);
    }
    client(const shmc_options &options, std::error_code &ec) noexcept
    {
        (void)detail::set(shmc_open(&options, &handle_), ec);
    }
    client(client &&from) noexcept : handle_(std::exchange(from.handle_, nullptr)) {}
    client &operator=(client &&from) noexcept
    {
        std::swap(handle_, from.handle_);
        return *this;
    }
    ~client() { (void)shmc_close(handle_); }

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    shmc *get() const noexcept { return handle_; }

    hydrant::stream stream(const std::string &name) const
    {
        std::uint16_t id = 0;

        detail::check(shmc_stream(handle_, name.c_str(), &id), handle_);
        return {handle_, id};
    }

    /* Until everything written so far is there; for ever, unless a timeout is given. */
    void flush(shmc_pos pos) const { detail::check(shmc_flush(handle_, pos, UINT64_MAX), handle_); }
    void flush(shmc_pos pos, std::chrono::nanoseconds timeout) const
    {
        detail::check(shmc_flush(handle_, pos, ns(timeout)), handle_);
    }
    bool flush(shmc_pos pos, std::chrono::nanoseconds timeout, std::error_code &ec) const noexcept
    {
        return detail::set(shmc_flush(handle_, pos, ns(timeout)), ec);
    }

    struct shmc_stats stats() const
    {
        struct shmc_stats found = SHMC_STATS_INIT;

        detail::check(shmc_stats(handle_, &found), handle_);
        return found;
    }
    std::size_t event_bytes_max() const noexcept { return shmc_event_bytes_max(handle_); }

private:
    static std::uint64_t ns(std::chrono::nanoseconds timeout) noexcept
    {
        return timeout.count() > 0 ? static_cast<std::uint64_t>(timeout.count()) : 0;
    }

    shmc *handle_ = nullptr;
};

} // namespace hydrant

#endif
