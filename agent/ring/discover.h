/*
 * discover: which ring files are in shm_dir, found by directory events and by bounded, resumable
 * scans (at start, after an overflow, and when asked).
 *
 * Owns:   the watch, the directory's descriptor; the first one the lock and the bell in shm_dir.
 * Thread: shard.
 * Errors: 0, a count or a descriptor, or -errno.
 */
#ifndef RING_DISCOVER_H
#define RING_DISCOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "io/file.h"

struct discover;

/*
 * Opens shm_dir (a symlink is refused), makes it when it is missing: 0700, or 3773 and the group's
 * when shm_group (name or number) is not NULL; an existing one is changed to that too. Refuses one
 * that is not tmpfs, whose owner is neither root nor this user, or that lets others remove files of
 * each other. Locks it (second agent: -EWOULDBLOCK and a text), opens bell and watch. What
 * strangers put in the place of lock and bell is removed, a directory there renamed to
 * ".aside.<random>".
 */
int discover_open(const char *shm_dir, const char *shm_group, struct discover **ret_discover,
                  struct errmsg *err);
/*
 * One more look at a directory that this process has opened so: of its own are watch and scans. It
 * has no bell (discover_bell() is -1), and what dead producers left is for the first one.
 */
int discover_join(const char *shm_dir, struct discover **ret_discover, struct errmsg *err);
void discover_close(struct discover *d);        /* unlinks its bell and lock; NULL is fine */

int discover_dir(const struct discover *d);     /* descriptor for ring_file_open() */
int discover_watch(const struct discover *d);   /* pollable */
int discover_bell(const struct discover *d);    /* pollable */

/*
 * Takes what the watch has, then goes on with a scan if one is due (one is after discover_open, and
 * after lost events): at most `names_max` (> 0) names of each in one call; events beyond that are
 * made good by a scan. Returns 1 while a scan is unfinished (call again next turn), else 0; -errno
 * when the directory could not be read (-ENOENT: it was removed), and a scan stays due.
 *
 * on_ring(ctx, name, false): a valid ring name is there or appeared; the caller may know it
 * already, and it need not be a ring. on_ring(ctx, name, true): somebody who could write closed the
 * file. That is a reason to look whether a ring that the caller has attached is an orphan, and
 * nothing else: an attempt to attach that fails closes the file too, so attaching upon it would
 * never end.
 *
 * A scan also removes what dead producers left of rings they were building: plain files under a
 * dot and a ring's name whose lock scans have found free for five seconds, and which have not grown
 * in between. At most 64 are looked at in one scan. As long as there may be such files, scans come
 * due by themselves.
 */
typedef void (*discover_fn)(void *ctx, const char *name, bool closed);
int discover_step(struct discover *d, uint64_t now_ns, unsigned names_max, discover_fn on_ring,
                  void *ctx);

uint64_t discover_due_ns(const struct discover *d);     /* step by then; UINT64_MAX: no need */

/* Scans that came to their end: a flood of events may ask for ever new ones. */
uint64_t discover_scans(const struct discover *d);

/* True, once: what a dead producer left cannot be removed, and why. */
bool discover_complaint(struct discover *d, struct errmsg *ret_text);

void discover_rescan(struct discover *d);       /* begin a scan at the next step */

#endif
