/*
 * cli_wal_files: lists a log's directory and reads the headers.
 *
 * Whether an agent is at work is seen in the kernel's list of locks: even a shared lock, taken for
 * a moment, could make an agent that starts believe that another one is there.
 *
 * Owns:   what it lists.
 * Thread: main.
 */
#include "cli/cli_wal_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Four times what can be configured: a CHECKPOINT may make a segment larger. */
#define SEGMENT_BYTES_MAX (UINT64_C(4) << 30)

/* The name's kind, and its numbers. */
static void name_read(struct wal_file *file)
{
    static const char seg[] = ".seg", new[] = ".new", aside[] = ".seg.aside";
    size_t len = strlen(file->name);
    const char *end = strstr(file->name, aside);
    char name[WAL_NAME_MAX];

    file->kind = WAL_FILE_ASIDE;
    if (end == NULL) {
        if (len < strlen(seg))
            len = strlen(seg);
        end = file->name + len - strlen(seg);
        file->kind = strcmp(end, new) == 0 ? WAL_FILE_NEW : WAL_FILE_SEGMENT;
    }
    if ((size_t)(end - file->name) + sizeof(seg) <= sizeof(name)
        && (file->kind != WAL_FILE_SEGMENT || strcmp(end, seg) == 0)) {
        snprintf(name, sizeof(name), "%.*s%s", (int)(end - file->name), file->name, seg);
        if (wal_segment_name_parse(name, &file->shard, &file->epoch, &file->number))
            return;
    }
    file->shard = 0;
    file->epoch = file->number = 0;
    if (file->kind != WAL_FILE_ASIDE)
        file->kind = WAL_FILE_OTHER;
}

