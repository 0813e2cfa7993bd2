/*
 * client: makes and unmakes handles, and answers what a handle is asked.
 *
 * Owns:   the handle's pages, and through it the segment and the bell socket.
 * Thread: the handle's; the text of a failed open is per thread.
 * Units:  bytes; positions as in shm_wire.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "handle.h"

#define HANDLE_ALIGN 65536U /* a multiple of every page size */
#define HANDLE_BYTES ((sizeof(struct shmc) + HANDLE_ALIGN - 1) & ~(size_t)(HANDLE_ALIGN - 1))
#define MARK_DIVISOR 4U /* the mark is a quarter of the ring past the last bell */
#define STATS_MIN    (offsetof(struct shmc_stats, quarantine))
#define OPTIONS_1    88U /* bytes of the options of ABI 1, which size_bytes 0 means */

_Static_assert(sizeof(void *) == 8, "64-bit only");
_Static_assert(sizeof(struct shmc_options) == OPTIONS_1, "shmc_options is ABI");
_Static_assert(sizeof(struct shmc_stats) == 104, "shmc_stats is ABI");
_Static_assert((int)SHMC_JSON == SHM_KIND_JSON && (int)SHMC_RECORD == SHM_KIND_RECORD, "kinds");
_Static_assert((int)SHMC_ACCEPTED == SHM_POS_ACCEPTED && (int)SHMC_DURABLE == SHM_POS_DURABLE &&
                   (int)SHMC_DELIVERED == SHM_POS_DELIVERED &&
                   (int)SHMC_COMMITTED == SHM_POS_COUNT,
               "positions");

static _Thread_local struct shmc_text open_error;

int shmc_text_set(struct shmc_text *text, int error, const char *format, ...)
{
    const char *what = error != 0 ? strerrordesc_np(-error) : NULL;
    va_list args;
    size_t used;

    va_start(args, format);
    (void)vsnprintf(text->s, sizeof(text->s), format, args);
    va_end(args);
    used = strlen(text->s);
    if (what != NULL)
        (void)snprintf(text->s + used, sizeof(text->s) - used, ": %s", what);
    return error;
}

/* ---- options ---- */

/* A newer caller's struct is longer: fine as long as it asks for nothing that we do not know. */
static int options_copy(const struct shmc_options *opt, struct shmc_options *ret_opt,
                        struct shmc_text *text)
{
    size_t given, known = sizeof(*ret_opt);

    *ret_opt = (struct shmc_options)SHMC_OPTIONS_INIT;
    if (opt == NULL)
        return 0;
    given = opt->size_bytes != 0 ? opt->size_bytes : OPTIONS_1;
    if (opt->abi > SHMC_ABI || given < sizeof(opt->size_bytes) + sizeof(opt->abi))
        return shmc_text_set(text, -EINVAL, "options: abi %u of %zu bytes, the library has %u",
                             opt->abi, given, SHMC_ABI);
    for (size_t i = known; i < given; i++) {
        if (((const uint8_t *)opt)[i] != 0)
            return shmc_text_set(text, -E2BIG, "options: byte %zu is set, the library knows %zu", i,
                                 known);
    }
    memcpy(ret_opt, opt, given < known ? given : known);
    return 0;
}

