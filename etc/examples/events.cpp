/*
 * Events and records from C++: shm_client.hpp is all there is beside the library.
 *
 *     c++ -std=c++17 events.cpp $(pkg-config --cflags --libs shm-client) -o events-cpp
 */
#include <shm_client.hpp>

#include <cstdio>
#include <string>

#define READING(FIELD, s)       \
    FIELD(s, TIMESTAMP, at)     \
    FIELD(s, STRING, sensor)    \
    FIELD(s, F64, value)
SHMC_STRUCT(reading, READING);

int main()
try {
    hydrant::client client;
    hydrant::stream log = client.stream("log");
    auto readings = client.stream("readings").records<reading>(reading_fields);

    log.text("started");
    log.json(R"({"level":"info","message":"ready"})");

    /* In place: what is not committed is given up at the end of the block. */
    hydrant::reservation line = log.reserve(SHMC_TEXT, 64);
    line.commit(static_cast<std::size_t>(std::snprintf(line.data(), line.size(), "%d lines", 3)));

    for (int i = 0; i < 10; i++)
        readings.write({1767355200000000 + i, "north", i * 0.5});

    /* Where exceptions are not wanted, each call has a twin. */
    std::error_code ec;
    if (!log.write(SHMC_TEXT, std::string(2 << 20, 'x'), ec))
        std::printf("too large, as it should be: %s\n", ec.message().c_str());

    client.flush(SHMC_DURABLE, std::chrono::seconds(5));
    return 0;
} catch (const std::system_error &error) {
    std::fprintf(stderr, "events: %s\n", error.what());
    return 1;
}
