/*
 * segment: the file of a ring, from a checked directory to the published name, and its mappings.
 *
 * Owns:   the mappings. No descriptor: the file's write lock belongs to its open file description,
 *         which the mappings keep; it goes when the last address space that maps it goes. That is
 *         how the agent tells a living producer from a dead one.
 * Thread: creation under a mutex that fork takes too; the rest on the handle's thread.
 * Units:  bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "handle.h"

#define HEAD_LINE_BYTES 128U
#define NAME_PART_MAX   64U
#define DIR_USERS       "/dev/shm/hydrant-%u"
#define DIR_SYSTEM      "/dev/shm/hydrant"
#define UID_USER_MIN    1000U /* below: root and system users */
#define BOOT_ID_FILE    "/proc/sys/kernel/random/boot_id"

/*
 * A child forked while the file's descriptor is open would inherit the lock and make the producer
 * immortal. So fork waits for a creation to end, and creation never starts during a fork.
 */
static pthread_mutex_t create_mutex = PTHREAD_MUTEX_INITIALIZER;
static int atfork_error;

static void create_lock(void)
{
    (void)pthread_mutex_lock(&create_mutex); /* a normal mutex: cannot fail */
}

static void create_unlock(void)
{
    (void)pthread_mutex_unlock(&create_mutex);
}

/* At load time: registered at the first open, it could miss a fork that is just under way. */
__attribute__((constructor)) static void atfork_register(void)
{
    atfork_error = pthread_atfork(create_lock, create_unlock, create_unlock);
}

/* ---- directory ---- */

int shmc_dir_path(const char *option, const char *env, uid_t euid, char *ret_path, size_t path_cap,
                  struct shmc_text *text)
{
    const char *given = option != NULL && option[0] != '\0' ? option : env;
    char cwd[PATH_MAX] = "";
    size_t len;
    int n;

    if (given == NULL || given[0] == '\0') {
        n = euid < UID_USER_MIN ? snprintf(ret_path, path_cap, DIR_SYSTEM)
                                : snprintf(ret_path, path_cap, DIR_USERS, (unsigned int)euid);
    } else {
        /* Absolute, because the program may change its working directory before a bell. */
        if (given[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
            return shmc_text_set(text, -errno, "working directory");
        n = snprintf(ret_path, path_cap, "%s%s%s", cwd, given[0] != '/' ? "/" : "", given);
    }
    if (n < 0 || (size_t)n >= path_cap)
        return shmc_text_set(text, -ENAMETOOLONG, "shm_dir '%.64s...'", given);

    /* Behind a final slash O_NOFOLLOW would follow a link. */
    for (len = (size_t)n; len > 1 && ret_path[len - 1] == '/'; len--)
        ret_path[len - 1] = '\0';
    return 0;
}

int shmc_dir_check(const struct stat *st, int64_t fs_type, uid_t euid, uid_t agent_uid,
                   struct shmc_text *text)
{
    if (!S_ISDIR(st->st_mode))
        return shmc_text_set(text, -ENOTDIR, "not a directory");
    if (st->st_uid != 0 && st->st_uid != euid && (agent_uid == 0 || st->st_uid != agent_uid))
        return shmc_text_set(text, -EPERM,
                             "owned by uid %u; it must be root, uid %u or the agent's (agent_uid, "
                             "HYDRANT_AGENT_UID)",
                             (unsigned int)st->st_uid, (unsigned int)euid);
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st->st_mode & S_ISVTX) == 0)
        return shmc_text_set(text, -EPERM,
                             "mode %04o lets others replace files in it; it must be 0700, or have "
                             "the sticky bit",
                             (unsigned int)(st->st_mode & 07777));
    if (fs_type != TMPFS_MAGIC)
        return shmc_text_set(text, -EMEDIUMTYPE, "not on tmpfs");
    return 0;
}

