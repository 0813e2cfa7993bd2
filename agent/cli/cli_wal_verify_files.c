/*
 * cli_wal_verify_files: the files of batches that are sealed and not acknowledged by every sink:
 * until then the spool file must be there, and a staging name that is there must be whole.
 *
 * An agent at work delivers meanwhile: what is missing is only wrong if the log, read on after
 * that, still has the batch. It drops a spool file after the acknowledgement is in the log.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "cli/cli_wal_verify.h"
#include "pipeline/parts.h"

/* 0: length and bytes are as sealed, *ret_stat filled; or what is wrong, for people. */
static const char *file_trouble(int dir, const char *name, const struct wal_seal *seal,
                                struct file_stat *ret_stat)
{
    enum { PIECE = 1024 * 1024 };
    static uint8_t buf[PIECE];
    const char *trouble = NULL;
    uint64_t done = 0;
    uint32_t crc = 0;
    int fd = file_open(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
    int r = fd < 0 ? fd : file_stat(fd, ret_stat);

    if (r < 0)
        trouble = r == -ENOENT ? "is missing" : strerror(-r);
    else if (!S_ISREG(ret_stat->mode))
        trouble = "is no plain file";
    else if (ret_stat->size_bytes != seal->file_bytes)
        trouble = "has another length than was sealed";
    while (trouble == NULL && done < seal->file_bytes) {
        uint64_t left = seal->file_bytes - done;
        ssize_t n = file_read(fd, buf, left < PIECE ? (size_t)left : PIECE, done);

        if (n <= 0) {
            trouble = n < 0 ? strerror((int)-n) : "has become shorter";
            break;
        }
        crc = crc32c(crc, buf, (size_t)n);
        done += (uint64_t)n;
    }
    if (trouble == NULL && crc != seal->crc32c)
        trouble = "has other bytes than were sealed";
    file_close(fd);
    return trouble;
}

/* As pipeline/seal.c names it: the log's uuid keeps two agents apart in one directory. */
static void staging_name(const struct wal_verify *v, const struct batch_id *id, char *ret_name)
{
    bytes_hex(ret_name, v->walk.dir.segments[0].header.uuid, 4);
    ret_name[8] = '-';
    batch_id_format(id, ret_name + 9);
}

/*
 * A staging name that is gone was renamed to its key: delivered. Directories that we may not look
 * into are passed over.
 */
static const char *staging_trouble(const struct wal_seal *seal, const char *name,
                                   const struct file_stat *spool, char *ret_path, size_t cap)
{
    for (uint16_t i = 0; i < seal->targets; i++) {
        const struct wal_seal_target *t = &seal->target[i];
        struct file_stat stat;
        const char *trouble;

        if (t->type != TARGET_FILE || t->staging_id == 0 || t->acked)
            continue;
        if ((size_t)snprintf(ret_path, cap, "%s/%s/%s", t->directory, FILE_SINK_STAGING, name)
                >= cap
            || file_stat_at(FILE_CWD, ret_path, &stat) != 0
            || (stat.dev == spool->dev && stat.ino == spool->ino))
            continue;
        trouble = file_trouble(FILE_CWD, ret_path, seal, &stat);
        if (trouble != NULL)
            return trouble;
    }
    return NULL;
}

struct trouble {
    const char *what;
    char path[4096];
};

static bool seal_trouble(const struct wal_verify *v, int spool_dir, const struct wal_seal *seal,
                         struct trouble *ret_trouble)
{
    struct batch_id id = { seal->epoch, (uint16_t)v->walk.shard, seal->number };
    struct file_stat stat = { 0 };
    char spool[SPOOL_NAME_MAX], staging[SPOOL_NAME_MAX];

    seal_spool_name(&id, spool);
    staging_name(v, &id, staging);
    (void)snprintf(ret_trouble->path, sizeof(ret_trouble->path), "%s/spool/%s", v->args->data_dir,
                   spool);
    ret_trouble->what = file_trouble(spool_dir, spool, seal, &stat);
    if (ret_trouble->what == NULL)
        ret_trouble->what = staging_trouble(seal, staging, &stat, ret_trouble->path,
                                            sizeof(ret_trouble->path));
    return ret_trouble->what != NULL;
}

static int seal_verify(struct wal_verify *v, int spool_dir, uint64_t epoch, uint64_t number,
                       struct errmsg *err)
{
    static struct trouble trouble;
    const struct wal_seal *seal = wal_state_seal(&v->state, epoch, number);
    int r;

    if (seal == NULL)           /* acknowledged meanwhile */
        return 0;
    v->batches++;
    if (!seal_trouble(v, spool_dir, seal, &trouble))
        return 0;
    if (v->live && !v->ended) {
        r = wal_walk_refresh(&v->walk, err);
        if (r == 0)
            r = wal_verify_log(v, err);
        if (r != 0)
            return r;
        seal = wal_state_seal(&v->state, epoch, number);
    }
    if (seal != NULL)
        wal_verify_damage(v, seal->first_lsn, NULL,
                          "batch %016" PRIx64 "-%" PRIu64 " of %" PRIu64 " events is not "
                          "delivered, and %s %s",
                          epoch, number, seal->events, trouble.path, trouble.what);
    return 0;
}

int wal_verify_files(struct wal_verify *v, struct errmsg *err)
{
    struct { uint64_t epoch, number; } *ids;
    uint32_t count = 0;
    char path[4096];
    int spool_dir, r = 0;

    (void)snprintf(path, sizeof(path), "%s/spool", v->args->data_dir);
    spool_dir = file_open(FILE_CWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (spool_dir < 0)
        return v->state.seals_count == 0 ? 0
                                         : errmsg_set_errno(err, spool_dir, "%s: cannot open",
                                                            path);
    ids = calloc(v->state.seals_count + 1U, sizeof(*ids));
    if (ids == NULL)
        r = errmsg_set(err, -ENOMEM, "out of memory");
    for (const struct wal_seal *seal = v->state.seals; r == 0 && seal != NULL; seal = seal->next) {
        ids[count].epoch = seal->epoch;
        ids[count++].number = seal->number;
    }
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = seal_verify(v, spool_dir, ids[i].epoch, ids[i].number, err);
    free(ids);
    file_close(spool_dir);
    return r;
}
