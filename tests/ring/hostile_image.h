/*
 * hostile_image: ring files as a broken or malicious producer might leave them, on the simulated
 * host. An image begins as a valid ring with honest frames and is then damaged by mutations, each
 * of a named kind, before an agent has seen it or at any moment after.
 *
 * Owns:   an image owns its mapping until hostile_close().
 * Thread: one.
 * Units:  bytes.
 */
#ifndef RING_HOSTILE_IMAGE_H
#define RING_HOSTILE_IMAGE_H

#include "support/sim_producer.h"

#define HOSTILE_DIR "/shm/hydrant"

enum { HOSTILE_TAG_BYTES = 24, HOSTILE_STREAM_BYTES = 32 };

struct hostile {
    struct sim_producer ring;
    char stream[HOSTILE_STREAM_BYTES];  /* that its honest frames go to */
    char tag[HOSTILE_TAG_BYTES + 1];    /* in each of its payloads, and in no others' */
    char name[160];                     /* in HOSTILE_DIR, as it is now */
    const struct hostile *other;        /* borrowed; to copy from; may be closed, not freed */
    uint32_t uid;
    uint32_t defs_used;                 /* with those that are no good */
    uint16_t defs_count;
    bool open;                          /* its producer lives */
};

/* Makes the ring under its name with some honest frames; nothing is wrong with it. */
void hostile_open(struct hostile *h, const char *name, uint32_t uid, const char *stream,
                  const char *tag);
void hostile_write(struct hostile *h);          /* one more honest frame, if there is room */
void hostile_close(struct hostile *h);          /* the producer dies */

/* Beyond repair: whatever agent looks at it next will not read it on. */
void hostile_ruin(struct hostile *h);

/*
 * Applies one mutation, by chance. FILES: also of the file itself and its name; else of its bytes
 * alone.
 */
enum hostile_what { HOSTILE_BYTES, HOSTILE_FILES };
void hostile_mutate(struct hostile *h, enum hostile_what what);

/* How often each kind was applied since the program began. */
unsigned hostile_kinds(void);
const char *hostile_kind_name(unsigned kind);
uint64_t hostile_kind_count(unsigned kind);

#endif
