/*
 * Claims about groups in memory: how many are busy, who keeps a chunk, when one goes. On simulated
 * I/O.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/sim.h"
#include "wal/wal_group.h"

enum { SMALL = 1000, LARGE = 1024 * 1024 };

struct fixture {
    struct io_loop *loop;
    struct wal_groups gs;
    uint64_t lsn;
};

static int open_groups(void **state)
{
    static struct fixture f;
    struct errmsg err;

    sim_reset(1);
    memset(&f, 0, sizeof(f));
    assert_int_equal(loop_open(8, &f.loop, &err), 0);
    wal_groups_init(&f.gs, f.loop);
    *state = &f;
    return 0;
}

static int close_groups(void **state)
{
    struct fixture *f = *state;

    wal_groups_fini(&f->gs);
    loop_close(f->loop);
    return 0;
}

/* A closed group whose body is `len` times its own number. */
static struct wal_group *closed(struct fixture *f, uint32_t len)
{
    struct wal_group *g = wal_group_take(&f->gs, true);

    assert_non_null(g);
    assert_int_equal(wal_group_lend(&f->gs, g), 0);
    g->body_len = len;
    memset(g->chunk, (int)++f->lsn, len);
    g->end_lsn = f->lsn;
    wal_group_keep(&f->gs, g);
    return g;
}

static void a_group_stays_until_it_is_released_and_synced(void **state)
{
    struct fixture *f = *state;
    struct wal_group *a = closed(f, LARGE), *b = closed(f, LARGE);

    assert_int_equal(f->gs.busy, 2);
    assert_true(f->gs.kept_bytes >= 2ULL * WAL_CHUNK_BYTES);
    wal_group_release(&f->gs, a);
    assert_int_equal(f->gs.busy, 1);
    assert_ptr_equal(f->gs.kept_first, a);
    wal_groups_synced(&f->gs, b->end_lsn);
    assert_null(f->gs.kept_first);
    assert_int_equal(f->gs.kept_bytes, 0);
    assert_int_equal(a->state, WAL_GROUP_FREE);
    assert_int_not_equal(b->state, WAL_GROUP_FREE);     /* its router has it */
    assert_int_equal(b->chunk[0], 2);
    wal_group_release(&f->gs, b);
    assert_int_equal(b->state, WAL_GROUP_FREE);
    assert_int_equal(f->gs.chunks, 2);
}

static void a_sync_takes_only_the_groups_below_it(void **state)
{
    struct fixture *f = *state;
    struct wal_group *g[3];

    for (int i = 0; i < 3; i++) {
        g[i] = closed(f, SMALL);
        wal_group_release(&f->gs, g[i]);
    }
    wal_groups_synced(&f->gs, g[1]->end_lsn);
    assert_ptr_equal(f->gs.kept_first, g[2]);
    assert_null(g[2]->next);
    wal_groups_synced(&f->gs, g[2]->end_lsn - 1);
    assert_ptr_equal(f->gs.kept_first, g[2]);
    wal_groups_synced(&f->gs, g[2]->end_lsn);
    assert_null(f->gs.kept_first);
    wal_group_release(&f->gs, closed(f, SMALL));        /* the list goes on */
    assert_non_null(f->gs.kept_first);
    wal_groups_synced(&f->gs, UINT64_MAX);
}

static void small_bodies_share_chunks_and_are_kept_whole(void **state)
{
    struct fixture *f = *state;
    uint8_t *chunk = NULL;

    for (int i = 0; i < 100; i++) {
        struct wal_group *g = closed(f, SMALL);

        assert_true(!chunk || g->chunk == chunk);       /* the warmest */
        chunk = g->chunk;
        wal_group_release(&f->gs, g);
        assert_null(g->chunk);
    }
    assert_int_equal(f->gs.chunks, 1);
    assert_true(f->gs.kept_bytes < 100 * (SMALL + 2 * sizeof(struct wal_group)));
    for (struct wal_group *g = f->gs.kept_first; g; g = g->next) {
        assert_int_equal(g->copy[0], (uint8_t)g->end_lsn);
        assert_int_equal(g->copy[SMALL - 1], (uint8_t)g->end_lsn);
    }
    wal_groups_synced(&f->gs, UINT64_MAX);
    assert_int_equal(f->gs.kept_bytes, 0);
}

static void some_groups_are_left_to_what_needs_no_routing(void **state)
{
    struct fixture *f = *state;
    struct wal_group *g[WAL_GROUPS];
    int n = 0;

    while (n < WAL_GROUPS && (g[n] = wal_group_take(&f->gs, true)) != NULL) {
        g[n]->routes = true;
        n++;
    }
    assert_int_equal(n, WAL_GROUPS - WAL_GROUPS_CONTROL);
    g[n] = wal_group_take(&f->gs, false);
    assert_non_null(g[n]);
    assert_false(wal_group_may_route(&f->gs, g[n]));
    assert_true(wal_group_may_route(&f->gs, g[0]));
    n++;
    g[n] = wal_group_take(&f->gs, false);
    assert_non_null(g[n++]);
    assert_null(wal_group_take(&f->gs, false));
    wal_group_release(&f->gs, g[--n]);
    g[n] = wal_group_take(&f->gs, false);
    assert_non_null(g[n++]);
    while (n > 0)
        wal_group_release(&f->gs, g[--n]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_groups, close_groups)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_group_stays_until_it_is_released_and_synced),
        TEST(a_sync_takes_only_the_groups_below_it),
        TEST(small_bodies_share_chunks_and_are_kept_whole),
        TEST(some_groups_are_left_to_what_needs_no_routing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
