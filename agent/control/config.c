/*
 * config: from the sections of a file to settings that are resolved and checked.
 *
 * Order: table defaults, then [stream *] and [sink local], then sinks, then streams on top of a
 * copy of [stream *], then what REST has made, then the command line, then defaults that depend on
 * others, then the checks across keys. Every step adds its mistakes and goes on.
 * Owns:   what it builds, until it is handed over.
 * Thread: any.
 */
#include "control/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "control/config_check.h"
#include "control/config_computed.h"
#include "control/config_file.h"
#include "control/option.h"
#include "control/rest_file.h"

#define SECRET_BYTES_MAX 65536

/* A struct that a section fills: its fields, those of its output if any, and what was given. */
struct target {
    uint32_t scope; /* one bit */
    void *fields;
    struct output_config *output;
    struct config_set *set;
    char **about; /* where a key of REST's own goes; NULL: it may not be there */
};

struct loader {
    struct config *config;
    const struct config_file *file; /* the one that is being looked at */
    const struct config_file *rest; /* NULL: nothing */
    struct config_errors *errs;
    bool out_of_memory;
};

static void *target_owner(const struct target *t, const struct option *o)
{
    return o->in_output ? (void *)t->output : t->fields;
}

static struct target stream_target(struct stream_config *s)
{
    return (struct target){ SCOPE_stream, s, &s->output, &s->set, s->rest ? &s->about : NULL };
}

static struct target sink_target(struct sink_config *s)
{
    return (struct target){ option_sink_scope(s->type), s, &s->output, &s->set, NULL };
}

static struct target config_target(struct config *c, uint32_t scope)
{
    return (struct target){ scope, c, NULL, &c->set, NULL };
}

bool config_is_set(const struct config_set *set, enum option_id id)
{
    return (set->bits[id / 64] >> (id % 64) & 1) != 0;
}

static void config_mark_set(struct config_set *set, enum option_id id)
{
    set->bits[id / 64] |= (uint64_t)1 << (id % 64);
}

/* Table defaults of all rows of a scope; those of outputs only where nothing overrides them. */
static int load_defaults(const struct target *t, uint32_t scopes, bool with_output)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];
        struct option_value v = { 0 };
        int r;

        if ((o->scope & scopes) == 0 || (o->in_output && !with_output) ||
            o->id == OPTION_sink_type)
            continue;
        r = option_parse(o, o->computed ? "" : o->default_text, &v, NULL);
        INVARIANT(r == 0 || r == -ENOMEM);
        if (r < 0)
            return r;
        option_store(o, target_owner(t, o), &v);
    }
    return 0;
}

/* The text of a *_file twin: the whole file without one newline at its end. */
static int read_secret(const char *path, char **ret_text, struct errmsg *err)
{
    size_t len;
    int r = config_file_slurp(path, SECRET_BYTES_MAX, ret_text, &len, err);

    if (r < 0)
        return r;
    if (len > 0 && (*ret_text)[len - 1] == '\n')
        (*ret_text)[--len] = '\0';
    if (len > 0 && strlen(*ret_text) == len && (*ret_text)[strcspn(*ret_text, "\r\n")] == '\0')
        return 0;
    explicit_bzero(*ret_text, len);
    free(*ret_text);
    *ret_text = NULL;
    return errmsg_set(err, -EINVAL, "'%s' must hold the secret in one line and nothing else", path);
}

/* The row of an entry's key, or of its twin without "_file"; NULL: unknown. */
static const struct option *find_entry_option(uint32_t scope, const char *key, bool *ret_twin)
{
    const struct option *o = option_find(scope, key);
    char stem[CONFIG_FILE_KEY_MAX + 1];
    size_t len = strlen(key);

    *ret_twin = false;
    if (o != NULL || len <= 5 || strcmp(key + len - 5, "_file") != 0)
        return o;
    memcpy(stem, key, len - 5);
    stem[len - 5] = '\0';
    o = option_find(scope, stem);
    if (o == NULL || o->type != OPTION_TYPE_SECRET)
        return NULL;
    *ret_twin = true;
    return o;
}

/* Parses, checks and stores one value. Reports through err. */
static int load_value(const struct target *t, const struct option *o, const char *text,
                      struct errmsg *err)
{
    struct option_value v = { 0 };
    int r;

    if (o->computed && strcmp(text, o->default_text) == 0)
        return 0; /* the default as etc/hydrant.ini shows it; it stays unset */
    if (o->computed && strstr(text, "(data_dir)") != NULL)
        return errmsg_set(err, -EINVAL, "'(data_dir)' is not replaced in values; write the path");
    r = option_parse(o, text, &v, err);
    if (r == 0) {
        option_store(o, target_owner(t, o), &v);
        config_mark_set(t->set, o->id);
    }
    option_value_fini(&v);
    return r;
}