/* A descriptor of the directory, made if it is not there; *ret_mode is its mode. */
static int dir_open(const char *dir, uid_t agent_uid, mode_t *ret_mode, struct shmc_text *text)
{
    struct shmc_text why;
    struct statfs fs;
    struct stat st;
    int fd, rc;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return shmc_text_set(text, -errno, "shm_dir '%s': cannot be made", dir);
    /* O_PATH: a shared directory may be written into, but not listed. */
    fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return shmc_text_set(text, -errno, "shm_dir '%s'", dir);
    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0) {
        rc = shmc_text_set(text, -errno, "shm_dir '%s'", dir);
        (void)close(fd);
        return rc;
    }
    rc = shmc_dir_check(&st, (int64_t)fs.f_type, geteuid(), agent_uid, &why);
    if (rc < 0) {
        (void)shmc_text_set(text, 0, "shm_dir '%s': %s", dir, why.s);
        (void)close(fd);
        return rc;
    }
    *ret_mode = st.st_mode;
    return fd;
}

/* ---- superblock ---- */

static uint32_t crc32c(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint32_t crc = UINT32_MAX;

    while (len-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78U & (0U - (crc & 1U)));
    }
    return ~crc;
}

static int boot_id_read(uint8_t ret_id[16], struct shmc_text *text)
{
    char s[64] = "";
    unsigned int digits = 0;
    ssize_t n;
    int fd, rc;

    fd = open(BOOT_ID_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return shmc_text_set(text, -errno, BOOT_ID_FILE);
    n = read(fd, s, sizeof(s) - 1);
    rc = n < 0 ? -errno : 0;
    (void)close(fd);
    if (rc < 0)
        return shmc_text_set(text, rc, BOOT_ID_FILE);

    memset(ret_id, 0, 16);
    for (const char *p = s; *p != '\0' && digits < 32; p++) {
        unsigned int value;

        if (*p >= '0' && *p <= '9')
            value = (unsigned int)(*p - '0');
        else if (*p >= 'a' && *p <= 'f')
            value = (unsigned int)(*p - 'a') + 10;
        else
            continue;
        ret_id[digits / 2] = (uint8_t)((unsigned int)ret_id[digits / 2] << 4 | value);
        digits++;
    }
    return digits == 32 ? 0 : shmc_text_set(text, -EBADMSG, BOOT_ID_FILE ": no uuid in it");
}

static int superblock_init(struct shm_superblock *super, size_t page_bytes, uint64_t data_bytes,
                           struct shmc_text *text)
{
    uint8_t random[17];
    int rc;

    memset(super, 0, sizeof(*super));
    super->magic = SHM_MAGIC;
    super->version_major = SHM_VERSION_MAJOR;
    super->version_minor = SHM_VERSION_MINOR;
    super->page_bytes = (uint32_t)page_bytes;
    super->defs_offset = 3 * page_bytes;
    super->defs_bytes = SHM_DEFS_BYTES;
    super->data_offset = super->defs_offset + SHM_DEFS_BYTES;
    super->data_bytes = data_bytes;
    super->file_bytes = super->data_offset + data_bytes;
    super->created_ns = shmc_clock_ns(CLOCK_REALTIME);
    super->pid = (uint32_t)getpid();
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return shmc_text_set(text, -EIO, "getrandom");
    memcpy(super->uuid, random, sizeof(super->uuid));
    /* Colour: were all heads at one offset, those of many rings would share few cache sets. */
    super->head_offset = SHM_HEAD_OFFSET_MIN +
                         HEAD_LINE_BYTES * (random[16] % (uint32_t)((page_bytes - HEAD_LINE_BYTES -
                                                                    SHM_HEAD_OFFSET_MIN) /
                                                                       HEAD_LINE_BYTES + 1));
    rc = boot_id_read(super->boot_id, text);
    if (rc < 0)
        return rc;
    super->crc32c = crc32c(super, offsetof(struct shm_superblock, crc32c));
    return 0;
}

/* ---- file ---- */

/* "<name>.<pid>.<16 hex digits>.ring", with a dot in front while it is being built. */
static int name_format(const char *name, char ret_dot_name[SHM_RING_NAME_MAX + 2],
                       struct shmc_text *text)
{
    char part[NAME_PART_MAX + 1];
    uint64_t random;
    size_t len;

    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return shmc_text_set(text, -EIO, "getrandom");
    for (len = 0; len < NAME_PART_MAX && name[len] != '\0'; len++) {
        char c = name[len];
        bool word = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        part[len] = word || (len > 0 && (c == '.' || c == '-')) ? c : '_';
    }
    part[len] = '\0';
    (void)snprintf(ret_dot_name, SHM_RING_NAME_MAX + 2, ".%s.%ld.%016llx" SHM_RING_SUFFIX,
                   len > 0 ? part : "producer", (long)getpid(), (unsigned long long)random);
    return 0;
}

/* Every block is there before a byte is mapped: a full mount is an error, never a signal. */
static int file_prepare(int fd, uint64_t file_bytes, mode_t dir_mode, const char *dir,
                        struct shmc_text *text)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc;

    /* First of all: what nobody has locked is taken for a dead producer's and removed in time. */
    if (fcntl(fd, F_OFD_SETLK, &whole) < 0)
        return shmc_text_set(text, -errno, "shm_dir '%s': lock of the ring", dir);
    /* Set after the fact, whatever the umask. The setgid directory gave the file its group. */
    if (fchmod(fd, (dir_mode & S_ISGID) != 0 ? 0660 : 0600) < 0)
        return shmc_text_set(text, -errno, "shm_dir '%s': mode of the ring", dir);
    do {
        rc = posix_fallocate(fd, 0, (off_t)file_bytes);
    } while (rc == EINTR);
    if (rc == ENOSPC || rc == EDQUOT)
        return shmc_text_set(text, -ENOSPC,
                             "shm_dir '%s': no room for a ring of %llu bytes; enlarge the mount "
                             "(container: --shm-size) or set a smaller ring_bytes",
                             dir, (unsigned long long)file_bytes);
    if (rc != 0)
        return shmc_text_set(text, -rc, "shm_dir '%s': a ring of %llu bytes", dir,
                             (unsigned long long)file_bytes);
    return 0;
}

