/*
 * ring: which ring a thread writes to, and how it waits when there is no room.
 *
 * A thread's rings hang on a capsule in its state of Python, whose end is the thread's end: then
 * they are free for others. So there are as many rings as threads have written at the same time. A
 * child of fork finds its parent's rings wiped, and opens its own at the first call.
 *
 * Owns:   rings, through their clients; each thread's list of them.
 * Thread: any, with the GIL; ring_sleep() lets go of it while `waiting` says so.
 * Units:  nanoseconds.
 */
#include "module.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SLICE_NS  100000000ULL /* until signals are looked for again */
#define CAPSULE   "hydrant._hydrant.rings"

struct thread {
    struct ring *rings;
};

static _Thread_local struct thread *mine;
static uint64_t serials;

uint64_t ring_clock_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- life ---- */

/* A daemon thread may wait in it at the program's end: then the library refuses to close it. */
static void ring_free(struct ring *r)
{
    (void)shmc_close(r->handle);
    PyMem_Free(r->numbers);
    PyMem_Free(r);
}

void ring_retire(struct ring *r)
{
    struct shmc_stats stats = SHMC_STATS_INIT;
    struct client *c = r->client;
    struct ring **at;

    if (shmc_stats(r->handle, &stats) == 0) {
        c->events += stats.events;
        c->bytes += stats.bytes;
        c->dropped += stats.drops_full;
    }
    for (at = &c->rings; *at != r; at = &(*at)->next)
        ;
    *at = r->next;
    if (r->thread != NULL) {
        for (at = &r->thread->rings; *at != r; at = &(*at)->next_in_thread)
            ;
        *at = r->next_in_thread;
    }
    r->client = NULL;
    r->thread = NULL;
    if (!r->waiting)
        ring_free(r);
}

/* The thread has ended; or this is a child of fork, which has only the thread that forked. */
static void thread_gone(PyObject *capsule)
{
    struct thread *t = PyCapsule_GetPointer(capsule, CAPSULE);
    struct ring *next;

    for (struct ring *r = t->rings; r != NULL; r = next) {
        next = r->next_in_thread;
        r->next_in_thread = NULL;
        r->thread = NULL;
        r->waiting = false;
    }
    if (mine == t)
        mine = NULL;
    PyMem_Free(t);
}

static struct thread *thread_here(void)
{
    PyObject *state = PyThreadState_GetDict(), *capsule;
    struct thread *t;
    int rc;

    if (mine != NULL)
        return mine;
    t = state != NULL ? PyMem_Calloc(1, sizeof(*t)) : NULL;
    if (t == NULL)
        return (void *)PyErr_NoMemory();
    capsule = PyCapsule_New(t, CAPSULE, thread_gone);
    if (capsule == NULL) {
        PyMem_Free(t);
        return NULL;
    }
    rc = PyDict_SetItemString(state, CAPSULE, capsule);
    Py_DECREF(capsule); /* after a failure this was the last of it, and t is gone */
    if (rc == 0)
        mine = t;
    return mine;
}

/* One that no thread has. Those of a parent before fork are of no use to anybody here. */
static struct ring *ring_idle(struct client *c)
{
    struct ring *next;

    for (struct ring *r = c->rings; r != NULL; r = next) {
        next = r->next;
        if (r->thread != NULL)
            continue;
        if (shmc_event_bytes_max(r->handle) != 0)
            return r;
        ring_retire(r);
    }
    return NULL;
}

static struct ring *ring_new(struct client *c)
{
    struct ring *r = PyMem_Calloc(1, sizeof(*r));
    int rc;

    if (r == NULL)
        return (void *)PyErr_NoMemory();
    rc = shmc_open(&c->options, &r->handle);
    if (rc < 0) {
        PyMem_Free(r);
        (void)error_set(rc, shmc_error(NULL));
        return NULL;
    }
    r->serial = ++serials;
    r->client = c;
    r->next = c->rings;
    c->rings = r;
    return r;
}

static struct ring *ring_take(struct client *c)
{
    struct thread *t = thread_here();
    struct ring *r;