static int load_entry(struct loader *l, const struct target *t, const struct config_entry *e,
                      struct errmsg *err)
{
    bool twin;
    const struct option *o = find_entry_option(t->scope, e->key, &twin);
    char *secret = NULL;
    int r;

    if (t->about != NULL && strcmp(e->key, REST_KEY_ABOUT) == 0) {
        *t->about = strdup(e->value);
        return *t->about != NULL ? 0 : -ENOMEM;
    }
    if (o == NULL) {
        const char *like = option_suggest(t->scope, e->key);

        return errmsg_set(err, -EINVAL, "unknown key%s%s%s", like != NULL ? "; did you mean " : "",
                          like != NULL ? like : "", like != NULL ? "?" : "");
    }
    if (e->value[0] == '\0' && (twin || o->default_text[0] != '\0') &&
        !(o->type == OPTION_TYPE_TEXT && e->quoted))
        return errmsg_set(err, -EINVAL, "the value is empty; give one or leave the line out%s%s%s",
                          !twin && o->type != OPTION_TYPE_TEXT ? " (default: " : "",
                          !twin && o->type != OPTION_TYPE_TEXT ? o->default_text : "",
                          !twin && o->type != OPTION_TYPE_TEXT ? ")" : "");
    if (o->type == OPTION_TYPE_SECRET && config_is_set(t->set, o->id))
        return errmsg_set(err, -EINVAL, "%s and %s_file are both given; keep one", o->key, o->key);
    if (!twin)
        return load_value(t, o, e->value, err);
    r = read_secret(e->value, &secret, err);
    if (r == -ENOMEM)
        l->out_of_memory = true;
    if (r < 0)
        return r;
    r = load_value(t, o, secret, err);
    explicit_bzero(secret, strlen(secret));
    free(secret);
    return r;
}

static void load_section(struct loader *l, const struct config_section *s, const struct target *t)
{
    struct errmsg err;

    for (size_t i = 0; i < s->count; i++) {
        int r = load_entry(l, t, &s->entries[i], &err);

        if (r == -ENOMEM)
            l->out_of_memory = true;
        else if (r < 0)
            config_errors_add(l->errs, l->file->path, s->entries[i].line, "[%s] %s: %s", s->name,
                              s->entries[i].key, err.text);
    }
}

/* The name behind "stream " or "sink ", or NULL. */
static const char *section_subject(const struct config_section *s, const char *kind)
{
    size_t len = strlen(kind);

    return strncmp(s->name, kind, len) == 0 && s->name[len] == ' ' ? s->name + len + 1 : NULL;
}

static const struct config_section *find_section(const struct config_file *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->sections[i].name, name) == 0)
            return &f->sections[i];
    return NULL;
}

/* The type must be known before any other key of a sink can be judged. False: it is not. */
static bool load_sink_type(struct loader *l, const struct config_section *s,
                           struct sink_config *sink, bool local)
{
    const struct option *o = &option_table[OPTION_sink_type];
    const struct config_entry *e = NULL;
    struct option_value v = { .number = CONFIG_SINK_FILE };
    struct errmsg err;

    for (size_t i = 0; s != NULL && i < s->count; i++)
        if (strcmp(s->entries[i].key, o->key) == 0)
            e = &s->entries[i];
    if (e == NULL && !local) {
        config_errors_add(l->errs, l->file->path, s->line,
                          "[%s] needs a type: one of file, s3, firehose, http, relay", s->name);
        return false;
    }
    if (e != NULL && option_parse(o, e->value, &v, &err) < 0) {
        config_errors_add(l->errs, l->file->path, e->line, "[%s] type: %s", s->name, err.text);
        return false;
    }
    if (local && v.number != CONFIG_SINK_FILE) {
        config_errors_add(l->errs, l->file->path, e->line,
                          "[%s] type: local is always a file sink; name another sink", s->name);
        return false;
    }
    option_store(o, sink, &v);
    config_mark_set(&sink->set, OPTION_sink_type);
    return true;
}

static int load_sink(struct loader *l, const struct config_section *s, const char *name)
{
    struct sink_config *sink = &l->config->sinks[l->config->sinks_count];
    struct target t;
    bool known;
    int r;

    sink->name = strdup(name);
    if (sink->name == NULL)
        return -ENOMEM;
    sink->rest = l->file == l->rest;
    l->config->sinks_count++;
    known = load_sink_type(l, s, sink, strcmp(name, "local") == 0);
    t = sink_target(sink);
    r = load_defaults(&t, t.scope, false);
    if (r == 0 && s != NULL && known)
        load_section(l, s, &t);
    return r;
}

