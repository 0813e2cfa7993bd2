/*
 * config_file: the text of a configuration file as sections of key and value.
 *
 * inih splits the lines. Some of its habits would change what a user wrote: it cuts lines at 199
 * bytes and section names at 49, takes indented lines for the value before, ' ;' for a comment even
 * in quotes and ':' for '=', and says nothing of empty sections. So it never sees the real text:
 * for each line of the file our reader hands it one short line of the same meaning, with a number
 * in the place of the section's name and no value, and checks everything that inih would not.
 *
 * Owns:   the read sections with their texts.
 * Thread: any, one struct by one thread at a time.
 */
#include "control/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "control/config_value.h"

/* inih's line buffer. Ours are "[123]" and "KEY=". */
#define INIH_LINE_BYTES 200
_Static_assert(CONFIG_FILE_KEY_MAX + 8 < INIH_LINE_BYTES, "a key fits in a line of inih");

struct reader {
    struct config_file *file;
    struct config_errors *errs;
    const char *at;
    const char *end;
    const char *value; /* of the line handed out last */
    size_t value_len;
    uint32_t line;
    bool skip; /* the section's header was bad: its keys cannot be judged */
    bool out_of_memory;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-' || c == '.';
}

/* Room for one more item behind count; the old block stays on failure. */
static int grow(void **items, size_t count, size_t *cap, size_t item_bytes)
{
    size_t cap_new = *cap == 0 ? 8 : *cap * 2;
    void *block;

    if (count < *cap)
        return 0;
    block = reallocarray(*items, cap_new, item_bytes);
    if (block == NULL)
        return -ENOMEM;
    *items = block;
    *cap = cap_new;
    return 0;
}

/* The name between the brackets with single spaces; -EINVAL if it is none. */
static int section_name(const char *text, size_t len, char name[static CONFIG_FILE_NAME_MAX + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (is_space(text[i])) {
            if (n == 0 || i + 1 == len || is_space(text[i + 1]))
                continue;
            name[n++] = ' ';
        } else if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f || text[i] == '[') {
            return -EINVAL;
        } else {
            name[n++] = text[i];
        }
        if (n > CONFIG_FILE_NAME_MAX)
            return -EINVAL;
    }
    name[n] = '\0';
    return n > 0 ? 0 : -EINVAL;
}

static int section_add(struct reader *r, const char *name)
{
    struct config_file *f = r->file;
    struct config_section *s;

    for (size_t i = 0; i < f->count; i++) {
        if (strcmp(f->sections[i].name, name) != 0)
            continue;
        config_errors_add(r->errs, f->path, r->line,
                          "section [%s] is repeated, line %u has it already; put its keys there",
                          name, f->sections[i].line);
        return -EEXIST;
    }
    if (f->count == CONFIG_FILE_SECTIONS_MAX) {
        config_errors_add(r->errs, f->path, 0, "more than %d sections", CONFIG_FILE_SECTIONS_MAX);
        return -E2BIG;
    }
    if (grow((void **)&f->sections, f->count, &f->cap, sizeof(f->sections[0])) < 0)
        return -ENOMEM;
    s = &f->sections[f->count];
    *s = (struct config_section){ .name = strdup(name), .line = r->line };
    if (s->name == NULL)
        return -ENOMEM;
    f->count++;
    return 0;
}

/* A line that begins with '['. Leaves in out what inih is to see. */
static void read_header(struct reader *r, const char *text, const char *end, char *out)
{
    char name[CONFIG_FILE_NAME_MAX + 1];
    const char *close = memchr(text, ']', (size_t)(end - text));
    const char *behind = close != NULL ? close + 1 : end;

    r->skip = true;
    while (behind < end && is_space(*behind))
        behind++;
    if (close == NULL || (behind < end && *behind != ';' && *behind != '#')) {
        config_errors_add(r->errs, r->file->path, r->line,
                          "a section is written [NAME], alone on its line");
        return;
    }
    if (section_name(text + 1, (size_t)(close - text - 1), name) < 0) {
        config_errors_add(r->errs, r->file->path, r->line,
                          "a section's name is 1 to %d characters, without '[' and control "
                          "characters", CONFIG_FILE_NAME_MAX);
        return;
    }
    switch (section_add(r, name)) {
    case 0:
        r->skip = false;
        (void)snprintf(out, INIH_LINE_BYTES, "[%zu]", r->file->count - 1);
        break;
    case -ENOMEM:
        r->out_of_memory = true;
        break;
    default: /* reported; its keys are skipped */
        break;
    }
}

