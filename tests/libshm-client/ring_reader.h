/*
 * ring_reader: the agent's side of a ring, as small as the protocol allows.
 *
 * It opens the published file like a stranger: control pages mapped, data read with pread, nothing
 * taken from the producer's handle.
 */
#ifndef TESTS_RING_READER_H
#define TESTS_RING_READER_H

#include "libshm-client/scratch.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "shm_wire.h"

struct ring_reader {
    int fd;
    struct shm_superblock super;
    uint8_t *control; /* three pages */
    struct shm_producer *producer;
    struct shm_consumer *consumer;
    struct shm_head *head;
    uint64_t pos;
    uint8_t *payload; /* of the event last read */
};

static inline uint32_t reader_crc32c(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len * 8; i++) {
        uint32_t bit = (uint32_t)(p[i / 8] >> (i % 8)) & 1U;

        crc = (crc >> 1) ^ (((crc & 1U) ^ bit) != 0 ? 0x82f63b78U : 0U);
    }
    return ~crc;
}

static inline void reader_open(struct ring_reader *reader, const char *dir, const char *name)
{
    char path[512];

    memset(reader, 0, sizeof(*reader));
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    reader->fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    assert_true(reader->fd >= 0);
    assert_int_equal(pread(reader->fd, &reader->super, sizeof(reader->super), 0),
                     sizeof(reader->super));
    reader->control = mmap(NULL, 3UL * reader->super.page_bytes, PROT_READ | PROT_WRITE,
                           MAP_SHARED, reader->fd, 0);
    assert_true(reader->control != MAP_FAILED);
    reader->producer = (struct shm_producer *)(reader->control + reader->super.page_bytes);
    reader->consumer = (struct shm_consumer *)(reader->control + 2UL * reader->super.page_bytes);
    reader->head = (struct shm_head *)(reader->control + reader->super.page_bytes +
                                       reader->super.head_offset);
    reader->payload = malloc(SHM_EVENT_BYTES_MAX);
    assert_non_null(reader->payload);
}

static inline void reader_close(struct ring_reader *reader)
{
    free(reader->payload);
    (void)munmap(reader->control, 3UL * reader->super.page_bytes);
    (void)close(reader->fd);
}

static inline uint64_t reader_head(const struct ring_reader *reader)
{
    return atomic_load_explicit(&reader->head->head, memory_order_acquire);
}

/* len bytes of the ring from pos, which may wrap. */
static inline void reader_copy(const struct ring_reader *reader, uint64_t pos, void *to, size_t len)
{
    uint64_t at = pos & (reader->super.data_bytes - 1);
    uint64_t to_end = reader->super.data_bytes - at;
    size_t first = len < to_end ? len : (size_t)to_end;
    off_t data = (off_t)reader->super.data_offset;

    assert_int_equal(pread(reader->fd, to, first, data + (off_t)at), first);
    assert_int_equal(pread(reader->fd, (uint8_t *)to + first, len - first, data), len - first);
}

/* The next committed event: its frame, and its payload in reader->payload. Checks every field. */
static inline bool reader_next(struct ring_reader *reader, struct shm_frame *ret_frame)
{
    uint64_t head = reader_head(reader);
    uint8_t padding[SHM_FRAME_ALIGN] = {0};
    uint64_t bytes, end;

    if (reader->pos == head)
        return false;
    assert_true(head - reader->pos <= reader->super.data_bytes);
    reader_copy(reader, reader->pos, ret_frame, sizeof(*ret_frame));
    bytes = shm_frame_bytes(ret_frame->len);
    end = sizeof(*ret_frame) + ret_frame->len;
    assert_true(ret_frame->len <= shm_event_bytes_max(reader->super.data_bytes));
    assert_true(bytes <= head - reader->pos);
    assert_int_equal(ret_frame->flags, 0);
    reader_copy(reader, reader->pos + sizeof(*ret_frame), reader->payload, ret_frame->len);
    reader_copy(reader, reader->pos + end, padding, (size_t)(bytes - end));
    for (size_t i = 0; i < sizeof(padding); i++)
        assert_int_equal(padding[i], 0);
    reader->pos += bytes;
    return true;
}

/* W1, the agent's half: pairs with shmc_doorbell_wait(). True: a sleeper was woken. */
static inline bool consumer_publish(struct shm_consumer *consumer, struct shm_producer *producer,
                                    enum shm_pos which, uint64_t pos)
{
    struct shm_mark *mark = &consumer->mark[which];

    atomic_store_explicit(&mark->pos, pos, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&producer->waiter, memory_order_relaxed) == 0)
        return false;
    (void)atomic_fetch_add_explicit(&mark->futex, 1, memory_order_release);
    return syscall(SYS_futex, &mark->futex, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0) > 0;
}

static inline bool reader_publish(struct ring_reader *reader, enum shm_pos which, uint64_t pos)
{
    return consumer_publish(reader->consumer, reader->producer, which, pos);
}

/* Whether some address space still maps the ring. */
static inline bool reader_producer_lives(const struct ring_reader *reader)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    assert_int_equal(fcntl(reader->fd, F_OFD_GETLK, &lock), 0);
    return lock.l_type != F_UNLCK;
}

#endif