    if (t == NULL)
        return NULL;
    if (c->closed) {
        (void)error_closed();
        return NULL;
    }
    r = ring_idle(c);
    if (r == NULL)
        r = ring_new(c);
    if (r == NULL)
        return NULL;
    r->thread = t;
    r->next_in_thread = t->rings;
    t->rings = r;
    return r;
}

struct ring *ring_of(struct client *c)
{
    struct ring *r = mine != NULL ? mine->rings : NULL;

    while (r != NULL && r->client != c)
        r = r->next_in_thread;
    return r != NULL ? r : ring_take(c);
}

/* ---- definitions ---- */

static int number_make(struct ring *r, size_t index, uint16_t *ret_number)
{
    const struct def *def = &r->client->defs[index];
    uint16_t stream;
    int rc;

    if (def->fields == NULL)
        return shmc_stream(r->handle, PyBytes_AsString(def->name), ret_number);
    rc = ring_number(r, def->stream, &stream);
    if (rc < 0)
        return rc;
    return shmc_schema(r->handle, stream, def->fields, def->count, ret_number);
}

int ring_number(struct ring *r, size_t index, uint16_t *ret_number)
{
    size_t count = r->client->defs_count;
    uint16_t *longer;
    int rc;

    if (index < r->numbers_count && r->numbers[index] != 0) {
        *ret_number = r->numbers[index];
        return 0;
    }
    rc = number_make(r, index, ret_number);
    if (rc < 0)
        return rc;
    if (index >= r->numbers_count) {
        longer = PyMem_Realloc(r->numbers, count * sizeof(*longer));
        if (longer == NULL)
            return 0;           /* it is looked up again, then */
        memset(longer + r->numbers_count, 0, (count - r->numbers_count) * sizeof(*longer));
        r->numbers = longer;
        r->numbers_count = count;
    }
    r->numbers[index] = *ret_number;
    return 0;
}

int ring_declare(struct client *c, size_t index)
{
    int rc = -ECHILD;

    while (rc == -ECHILD) {
        struct ring *r = ring_of(c);
        uint16_t number;

        if (r == NULL)
            return -1;
        rc = ring_number(r, index, &number);
        if (rc == -ECHILD)
            ring_retire(r);
        else if (rc < 0)
            return ring_failed(r, rc);
    }
    return 0;
}

/* ---- waiting ---- */

int ring_failed(struct ring *r, int rc)
{
    (void)error_set(rc, rc == -EAGAIN ? "the ring is full" : shmc_error(r->handle));
    if (rc == -ESTALE)
        ring_retire(r);
    return -1;
}

int ring_sleep(struct ring *r, enum shmc_pos pos, uint64_t ns)
{
    int rc;

    r->waiting = true;
    Py_BEGIN_ALLOW_THREADS
    rc = shmc_flush(r->handle, pos, ns < SLICE_NS ? ns : SLICE_NS);
    Py_END_ALLOW_THREADS
    r->waiting = false;
    if (r->client == NULL) {
        ring_free(r);
        return -EBADF;
    }
    return rc;
}

/* For room. When all is accepted the ring is empty, and it is known that the next event fits. */
static int wait_for_room(struct ring *r, struct ring_wait *wait)
{
    uint64_t now = ring_clock_ns(), wait_ns = r->client->wait_ns;
    int rc;

    if (wait->until_ns == 0)
        wait->until_ns = wait_ns < UINT64_MAX - now ? now + wait_ns : UINT64_MAX;
    if (now >= wait->until_ns)
        return error_set(-ETIMEDOUT, "the ring is full, and stayed so for wait_timeout");
    rc = ring_sleep(r, SHMC_ACCEPTED, wait->until_ns - now);
    if (rc == -EBADF)
        return error_closed();
    return PyErr_CheckSignals();
}

int ring_again(struct ring *r, int rc, struct ring_wait *wait)
{
    if (rc == -ECHILD) {
        ring_retire(r);
        return 0;
    }
    if (rc == -EAGAIN && r->client->wait_ns != 0)
        return wait_for_room(r, wait);
    return ring_failed(r, rc);
}