/*
 * Maps the whole file and behind it the data once more, so that a frame which wraps is contiguous.
 * No child inherits any of it. Pages are populated here, where lack of memory is still an error.
 */
static int segment_map(int fd, const struct shm_superblock *super, struct shmc_segment *seg)
{
    size_t page = super->page_bytes;
    size_t file_bytes = super->file_bytes;
    size_t total = file_bytes + super->data_bytes;
    int rw = PROT_READ | PROT_WRITE;
    uint8_t *base;
    int rc;

    base = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    if (mmap(base, file_bytes, rw, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mmap(base + file_bytes, super->data_bytes, rw, MAP_SHARED | MAP_FIXED, fd,
             (off_t)super->data_offset) == MAP_FAILED ||
        madvise(base, total, MADV_DONTFORK) < 0 || madvise(base, total, MADV_POPULATE_WRITE) < 0 ||
        mprotect(base + 2 * page, page, PROT_READ) < 0) {
        rc = -errno;
        (void)munmap(base, total);
        return rc;
    }

    seg->base = base;
    seg->mapped_bytes = total;
    seg->data_bytes = super->data_bytes;
    seg->producer = (struct shm_producer *)(base + page);
    seg->consumer = (const struct shm_consumer *)(base + 2 * page);
    seg->head = &((struct shm_head *)(base + page + super->head_offset))->head;
    seg->defs = base + super->defs_offset;
    seg->data = base + super->data_offset;
    memcpy(base, super, sizeof(*super));
    return 0;
}

static int identity_keep(int fd, struct shmc_segment *seg)
{
    struct stat file, root;

    if (fstat(fd, &file) < 0 || stat("/", &root) < 0)
        return -errno;
    seg->dev = file.st_dev;
    seg->ino = file.st_ino;
    seg->root_dev = root.st_dev;
    seg->root_ino = root.st_ino;
    return 0;
}

/* Everything between the directory's descriptor and the published name; create_mutex is held. */
static int segment_build(int dir_fd, mode_t dir_mode, const char *dir, const char *name,
                         uint64_t data_bytes, struct shmc_segment *seg, struct shmc_text *text)
{
    char dot_name[SHM_RING_NAME_MAX + 2];
    struct shm_superblock super;
    int fd, rc;

    rc = name_format(name, dot_name, text);
    if (rc < 0)
        return rc;
    rc = superblock_init(&super, (size_t)sysconf(_SC_PAGESIZE), data_bytes, text);
    if (rc < 0)
        return rc;
    fd = openat(dir_fd, dot_name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return shmc_text_set(text, -errno, "shm_dir '%s': ring '%s'", dir, dot_name);

    rc = file_prepare(fd, super.file_bytes, dir_mode, dir, text);
    if (rc == 0) {
        rc = segment_map(fd, &super, seg);
        if (rc < 0)
            (void)shmc_text_set(text, rc, "shm_dir '%s': mapping %llu bytes", dir,
                                (unsigned long long)(super.file_bytes + super.data_bytes));
    }
    if (rc == 0 && renameat2(dir_fd, dot_name, dir_fd, dot_name + 1, RENAME_NOREPLACE) < 0)
        rc = shmc_text_set(text, -errno, "shm_dir '%s': publishing '%s'", dir, dot_name + 1);
    if (rc == 0)
        rc = identity_keep(fd, seg);
    /* The lock outlives the descriptor: the mappings hold the open file description. */
    (void)close(fd);
    if (rc < 0) {
        (void)unlinkat(dir_fd, dot_name, 0);
        shmc_segment_unmap(seg);
        return rc;
    }
    memcpy(seg->name, dot_name + 1, sizeof(seg->name));
    return 0;
}

int shmc_segment_create(const char *dir, uid_t agent_uid, const char *name, uint64_t data_bytes,
                        struct shmc_segment *ret_segment, struct shmc_text *text)
{
    mode_t dir_mode = 0;
    int dir_fd, rc;

    memset(ret_segment, 0, sizeof(*ret_segment));
    if (atfork_error != 0)
        return shmc_text_set(text, -atfork_error, "pthread_atfork");
    create_lock();
    dir_fd = dir_open(dir, agent_uid, &dir_mode, text);
    rc = dir_fd;
    if (dir_fd >= 0) {
        rc = segment_build(dir_fd, dir_mode, dir, name, data_bytes, ret_segment, text);
        /* Stopped for seconds just before the lock, its file was removed: another one. */
        if (rc == -ENOENT)
            rc = segment_build(dir_fd, dir_mode, dir, name, data_bytes, ret_segment, text);
        (void)close(dir_fd);
    }
    create_unlock();
    return rc;
}

bool shmc_segment_removed(const struct shmc_segment *seg, const char *dir)
{
    int errno_kept = errno, dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    bool removed;

    if (dir_fd >= 0 && fstatat(dir_fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        removed = st.st_dev != seg->dev || st.st_ino != seg->ino;
    else    /* not in another root, as after chroot, where the path means nothing */
        removed = errno == ENOENT && stat("/", &st) == 0 && st.st_dev == seg->root_dev &&
                  st.st_ino == seg->root_ino;
    if (dir_fd >= 0)
        (void)close(dir_fd);
    errno = errno_kept;
    return removed;
}

void shmc_segment_unmap(struct shmc_segment *segment)
{
    if (segment->base != NULL)
        (void)munmap(segment->base, segment->mapped_bytes);
    memset(segment, 0, sizeof(*segment));
}