/* A line that is neither empty nor comment nor header. */
static void read_key(struct reader *r, const char *text, const char *end, char *out)
{
    const char *key_end = text;
    const char *equals;

    while (key_end < end && key_char(*key_end))
        key_end++;
    equals = key_end;
    while (equals < end && is_space(*equals))
        equals++;
    if (equals < end && *equals == ':') {
        config_errors_add(r->errs, r->file->path, r->line, "write KEY = VALUE, not KEY: VALUE");
        return;
    }
    if (key_end == text || equals == end || *equals != '=') {
        config_errors_add(r->errs, r->file->path, r->line,
                          "expected [SECTION], KEY = VALUE or a comment; a value cannot go on in "
                          "the next line");
        return;
    }
    if (key_end - text > CONFIG_FILE_KEY_MAX) {
        config_errors_add(r->errs, r->file->path, r->line, "unknown key, longer than %d bytes",
                          CONFIG_FILE_KEY_MAX);
        return;
    }
    if (r->file->count == 0 && !r->skip) {
        config_errors_add(r->errs, r->file->path, r->line,
                          "'%.*s' stands before the first section; put it below its [SECTION]",
                          (int)(key_end - text), text);
        return;
    }
    if (r->skip)
        return;
    r->value = equals + 1;
    r->value_len = (size_t)(end - r->value);
    (void)snprintf(out, INIH_LINE_BYTES, "%.*s=", (int)(key_end - text), text);
}

/* ini_reader: one call, one line of the file; a line that means nothing to inih comes as "\n". */
static char *read_line(char *out, int num, void *ctx)
{
    struct reader *r = ctx;
    const char *text = r->at;
    const char *end;
    size_t len;

    INVARIANT(num >= INIH_LINE_BYTES);
    if (r->at == r->end || r->out_of_memory)
        return NULL;
    end = memchr(text, '\n', (size_t)(r->end - text));
    r->at = end != NULL ? end + 1 : r->end;
    end = end != NULL ? end : r->end;
    if (end > text && end[-1] == '\r')
        end--;
    r->line++;
    while (text < end && is_space(*text))
        text++;
    out[0] = '\0';
    if (text < end && *text == '[')
        read_header(r, text, end, out);
    else if (text < end && *text != '#' && *text != ';')
        read_key(r, text, end, out);
    len = strlen(out); /* "KEY=", "[NUMBER]" or nothing */
    out[len] = '\n';
    out[len + 1] = '\0';
    return out;
}

static int entry_add(struct reader *r, struct config_section *s, const char *key)
{
    struct config_entry *e;
    struct bytes value = BYTES_INIT;
    struct errmsg err;
    bool quoted;
    int n;

    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->entries[i].key, key) != 0)
            continue;
        config_errors_add(r->errs, r->file->path, r->line,
                          "[%s] %s is repeated, line %u has it already; keep one", s->name, key,
                          s->entries[i].line);
        return 0;
    }
    if (s->count == CONFIG_FILE_ENTRIES_MAX) {
        config_errors_add(r->errs, r->file->path, s->line, "[%s] has more than %d keys", s->name,
                          CONFIG_FILE_ENTRIES_MAX);
        return 0;
    }
    n = config_value_decode(r->value, r->value_len, CONFIG_FILE_VALUE_MAX, &value, &quoted, &err);
    if (n == -EINVAL)
        config_errors_add(r->errs, r->file->path, r->line, "[%s] %s: %s", s->name, key, err.text);
    if (n < 0)
        goto fail;
    n = grow((void **)&s->entries, s->count, &s->cap, sizeof(s->entries[0]));
    if (n < 0)
        goto fail;
    e = &s->entries[s->count];
    *e = (struct config_entry){ strdup(key), bytes_take_cstr(&value), r->line, quoted };
    if (e->key == NULL || e->value == NULL) {
        free(e->key);
        free(e->value);
        n = -ENOMEM;
        goto fail;
    }
    s->count++;
    return 0;
