/*
 * mailbox: several posters against one taker, and its end.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io/loop.h"
#include "pipeline/mailbox.h"

struct fixture {
    struct io_loop *loop;
    struct mailbox box;
};

struct note {
    struct shard_request req;
    unsigned poster, number;
    int result;
    bool done;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    assert_int_equal(loop_open(8, &f->loop, NULL), 0);
    mailbox_init(&f->box, f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = (struct fixture *)*state;

    mailbox_close(&f->box);
    loop_close(f->loop);
    free(f);
    return 0;
}

static void on_done(struct shard_request *req, int result)
{
    struct note *n = (struct note *)req; /* its first member */

    n->result = result;
    n->done = true;
}

static struct note note_of(unsigned poster, unsigned number)
{
    return (struct note){ .req = { .kind = REQUEST_FLUSH, .done = on_done },
                          .poster = poster, .number = number };
}

static void requests_come_out_in_order(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct note notes[3];
    struct shard_request *list;

    assert_null(mailbox_take(&f->box));
    for (unsigned i = 0; i < 3; i++) {
        notes[i] = note_of(0, i);
        assert_int_equal(mailbox_post(&f->box, &notes[i].req), 0);
    }
    list = mailbox_take(&f->box);
    for (unsigned i = 0; i < 3; i++, list = list->next)
        assert_ptr_equal(list, &notes[i].req);
    assert_null(list);
    assert_null(mailbox_take(&f->box));
}

static void a_post_ends_the_wait_that_comes_next(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct note n = note_of(0, 0);

    assert_int_equal(mailbox_post(&f->box, &n.req), 0);
    assert_true(loop_turn(f->loop, UINT64_MAX) >= 0); /* would wait for ever */
    assert_ptr_equal(mailbox_take(&f->box), &n.req);
}

static void a_full_mailbox_refuses(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    static struct note notes[MAILBOX_MAX + 1];

    for (unsigned i = 0; i <= MAILBOX_MAX; i++)
        notes[i] = note_of(0, i);
    for (unsigned i = 0; i < MAILBOX_MAX; i++)
        assert_int_equal(mailbox_post(&f->box, &notes[i].req), 0);
    assert_int_equal(mailbox_post(&f->box, &notes[MAILBOX_MAX].req), -EAGAIN);
    assert_non_null(mailbox_take(&f->box));
    assert_int_equal(mailbox_post(&f->box, &notes[MAILBOX_MAX].req), 0);
}

static void closing_answers_what_is_queued_and_refuses_the_rest(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct note first = note_of(0, 0), second = note_of(0, 1), late = note_of(0, 2);

    assert_int_equal(mailbox_post(&f->box, &first.req), 0);
    assert_int_equal(mailbox_post(&f->box, &second.req), 0);
    mailbox_close(&f->box);
    assert_true(first.done && second.done);
    assert_int_equal(first.result, -ESHUTDOWN);
    assert_int_equal(second.result, -ESHUTDOWN);
    assert_int_equal(mailbox_post(&f->box, &late.req), -ESHUTDOWN);
    assert_false(late.done);
    assert_null(mailbox_take(&f->box));
}

enum { POSTERS = 3, POSTS = 20000 };

struct poster {
    struct mailbox *box;
    unsigned number;
};

static void *poster_main(void *arg)
{
    struct poster *p = (struct poster *)arg;

    for (unsigned i = 0; i < POSTS;) {
        struct note *n = malloc(sizeof(*n));
        int res;

        if (n == NULL)
            return p;
        *n = note_of(p->number, i);
        while ((res = mailbox_post(p->box, &n->req)) == -EAGAIN)
            (void)sched_yield();
        if (res != 0) {
            free(n);
            return p;
        }
        i++;
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    struct fixture *f = (struct fixture *)*state;
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    unsigned next[POSTERS] = { 0 };
    unsigned total = 0;

    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){ &f->box, i };
        assert_int_equal(pthread_create(&threads[i], NULL, poster_main, &posters[i]), 0);
    }
    while (total < POSTERS * POSTS) {
        struct shard_request *list;

        assert_true(loop_turn(f->loop, UINT64_MAX) >= 0);
        while ((list = mailbox_take(&f->box)) != NULL) {
            while (list != NULL) {
                struct note *n = (struct note *)list;

                list = list->next;
                assert_int_equal(n->number, next[n->poster]);
                next[n->poster]++;
                total++;
                free(n);
            }
        }
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(requests_come_out_in_order),
        TEST(a_post_ends_the_wait_that_comes_next),
        TEST(a_full_mailbox_refuses),
        TEST(closing_answers_what_is_queued_and_refuses_the_rest),
        TEST(nothing_is_lost_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