/* Never waits: what has a segment's name may be a fifo. */
static int header_read(int dir, struct wal_file *file)
{
    uint8_t block[WAL_BLOCK] = {0};
    ssize_t n;
    int fd;

    if (!S_ISREG(file->stat.mode))
        return -EBADMSG;
    fd = file_open(dir, file->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    n = file_read(fd, block, sizeof(block), 0);
    file_close(fd);
    file->half = memcmp(block, block + WAL_HEADER_AGAIN, sizeof(file->header)) != 0;
    return n < 0 ? (int)n : wal_segment_header_parse(block, &file->header);
}

struct listing {
    struct wal_files *files;
    int dir;
};

static int on_name(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct wal_files *files = l->files;
    struct wal_file *file;

    if (files->count == files->cap) {
        size_t cap = files->cap == 0 ? 64 : files->cap * 2;
        struct wal_file *more = reallocarray(files->items, cap, sizeof(*more));

        if (more == NULL)
            return -ENOMEM;
        files->items = more;
        files->cap = cap;
    }
    file = &files->items[files->count];
    memset(file, 0, sizeof(*file));
    file->err = file_stat_at(l->dir, name, &file->stat);
    if (file->err == -ENOENT)
        return 0;
    file->name = strdup(name);
    if (file->name == NULL)
        return -ENOMEM;
    name_read(file);
    if (file->err == 0 && file->kind != WAL_FILE_OTHER)
        file->err = header_read(l->dir, file);
    if (file->err == -ENOENT)
        free(file->name);
    else
        files->count++;
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct wal_file *x = a, *y = b;
    bool x_last = x->kind != WAL_FILE_SEGMENT, y_last = y->kind != WAL_FILE_SEGMENT;

    if (x_last != y_last)
        return x_last - y_last;
    if (!x_last && x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (!x_last && x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* A line of /proc/locks: "4: FLOCK  ADVISORY  WRITE 815 fe:00:123 0 EOF", device in hex. */
static void lock_note(struct wal_files *files, const char *line)
{
    unsigned major_no, minor_no;
    uint64_t ino;

    if (sscanf(line, "%*s FLOCK %*s %*s %*s %x:%x:%" SCNu64, &major_no, &minor_no, &ino) != 3)
        return;
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].stat.ino == ino
            && files->items[i].stat.dev == makedev(major_no, minor_no))
            files->items[i].locked = files->live = true;
    if (files->data_dir.ino == ino && files->data_dir.dev == makedev(major_no, minor_no))
        files->live = true;
}

/* Where the list can't be read, nothing counts as locked: then we say less, never what is wrong. */
static void locks_read(struct wal_files *files)
{
    FILE *locks = fopen("/proc/locks", "re");
    char *line = NULL;
    size_t cap = 0;

    if (locks == NULL)
        return;
    while (getline(&line, &cap, locks) > 0)
        lock_note(files, line);
    free(line);
    (void)fclose(locks);
}

int wal_files_read(const char *path, const char *data_dir, struct wal_files *ret_files,
                   struct errmsg *err)
{
    struct listing l = { .files = ret_files };
    struct file_stat stat;
    int r;

    memset(ret_files, 0, sizeof(*ret_files));
    r = file_stat_at(FILE_CWD, path, &stat);
    l.dir = file_open(FILE_CWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (l.dir == -EACCES && r == 0)
        return errmsg_set(err, l.dir, "%s: permission denied; run as uid %u, whose log it is, or "
                          "as root", path, stat.uid);
    if (l.dir == -EACCES)
        return errmsg_set(err, l.dir, "%s: permission denied; run as the agent's user or as root",
                          path);
    if (l.dir == -ENOENT)
        return errmsg_set(err, l.dir, "%s: no such directory; name the agent's data_dir, or its "
                          "configuration with -c FILE", path);
    if (l.dir < 0)
        return errmsg_set_errno(err, l.dir, "%s", path);
    r = file_list(l.dir, on_name, &l);
    file_close(l.dir);
    if (r != 0) {
        wal_files_free(ret_files);
        return errmsg_set_errno(err, r, "%s: cannot list", path);
    }
    if (ret_files->count > 1)
        qsort(ret_files->items, ret_files->count, sizeof(*ret_files->items), by_place);
    l.dir = data_dir != NULL ? file_open(FILE_CWD, data_dir, O_RDONLY | O_DIRECTORY, 0) : -1;
    if (l.dir >= 0 && file_stat(l.dir, &stat) == 0)
        ret_files->data_dir = stat;
    file_close(l.dir);
    locks_read(ret_files);
    return 0;
}

void wal_files_free(struct wal_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].name);
    free(files->items);
    memset(files, 0, sizeof(*files));
}

const struct wal_file *wal_files_find(const struct wal_files *files, const char *name)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->items[i].name, name) == 0)
            return &files->items[i];
    return NULL;
}

const char *wal_file_trouble(const struct wal_file *file)
{
    if (!S_ISREG(file->stat.mode))
        return "it is no plain file";
    return file->err == -EBADMSG ? "its header is damaged, or it is no segment"
                                 : strerror(-file->err);
}

int wal_files_check(const struct wal_files *files, const char *path, struct errmsg *err)
{
    bool any = false;

    for (size_t i = 0; i < files->count; i++) {
        const struct wal_file *file = &files->items[i];

        if (file->kind != WAL_FILE_SEGMENT)
            continue;
        any = true;
        if (file->err == -EACCES || file->err == -EPERM)
            return errmsg_set(err, file->err, "%s/%s: permission denied; run as uid %u or as root",
                              path, file->name, file->stat.uid);
        /* A reader that waits for a fifo would wait for ever. */
        if (!S_ISREG(file->stat.mode))
            return errmsg_set(err, -EBADMSG, "%s/%s: no plain file; move it away", path,
                              file->name);
        /* A stranger's sparse file could keep a reader busy for days. */
        if (file->stat.size_bytes > SEGMENT_BYTES_MAX)
            return errmsg_set(err, -EFBIG, "%s/%s: larger than any segment; move it away", path,
                              file->name);
    }
    return any ? 0
               : errmsg_set(err, -ENOENT, "%s: there is no log in it (no .seg file); name the "
                            "agent's data_dir or the directory of its log", path);
}