static int load_stream(struct loader *l, const struct config_section *s, const char *name)
{
    struct stream_config *stream = &l->config->streams[l->config->streams_count];
    const struct target from = stream_target(&l->config->stream_default);
    struct target to;

    stream->name = strdup(name);
    if (stream->name == NULL)
        return -ENOMEM;
    stream->rest = l->file == l->rest;
    to = stream_target(stream);
    l->config->streams_count++;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];

        if ((o->scope & SCOPE_stream) != 0 &&
            option_copy(o, target_owner(&to, o), target_owner(&from, o)) < 0)
            return -ENOMEM;
    }
    stream->set = l->config->stream_default.set;
    load_section(l, s, &to);
    return 0;
}

/* [agent] and its like. False: the section is none of them. */
static bool load_plain_section(struct loader *l, const struct config_section *s)
{
    static const struct {
        const char *name;
        uint32_t scope;
    } kinds[] = {
        { "agent", SCOPE_agent },
        { "wal", SCOPE_wal },
        { "http", SCOPE_http },
        { "intake", SCOPE_intake },
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(s->name, kinds[i].name) == 0) {
            const struct target t = config_target(l->config, kinds[i].scope);

            load_section(l, s, &t);
            return true;
        }
    }
    return false;
}

static int load_deleted(struct loader *l, const struct config_section *s, const char *name)
{
    struct config_deleted *d = &l->config->deleted[l->config->deleted_count];

    d->name = strdup(name);
    if (d->name == NULL)
        return -ENOMEM;
    l->config->deleted_count++;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->entries[i].key, REST_KEY_ACCEPTED) == 0)
            d->accepted = strtoull(s->entries[i].value, NULL, 10);
        else
            config_errors_add(l->errs, l->file->path, s->entries[i].line, "[%s] %s: unknown key",
                              s->name, s->entries[i].key);
    return 0;
}

/* On top of the user's file, which wins. */
static int load_rest(struct loader *l)
{
    const struct config_file *user = l->file;
    int r = 0;

    l->file = l->rest;
    for (size_t i = 0; r == 0 && l->rest != NULL && i < l->rest->count; i++) {
        const struct config_section *s = &l->rest->sections[i];
        const char *stream = section_subject(s, "stream");
        const char *sink = section_subject(s, "sink");
        const char *deleted = section_subject(s, "deleted");

        if (stream != NULL && strcmp(stream, "*") != 0)
            r = find_section(user, s->name) == NULL ? load_stream(l, s, stream) : 0;
        else if (sink != NULL && config_sink_private(sink, "*"))
            r = load_sink(l, s, sink);
        else if (deleted != NULL)
            r = load_deleted(l, s, deleted);
        else
            config_errors_add(l->errs, l->file->path, s->line, "unknown section [%s]", s->name);
    }
    l->file = user;
    return r;
}

static int load_sections(struct loader *l)
{
    const struct config_file *f = l->file;
    struct config *c = l->config;
    const size_t count = f->count + 1 + (l->rest != NULL ? l->rest->count : 0);
    const struct target all = stream_target(&c->stream_default);
    const struct config_section *s = find_section(f, "stream *");
    int r;

    c->streams = calloc(count, sizeof(c->streams[0]));
    c->sinks = calloc(count, sizeof(c->sinks[0]));
    c->deleted = calloc(count, sizeof(c->deleted[0]));
    c->stream_default.name = strdup("*");
    if (c->streams == NULL || c->sinks == NULL || c->deleted == NULL ||
        c->stream_default.name == NULL)
        return -ENOMEM;
    if (s != NULL)
        load_section(l, s, &all);
    r = load_sink(l, find_section(f, "sink local"), "local");
    for (size_t i = 0; r == 0 && i < f->count; i++) {
        const char *stream;
        const char *sink;

        s = &f->sections[i];
        stream = section_subject(s, "stream");
        sink = section_subject(s, "sink");
        if (stream != NULL && strcmp(stream, "*") != 0)
            r = load_stream(l, s, stream);
        else if (sink != NULL && strcmp(sink, "local") != 0)
            r = load_sink(l, s, sink);
        else if (stream == NULL && sink == NULL && !load_plain_section(l, s))
            config_errors_add(l->errs, f->path, s->line,
                              "unknown section [%s]; there are [agent], [wal], [http], [intake], "
                              "[stream *], [stream NAME] and [sink NAME]", s->name);
    }
    return r;
}

