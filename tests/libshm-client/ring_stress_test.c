/*
 * Producer and consumer in two threads over one mapping, made to be run under TSan.
 *
 * The consumer reads the very addresses that the producer writes, for TSan cannot see that two
 * addresses are one page. What it says about the data rests on A1 and A2 alone.
 */
#include "libshm-client/ring_reader.h"

#include <pthread.h>
#include <sched.h>

#include "handle.h"

struct ring {
    struct shmc *h;
    struct shm_consumer *consumer;
    uint64_t events;
    uint64_t seen;
};

static uint64_t rounds(uint64_t normal)
{
    return getenv("HYDRANT_LONG") != NULL ? normal * 20 : normal;
}

static size_t payload_len(uint64_t number)
{
    return (size_t)(number * 2654435761U % 700);
}

/* The consumer's side: every event is the next one and whole; accepts now and then. */
static void *consumer_run(void *context)
{
    struct ring *ring = context;
    const struct shmc_segment *segment = &ring->h->segment;
    uint64_t mask = segment->data_bytes - 1;
    uint64_t pos = 0, accepted = 0;

    while (ring->seen < ring->events) {
        uint64_t head = atomic_load_explicit(segment->head, memory_order_acquire);

        if (head - pos > segment->data_bytes)
            return NULL;
        if (pos == head)
            (void)sched_yield();
        while (pos != head) {
            const uint8_t *at = segment->data + (pos & mask);
            const struct shm_frame *frame = (const struct shm_frame *)at;

            if (frame->len != payload_len(ring->seen) || frame->time_ns != ring->seen + 1)
                return NULL;
            for (uint32_t i = 0; i < frame->len; i++) {
                if (at[sizeof(*frame) + i] != (uint8_t)(ring->seen + i))
                    return NULL;
            }
            pos += shm_frame_bytes(frame->len);
            ring->seen++;
            if (pos - accepted >= segment->data_bytes / 8) {
                accepted = pos;
                (void)consumer_publish(ring->consumer, segment->producer, SHM_POS_ACCEPTED, pos);
            }
        }
        accepted = pos;
        (void)consumer_publish(ring->consumer, segment->producer, SHM_POS_ACCEPTED, pos);
    }
    return ring;
}

/* One event by any of the ways there are. */
static int event_write(struct shmc *h, uint16_t stream, uint64_t number)
{
    size_t len = payload_len(number);
    uint8_t payload[700];
    void *place;
    int rc;

    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(number + i);
    if (number % 4 != 1)
        return shmc_write_at(h, stream, SHMC_BYTES, number + 1, payload, len);
    rc = shmc_reserve(h, stream, SHMC_BYTES, 700, &place);
    if (rc == 0) {
        memset(place, 0xee, 700);
        rc = shmc_abort(h);
    }
    return rc != 0 ? rc : shmc_write_at(h, stream, SHMC_BYTES, number + 1, payload, len);
}

static void run(struct scratch *scratch, enum shmc_full full, enum shmc_wake wake, uint64_t events)
{
    struct shmc_options opt = scratch_options(scratch);
    struct ring ring = {.events = events};
    pthread_t consumer;
    uint16_t stream;
    size_t page;
    void *done;

    opt.full = full;
    opt.wake = wake;
    ring.h = scratch_open(&opt);
    stream = scratch_stream(ring.h);
    page = (size_t)sysconf(_SC_PAGESIZE);
    ring.consumer = (struct shm_consumer *)(ring.h->segment.base + 2 * page);
    assert_int_equal(mprotect(ring.consumer, page, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(pthread_create(&consumer, NULL, consumer_run, &ring), 0);
    for (uint64_t number = 0; number < events; number++) {
        int rc;

        while ((rc = event_write(ring.h, stream, number)) == -EAGAIN)
            (void)sched_yield();
        assert_int_equal(rc, 0);
    }
    assert_int_equal(shmc_flush(ring.h, SHMC_ACCEPTED, 60000000000ULL), 0);
    assert_int_equal(pthread_join(consumer, &done), 0);
    assert_non_null(done);
    assert_int_equal(ring.seen, events);
    assert_int_equal(shmc_close(ring.h), 0);
}

static void a_retrying_producer_and_a_consumer_never_race(void **state)
{
    run(*state, SHMC_FULL_FAIL, SHMC_WAKE_TIMER, rounds(50000));
}

static void a_sleeping_producer_and_a_consumer_never_race(void **state)
{
    run(*state, SHMC_FULL_WAIT, SHMC_WAKE_TIMER, rounds(50000));
}

static void an_impatient_producer_and_a_consumer_never_race(void **state)
{
    run(*state, SHMC_FULL_WAIT, SHMC_WAKE_IMMEDIATE, rounds(20000));
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_retrying_producer_and_a_consumer_never_race),
        CLAIM(a_sleeping_producer_and_a_consumer_never_race),
        CLAIM(an_impatient_producer_and_a_consumer_never_race),
    };

    return cmocka_run_group_tests_name("ring_stress", tests, NULL, NULL);
}