static int options_check(struct shmc_options *opt, struct shmc_text *text)
{
    uint64_t bytes = SHM_RING_BYTES_MIN;

    if (opt->full > SHMC_FULL_WAIT)
        return shmc_text_set(text, -EINVAL, "options: full %u", opt->full);
    if (opt->wake > SHMC_WAKE_IMMEDIATE)
        return shmc_text_set(text, -EINVAL, "options: wake %u", opt->wake);
    if (opt->clock > SHMC_CLOCK_REAL)
        return shmc_text_set(text, -EINVAL, "options: clock %u", opt->clock);
    if (opt->flags != 0)
        return shmc_text_set(text, -EINVAL, "options: flags %#x", opt->flags);
    for (size_t i = 0; i < sizeof(opt->reserved) / sizeof(opt->reserved[0]); i++) {
        if (opt->reserved[i] != 0)
            return shmc_text_set(text, -EINVAL, "options: reserved[%zu] is set", i);
    }
    if (opt->ring_bytes == 0)
        opt->ring_bytes = SHM_RING_BYTES_DEFAULT;
    if (opt->ring_bytes > SHM_RING_BYTES_MAX)
        return shmc_text_set(text, -EINVAL, "options: ring_bytes %llu, at most %u",
                             (unsigned long long)opt->ring_bytes, SHM_RING_BYTES_MAX);
    while (bytes < opt->ring_bytes)
        bytes *= 2;
    opt->ring_bytes = bytes;
    if (opt->name == NULL || opt->name[0] == '\0')
        opt->name = program_invocation_short_name;
    return 0;
}

/* The environment of a set-uid program is somebody else's. */
static int agent_uid_get(uint32_t option, uid_t *ret_uid, struct shmc_text *text)
{
    const char *env = secure_getenv("HYDRANT_AGENT_UID");
    unsigned long uid;
    char *end;

    *ret_uid = option;
    if (option != 0 || env == NULL || env[0] == '\0')
        return 0;
    errno = 0;
    uid = strtoul(env, &end, 10);
    if (env[0] < '0' || env[0] > '9' || *end != '\0' || errno != 0 || uid >= UINT32_MAX)
        return shmc_text_set(text, -EINVAL, "HYDRANT_AGENT_UID '%.32s' is not a uid", env);
    *ret_uid = (uid_t)uid;
    return 0;
}

/* ---- life ---- */

/* Pages of its own, which fork wipes in the child. */
static struct shmc *handle_alloc(struct shmc_text *text)
{
    void *pages = mmap(NULL, HANDLE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);

    if (pages == MAP_FAILED) {
        (void)shmc_text_set(text, -errno, "handle");
        return NULL;
    }
    if (madvise(pages, HANDLE_BYTES, MADV_WIPEONFORK) < 0) {
        (void)shmc_text_set(text, -errno, "handle: MADV_WIPEONFORK");
        (void)munmap(pages, HANDLE_BYTES);
        return NULL;
    }
    return pages;
}

static void handle_start(struct shmc *h, const struct shmc_options *opt)
{
    h->event_bytes_max = shm_event_bytes_max(opt->ring_bytes);
    h->head_word = h->segment.head;
    h->full = opt->full;
    h->wait_ns_max = opt->wait_ns_max != 0 ? opt->wait_ns_max : UINT64_MAX;
    h->bell_after = opt->wake == SHMC_WAKE_IMMEDIATE ? 0 : opt->ring_bytes / MARK_DIVISOR;
    h->bell_fd = -1;
    h->clock = (uint8_t)opt->clock;
    if (opt->clock == SHMC_CLOCK_TSC && shmc_tsc_open(&h->tsc) < 0)
        h->clock = SHMC_CLOCK_COARSE;
    h->looked_accepted = UINT64_MAX;
    shmc_head_set(h, 0);
    h->magic = SHMC_MAGIC;
}

int shmc_open(const struct shmc_options *opt, struct shmc **ret_handle)
{
    struct shmc_text *text = &open_error;
    struct shmc_options o;
    struct shmc *h = NULL;
    uid_t agent_uid = 0;
    int rc;

    if (ret_handle == NULL)
        return shmc_text_set(text, -EINVAL, "ret_handle");
    *ret_handle = NULL;
    rc = options_copy(opt, &o, text);
    if (rc == 0)
        rc = options_check(&o, text);
    if (rc == 0)
        rc = agent_uid_get(o.agent_uid, &agent_uid, text);
    if (rc < 0)
        return rc;
    h = handle_alloc(text);
    if (h == NULL)
        return -ENOMEM;
    rc = shmc_dir_path(o.shm_dir, secure_getenv("HYDRANT_SHM_DIR"), geteuid(), h->dir,
                       sizeof(h->dir), text);
    if (rc == 0)
        rc = shmc_segment_create(h->dir, agent_uid, o.name, o.ring_bytes, &h->segment, text);
    if (rc < 0) {
        (void)munmap(h, HANDLE_BYTES);
        return rc;
    }
    handle_start(h, &o);
    *ret_handle = h;
    return 0;
}