static int load_override(struct loader *l, enum option_id id, const char *place, const char *text)
{
    const struct target t = config_target(l->config, option_table[id].scope);
    struct errmsg err;
    int r = 0;

    if (text == NULL)
        return 0;
    if (text[0] == '\0')
        r = errmsg_set(&err, -EINVAL, "the value is empty");
    else
        r = load_value(&t, &option_table[id], text, &err);
    if (r == -EINVAL)
        config_errors_add(l->errs, place, 0, "%s", err.text);
    return r == -ENOMEM ? r : 0;
}

static int load_config(struct loader *l, const struct config_overrides *overrides)
{
    struct config *c = l->config;
    const struct target all = stream_target(&c->stream_default);
    const struct target own = config_target(c, SCOPE_config);
    int r = load_defaults(&own, SCOPE_config, false);

    if (r == 0)
        r = load_defaults(&all, SCOPE_stream, true);
    if (r == 0)
        r = load_sections(l);
    if (r == 0)
        r = load_rest(l);
    if (r == 0 && overrides != NULL) {
        r = load_override(l, OPTION_agent_data_dir, "--data-dir", overrides->data_dir);
        if (r == 0)
            r = load_override(l, OPTION_agent_shm_dir, "--shm-dir", overrides->shm_dir);
        if (r == 0)
            r = load_override(l, OPTION_http_listen, "--http", overrides->http);
    }
    if (r == 0)
        r = config_compute(c);
    if (r == 0 && l->out_of_memory)
        r = -ENOMEM;
    if (r == 0)
        config_check(c, l->file, l->rest, overrides, l->errs);
    return r;
}

/* Takes f over. named: it came from a file, as opposed to the embedded default. */
static int config_from_file(struct config_file *f, bool named, const struct config_file *rest,
                            const struct config_overrides *overrides, struct config **ret_config,
                            struct config_errors *errs)
{
    struct loader l = { .file = f, .rest = rest, .errs = errs };
    int r = -ENOMEM;

    l.config = calloc(1, sizeof(*l.config));
    if (l.config == NULL)
        goto fail;
    l.config->path = named ? strdup(f->path) : NULL;
    if (named && l.config->path == NULL)
        goto fail;
    r = load_config(&l, overrides);
    if (r < 0)
        goto fail;
    r = -EINVAL;
    if (config_errors_any(errs))
        goto fail;
    config_file_free(f);
    *ret_config = l.config;
    return 0;
fail:
    if (r == -ENOMEM)
        config_errors_add(errs, f->path, 0, "out of memory");
    config_file_free(f);
    config_free(l.config);
    return r;
}

int config_load_both(const char *path, const char *text, size_t len,
                     const struct config_file *rest, const struct config_overrides *overrides,
                     struct config **ret_config, struct config_errors *errs)
{
    struct config_file *f;
    int r;

    *ret_config = NULL;
    if (text == NULL)
        r = config_file_parse("embedded default", "", 0, &f, errs);
    else
        r = config_file_parse(path, text, len, &f, errs);
    return r < 0 ? r : config_from_file(f, text != NULL, rest, overrides, ret_config, errs);
}

int config_load_text(const char *path, const char *text, size_t len,
                     const struct config_overrides *overrides, struct config **ret_config,
                     struct config_errors *errs)
{
    return config_load_both(path, text, len, NULL, overrides, ret_config, errs);
}

int config_load(const char *path, const struct config_overrides *overrides,
                struct config **ret_config, struct config_errors *errs)
{
    struct config_file *f;
    int r;

    *ret_config = NULL;
    if (path == NULL)
        return config_load_both(NULL, NULL, 0, NULL, overrides, ret_config, errs);
    r = config_file_read(path, &f, errs);
    return r < 0 ? r : config_from_file(f, true, NULL, overrides, ret_config, errs);
}

static void target_clear(const struct target *t, uint32_t scopes)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];

        if ((o->scope & scopes) != 0 && (!o->in_output || t->output != NULL))
            option_clear(o, target_owner(t, o));
    }
}

void config_free(struct config *c)
{
    struct target t;

    if (c == NULL)
        return;
    t = config_target(c, SCOPE_config);
    target_clear(&t, SCOPE_config);
    t = stream_target(&c->stream_default);
    target_clear(&t, SCOPE_stream);
    free(c->stream_default.name);
    for (size_t i = 0; i < c->streams_count; i++) {
        t = stream_target(&c->streams[i]);
        target_clear(&t, SCOPE_stream);
        free(c->streams[i].about);
        free(c->streams[i].name);
    }
    free(c->streams);
    for (size_t i = 0; i < c->sinks_count; i++) {
        t = sink_target(&c->sinks[i]);
        target_clear(&t, SCOPE_sink);
        free(c->sinks[i].name);
    }
    free(c->sinks);
    for (size_t i = 0; i < c->deleted_count; i++)
        free(c->deleted[i].name);
    free(c->deleted);
    free(c->path);
    free(c);
}
