/*
 * rest_file: sections of REST, and the file that keeps them.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/rest_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"

#define NAME     "rest.ini"
#define NAME_NEW "rest.ini.new"

static const char header[] =
    "# Made by the agent: streams and sinks that were configured over HTTP. Read at each start,\n"
    "# after the configuration file. Do not edit it while the agent runs.\n";

/* ---- sections ---- */

static struct config_file *file_new(const char *path)
{
    struct config_file *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return NULL;
    f->path = strdup(path);
    if (f->path == NULL) {
        free(f);
        return NULL;
    }
    return f;
}

struct config_file *rest_file_new(void)
{
    return file_new("REST");
}

struct config_section *rest_file_find(const struct config_file *f, const char *kind,
                                      const char *name)
{
    size_t len = strlen(kind);

    for (size_t i = 0; i < f->count; i++) {
        const char *have = f->sections[i].name;

        if (strncmp(have, kind, len) == 0 && have[len] == ' ' && strcmp(have + len + 1, name) == 0)
            return &f->sections[i];
    }
    return NULL;
}

const char *rest_file_get(const struct config_section *s, const char *key)
{
    for (size_t i = 0; s != NULL && i < s->count; i++)
        if (strcmp(s->entries[i].key, key) == 0)
            return s->entries[i].value;
    return NULL;
}

/* name is taken over; NULL: there was no memory for it. */
static struct config_section *section_add(struct config_file *f, char *name)
{
    struct config_section *more = NULL;

    if (name != NULL)
        more = reallocarray(f->sections, f->count + 1, sizeof(*more));
    if (more == NULL) {
        free(name);
        return NULL;
    }
    f->sections = more;
    f->cap = f->count + 1;
    more[f->count] = (struct config_section){ .name = name };
    return &more[f->count++];
}

struct config_section *rest_file_add(struct config_file *f, const char *kind, const char *name)
{
    struct bytes text = BYTES_INIT;
    char *full = bytes_printf(&text, "%s %s", kind, name) == 0 ? bytes_take_cstr(&text) : NULL;

    bytes_free(&text);
    return section_add(f, full);
}

/* What a quoted value can say. */
static bool value_fits(const char *value)
{
    if (strlen(value) > CONFIG_FILE_VALUE_MAX)
        return false;
    for (const char *c = value; *c != '\0'; c++)
        if (((unsigned char)*c < 0x20 && strchr("\n\t\r", *c) == NULL) || *c == 0x7f)
            return false;
    return true;
}

int rest_file_set(struct config_section *s, const char *key, const char *value)
{
    struct config_entry *e = NULL;
    char *text;

    if (!value_fits(value))
        return -EINVAL;
    text = strdup(value);
    if (text == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->entries[i].key, key) == 0)
            e = &s->entries[i];
    if (e != NULL) {
        explicit_bzero(e->value, strlen(e->value));
        free(e->value);
        e->value = text;
        return 0;
    }
    e = reallocarray(s->entries, s->count + 1, sizeof(*e));
    if (e != NULL) {
        s->entries = e;
        s->cap = s->count + 1;
        e += s->count;
        *e = (struct config_entry){ .key = strdup(key), .value = text, .quoted = true };
    }
    if (e == NULL || e->key == NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
        return -ENOMEM;
    }
    s->count++;
    return 0;
}

void rest_file_remove(struct config_file *f, struct config_section *s)
{
    size_t at = (size_t)(s - f->sections);

    config_section_fini(s);
    memmove(s, s + 1, (--f->count - at) * sizeof(*s));
}

int rest_file_copy(const struct config_file *f, struct config_file **ret_copy)
{
    struct config_file *copy = file_new(f->path);

    for (size_t i = 0; copy != NULL && i < f->count; i++) {
        const struct config_section *from = &f->sections[i];
        struct config_section *to = section_add(copy, strdup(from->name));
        int r = to != NULL ? 0 : -ENOMEM;

        for (size_t k = 0; r == 0 && k < from->count; k++)
            r = rest_file_set(to, from->entries[k].key, from->entries[k].value);
        if (r < 0) {
            config_file_free(copy);
            copy = NULL;
        }
    }
    *ret_copy = copy;
    return copy != NULL ? 0 : -ENOMEM;
}