int shmc_close(struct shmc *h)
{
    if (h == NULL)
        return 0;
    if (atomic_load_explicit(&h->gate.part.busy, memory_order_relaxed) == SHMC_IN_CALL)
        return -EBUSY;
    /* In a forked child there is the wiped copy of the handle alone. */
    if (shmc_alive(h)) {
        /* C1: pairs with the agent's acquire of closed: seeing it means that head is final. */
        atomic_store_explicit(&h->segment.producer->closed, 1, memory_order_release);
        shmc_doorbell_ring_if_wanted(h);
        shmc_doorbell_close(h);
        shmc_segment_unmap(&h->segment);
    }
    (void)munmap(h, HANDLE_BYTES);
    return 0;
}

/* ---- questions ---- */

int shmc_position(struct shmc *h, enum shmc_pos pos, uint64_t *ret_pos)
{
    if (!shmc_alive(h))
        return -ECHILD;
    if (ret_pos == NULL || (unsigned int)pos > SHMC_COMMITTED)
        return shmc_text_set(&h->error, -EINVAL, "position %d is not one of enum shmc_pos",
                             (int)pos);
    if (pos != SHMC_COMMITTED)
        return shmc_mark_read(h, (enum shm_pos)pos, shmc_head_published(h), ret_pos);
    *ret_pos = shmc_head_published(h);
    return 0;
}

static uint64_t word(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

int shmc_stats(const struct shmc *h, struct shmc_stats *ret_stats)
{
    const struct shm_producer *producer;
    const struct shm_consumer *consumer;
    struct shmc_stats stats;
    size_t given, known = sizeof(stats);

    if (!shmc_alive(h))
        return -ECHILD;
    if (ret_stats == NULL || ret_stats->size_bytes <= STATS_MIN)
        return -EINVAL;
    producer = h->segment.producer;
    consumer = h->segment.consumer;
    given = ret_stats->size_bytes;
    stats = (struct shmc_stats){
        .size_bytes = ret_stats->size_bytes,
        .quarantine = atomic_load_explicit(&consumer->quarantine, memory_order_relaxed),
        .events = h->events,
        .bytes = h->payload_bytes,
        .drops_full = word(&producer->drops[SHM_DROP_FULL]),
        .drops_timeout = word(&producer->drops[SHM_DROP_TIMEOUT]),
        .drops_too_large = word(&producer->drops[SHM_DROP_TOO_LARGE]),
        .drops_stale = word(&producer->drops[SHM_DROP_STALE]),
        .high_water_bytes = word(&producer->high_water_bytes),
        .ring_bytes = h->segment.data_bytes,
        .committed = shmc_head_published(h),
        .accepted = word(&consumer->mark[SHM_POS_ACCEPTED].pos),
        .durable = word(&consumer->mark[SHM_POS_DURABLE].pos),
        .delivered = word(&consumer->mark[SHM_POS_DELIVERED].pos),
    };
    memcpy(ret_stats, &stats, given < known ? given : known);
    if (given > known)
        memset((uint8_t *)ret_stats + known, 0, given - known);
    return 0;
}

size_t shmc_event_bytes_max(const struct shmc *h)
{
    return h->event_bytes_max;
}

const char *shmc_name(const struct shmc *h)
{
    return h->segment.name;
}

const char *shmc_error(const struct shmc *h)
{
    if (h == NULL)
        return open_error.s;
    return shmc_alive(h) ? h->error.s : "the handle was opened before fork";
}

const char *shmc_version(void)
{
    return SHMC_VERSION;
}
