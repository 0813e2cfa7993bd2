/*
 * Events by ring: a few as JSON, one written in place, and then a wait until they are safe.
 *
 *     cc events.c $(pkg-config --cflags --libs shm-client) -o events
 *     ./events            # with or without an agent: `hydrant status` shows them
 */
#include <shm_client.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Formats straight into the ring: nothing is copied, and nobody sees it before the commit. */
static int write_in_place(struct shmc *ring, uint16_t stream, unsigned int number)
{
    enum { SIZE_MAX_BYTES = 200 };
    void *place;
    int rc = shmc_reserve(ring, stream, SHMC_JSON, SIZE_MAX_BYTES, &place), len;

    if (rc < 0)
        return rc;
    len = snprintf(place, SIZE_MAX_BYTES, "{\"order\":%u,\"state\":\"shipped\"}", number);
    return shmc_commit(ring, (size_t)len);
}

static int write_orders(struct shmc *ring)
{
    char event[100];
    uint16_t stream;
    int rc = shmc_stream(ring, "orders", &stream);

    for (unsigned int number = 1; rc == 0 && number <= 10; number++) {
        int len = snprintf(event, sizeof(event), "{\"order\":%u,\"state\":\"paid\"}", number);

        rc = shmc_write(ring, stream, SHMC_JSON, event, (size_t)len);
    }
    if (rc == 0)
        rc = write_in_place(ring, stream, 1);
    /* After this the events survive a crash of the host. */
    return rc == 0 ? shmc_flush(ring, SHMC_DURABLE, 5000000000) : rc;
}

int main(void)
{
    struct shmc_options options = SHMC_OPTIONS_INIT;
    struct shmc_stats stats = SHMC_STATS_INIT;
    struct shmc *ring;
    int rc;

    options.full = SHMC_FULL_WAIT; /* or FAIL: -EAGAIN; or DROP: counted */
    if (shmc_open(&options, &ring) < 0) {
        fprintf(stderr, "events: %s\n", shmc_error(NULL));
        return 1;
    }
    rc = write_orders(ring);
    if (rc < 0)
        fprintf(stderr, "events: %s (%s)\n", strerror(-rc), shmc_error(ring));
    (void)shmc_stats(ring, &stats);
    printf("%" PRIu64 " events are committed\n", stats.events);
    (void)shmc_close(ring); /* what is in the ring stays for the agent */
    return rc < 0;
}