fail:
    if (value.len > 0)
        explicit_bzero(value.data, value.len);
    bytes_free(&value);
    return n == -EINVAL ? 0 : n;
}

/* ini_handler: 1 = fine. Mistakes of the user are reported by ourselves. */
static int on_entry(void *ctx, const char *section, const char *key, const char *value)
{
    struct reader *r = ctx;
    unsigned long at = strtoul(section, NULL, 10);

    INVARIANT(at < r->file->count && *value == '\0');
    if (entry_add(r, &r->file->sections[at], key) < 0)
        r->out_of_memory = true;
    return 1;
}

int config_file_parse(const char *path, const char *text, size_t len,
                      struct config_file **ret_file, struct config_errors *errs)
{
    struct reader r = { .errs = errs, .at = text, .end = text + len };
    int bad_line;

    *ret_file = NULL;
    if (len > CONFIG_FILE_BYTES_MAX) {
        config_errors_add(errs, path, 0, "longer than %d bytes", CONFIG_FILE_BYTES_MAX);
        return -EFBIG;
    }
    r.file = calloc(1, sizeof(*r.file));
    if (r.file == NULL)
        goto no_memory;
    r.file->path = strdup(path);
    if (r.file->path == NULL)
        goto no_memory;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at += 3; /* byte order mark of some editors */
    bad_line = ini_parse_stream(read_line, &r, on_entry, &r);
    if (r.out_of_memory)
        goto no_memory;
    INVARIANT(bad_line == 0); /* inih saw no line but ours */
    *ret_file = r.file;
    return 0;
no_memory:
    config_file_free(r.file);
    config_errors_add(errs, path, 0, "out of memory");
    return -ENOMEM;
}

int config_file_slurp(const char *path, size_t len_max, char **ret_text, size_t *ret_len,
                      struct errmsg *err)
{
    /* Non-blocking: a FIFO must not stop the agent. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    char *text = NULL;
    size_t len = 0;
    ssize_t n;
    int r;

    if (fd < 0)
        return errmsg_set_errno(err, -errno, "cannot open '%s'", path);
    if (fstat(fd, &st) < 0) {
        r = errmsg_set_errno(err, -errno, "cannot read '%s'", path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        r = errmsg_set(err, -EINVAL, "'%s' is not a regular file", path);
        goto fail;
    }
    text = malloc(len_max + 2); /* one more than allowed, to see that it is too long */
    if (text == NULL) {
        r = errmsg_set(err, -ENOMEM, "out of memory");
        goto fail;
    }
    do {
        n = read(fd, text + len, len_max + 1 - len);
        if (n > 0)
            len += (size_t)n;
    } while ((n > 0 && len <= len_max) || (n < 0 && errno == EINTR));
    if (n < 0) {
        r = errmsg_set_errno(err, -errno, "cannot read '%s'", path);
        goto fail;
    }
    if (len > len_max) {
        r = errmsg_set(err, -EFBIG, "'%s' is longer than %zu bytes", path, len_max);
        goto fail;
    }
    (void)close(fd);
    text[len] = '\0';
    *ret_text = text;
    *ret_len = len;
    return 0;
fail:
    (void)close(fd);
    free(text);
    return r;
}

int config_file_read(const char *path, struct config_file **ret_file, struct config_errors *errs)
{
    struct errmsg err;
    char *text;
    size_t len;
    int r;

    *ret_file = NULL;
    r = config_file_slurp(path, CONFIG_FILE_BYTES_MAX, &text, &len, &err);
    if (r < 0) {
        config_errors_add(errs, path, 0, "%s", err.text);
        return r;
    }
    r = config_file_parse(path, text, len, ret_file, errs);
    explicit_bzero(text, len);
    free(text);
    return r;
}

void config_section_fini(struct config_section *s)
{
    for (size_t i = 0; i < s->count; i++) {
        explicit_bzero(s->entries[i].value, strlen(s->entries[i].value));
        free(s->entries[i].value);
        free(s->entries[i].key);
    }
    free(s->entries);
    free(s->name);
    *s = (struct config_section){ 0 };
}

void config_file_free(struct config_file *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->count; i++)
        config_section_fini(&f->sections[i]);
    free(f->sections);
    free(f->path);
    free(f);
}
