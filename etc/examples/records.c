/*
 * Typed records by ring: no text is made here, and Parquet has the types.
 *
 *     cc records.c $(pkg-config --cflags --libs shm-client) -o records
 */
#include <shm_client.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The fields, once: it makes struct payment, payment_fields and payment_count. */
#define PAYMENT(FIELD, s)                                                                          \
    FIELD(s, TIMESTAMP, at)                                                                        \
    FIELD(s, STRING, user)                                                                         \
    FIELD(s, CHARS, country, 2)                                                                    \
    FIELD(s, F64, amount)                                                                          \
    FIELD(s, OPT_F64, fee)
SHMC_STRUCT(payment, PAYMENT);

static int write_payments(struct shmc *ring)
{
    struct payment payment = {.user = "ada", .country = {'D', 'E'}}; /* no fee: null */
    uint16_t stream, schema;
    struct timespec now;
    int rc = shmc_stream(ring, "payments", &stream);

    if (rc == 0)
        rc = shmc_schema(ring, stream, payment_fields, payment_count, &schema);
    for (int i = 0; rc == 0 && i < 10; i++) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        payment.at = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
        payment.amount = i + 0.5;
        rc = shmc_write_struct(ring, schema, &payment);
    }
    return rc == 0 ? shmc_flush(ring, SHMC_DURABLE, 5000000000) : rc;
}

int main(void)
{
    struct shmc *ring;
    int rc;

    if (shmc_open(NULL, &ring) < 0) {
        fprintf(stderr, "records: %s\n", shmc_error(NULL));
        return 1;
    }
    rc = write_payments(ring);
    if (rc < 0)
        fprintf(stderr, "records: %s (%s)\n", strerror(-rc), shmc_error(ring));
    (void)shmc_close(ring);
    return rc < 0;
}