/* ---- the file ---- */

static char *path_of(const char *data_dir, const char *name)
{
    struct bytes path = BYTES_INIT;
    char *text = NULL;

    if (bytes_printf(&path, "%s/state/%s", data_dir, name) == 0)
        text = bytes_take_cstr(&path);
    bytes_free(&path);
    return text;
}

int rest_file_read(const char *data_dir, struct config_file **ret_file,
                   struct config_errors *errs)
{
    char *path = path_of(data_dir, NAME);
    int r = 0;

    *ret_file = NULL;
    if (path == NULL) {
        config_errors_add(errs, NAME, 0, "out of memory");
        return -ENOMEM;
    }
    /* A name that leads nowhere is an error, no file is none. */
    if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
        (errno == ENOENT || errno == ENOTDIR)) {
        *ret_file = file_new(path);
        r = *ret_file != NULL ? 0 : -ENOMEM;
    } else {
        r = config_file_read(path, ret_file, errs);
    }
    free(path);
    return r;
}

/* In double quotes, where all that value_fits() passes can be said. */
static int value_put(struct bytes *out, const char *value)
{
    static const char plain[] = "\n\t\r\\\"$";
    static const char names[] = "ntr\\\"$";
    int r = bytes_append_char(out, '"');

    for (; r == 0 && *value != '\0'; value++) {
        const char *at = strchr(plain, *value);

        if (at != NULL)
            r = bytes_append_char(out, '\\');
        if (r == 0)
            r = bytes_append_char(out, at != NULL ? names[at - plain] : *value);
    }
    return r == 0 ? bytes_append_str(out, "\"\n") : r;
}

int rest_file_format(const struct config_file *f, struct bytes *out)
{
    int r = bytes_append_str(out, header);

    for (size_t i = 0; r == 0 && i < f->count; i++) {
        const struct config_section *s = &f->sections[i];

        r = bytes_printf(out, "\n[%s]\n", s->name);
        for (size_t k = 0; r == 0 && k < s->count; k++) {
            r = bytes_printf(out, "%s = ", s->entries[k].key);
            if (r == 0)
                r = value_put(out, s->entries[k].value);
        }
    }
    return r;
}

static int file_store(int dir, const struct bytes *text)
{
    int fd, r;

    r = fd = file_open(dir, NAME_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (r >= 0)
        r = file_write(fd, text->data, text->len, 0);
    if (r == 0)
        r = file_sync(fd);
    file_close(fd);
    if (r == 0)
        r = file_replace(dir, NAME_NEW, dir, NAME);
    return r == 0 ? file_sync(dir) : r;
}

int rest_file_write(const char *data_dir, const struct config_file *f, struct errmsg *err)
{
    struct bytes text = BYTES_INIT;
    char *state = path_of(data_dir, "");
    int r = state != NULL ? rest_file_format(f, &text) : -ENOMEM;
    int dir = -1;

    if (r == 0 && (text.len > CONFIG_FILE_BYTES_MAX || f->count > CONFIG_FILE_SECTIONS_MAX)) {
        r = errmsg_set(err, -EFBIG, "all that is configured over HTTP may take %d KiB",
                       CONFIG_FILE_BYTES_MAX / 1024);
        goto out;
    }
    if (r == 0)
        r = dir = file_open(AT_FDCWD, state, O_RDONLY | O_DIRECTORY, 0);
    if (r >= 0)
        r = file_store(dir, &text);
    if (r < 0)
        errmsg_set_errno(err, r, "%s/state/" NAME, data_dir);
out:
    file_close(dir);
    if (text.len > 0)
        explicit_bzero(text.data, text.len);
    bytes_free(&text);
    free(state);
    return r;
}
