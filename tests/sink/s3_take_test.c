/*
 * Claims about batches on their way to S3 that fails at random, with several requests out, kills in
 * between, and somebody else's objects and uploads beside: what is called delivered is stored,
 * once, byte for byte; nothing of ours is left over; nothing of others is touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "s3_life.h"

#define FOREIGN_KEY S3_LIFE_KEY "x"

enum { SMALL_BYTES = 1000, FAULTY_STEPS = 300, STEPS_MAX = 3000 };

static struct s3_life life;

/* One of so many. */
static bool one_of(uint32_t count)
{
    return s3_life_random(&life) % count == 0;
}

static void settings_choose(void)
{
    bool conditional = !one_of(3);

    s3_model_set_conditional(life.model, conditional);
    life.sink.set.s3.conditional = one_of(4) ? S3_NO : conditional && one_of(3) ? S3_YES : S3_AUTO;
    life.sink.set.s3.set.checksum = !one_of(5);
    s3_model_set_checksums(life.model, !one_of(4));
    if (life.job.file_bytes == SMALL_BYTES || one_of(8))
        life.sink.set.s3.set.signed_payload = S3_AUTO;
    if (one_of(4))
        life.service_ahead_s = one_of(2) ? 3600 : -3600;
    life.token = "token";
    life.lanes_count = 1 + (uint32_t)(s3_life_random(&life) % S3_LIFE_LANES);
}

static bool is_theirs(const char *key)
{
    const struct bytes *object = s3_model_find(life.model, key);

    return object && object->len == strlen("theirs");
}

static void steps(uint64_t seed)
{
    uint32_t kills = one_of(3) ? 3 : 0;

    for (uint32_t step = 0; !life.over; step++) {
        if (step == FAULTY_STEPS)
            s3_model_set_faults(life.model, 0);
        /* Somebody has seen to it. */
        if (life.last.class == RETRY_REJECT && step > FAULTY_STEPS && is_theirs(S3_LIFE_KEY))
            s3_model_delete(life.model, S3_LIFE_KEY);
        if (step == STEPS_MAX)
            fail_msg("seed %llu: no end; %s", (unsigned long long)seed, life.last.text.text);
        s3_life_step(&life);
        if (kills > 0 && !life.over && one_of(30)) {
            s3_life_kill(&life);
            kills--;
        }
    }
}

static void check(bool cond, const char *what, uint64_t seed)
{
    if (!cond)
        fail_msg("seed %llu: %s; last failure: %s", (unsigned long long)seed, what,
                 life.last.text.text);
}

static void one_run(uint64_t seed, uint64_t bytes)
{
    const struct bytes *object;
    bool damaged, theirs;

    s3_life_open(&life, seed, bytes);
    settings_choose();
    damaged = one_of(8);
    theirs = !damaged && one_of(8);
    life.job.crc32c ^= damaged;
    s3_model_put(life.model, FOREIGN_KEY, "theirs");
    s3_model_begin(life.model, FOREIGN_KEY);
    if (theirs)
        s3_model_put(life.model, S3_LIFE_KEY, "theirs");
    s3_model_set_faults(life.model, one_of(6) ? 0 : 2 + (uint32_t)(s3_life_random(&life) % 8));
    steps(seed);

    object = s3_model_find(life.model, S3_LIFE_KEY);
    check(life.job.result == (damaged ? SINK_DAMAGED : SINK_DONE), "the result", seed);
    check(theirs || life.classes[RETRY_REJECT] == 0, "it wants somebody's help", seed);
    check(damaged == !object, "the object is not there, or there", seed);
    check(damaged || (object->len == bytes && memcmp(object->data, life.file, bytes) == 0),
          "the object is another", seed);
    check(damaged || s3_model_writes(life.model, S3_LIFE_KEY) == 1, "written more often", seed);
    check(s3_model_uploads(life.model, S3_LIFE_KEY) == 0, "an upload is left over", seed);
    check(is_theirs(FOREIGN_KEY), "somebody's object is touched", seed);
    check(s3_model_uploads(life.model, FOREIGN_KEY) == 1, "somebody's upload is touched", seed);
    s3_life_close(&life);
}

static void small_batches_are_stored_once_whatever_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4000; seed++)
        one_run(seed, SMALL_BYTES);
}

static void large_batches_are_stored_once_whatever_fails(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        one_run(seed, S3_LIFE_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_batches_are_stored_once_whatever_fails),
        cmocka_unit_test(large_batches_are_stored_once_whatever_fails),
    };

    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
