/*
 * target: the destinations of a batch, and the names that it has there.
 *
 * Owns:   a batch's targets with their keys; the file sinks of a shard, one a directory.
 * Thread: shard.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/object_name.h"
#include "pipeline/parts.h"

struct file_sink *target_sink(struct shard *s, const char *directory)
{
    struct file_sink *sink;

    for (sink = s->sinks; sink; sink = sink->next)
        if (strcmp(sink->directory, directory) == 0)
            return sink;
    sink = calloc(1, sizeof(*sink));
    if (!sink)
        return NULL;
    sink->dir = sink->staging_dir = -1;
    sink->directory = strdup(directory);
    if (!sink->directory) {
        free(sink);
        return NULL;
    }
    sink->next = s->sinks;
    s->sinks = sink;
    return sink;
}

int target_init(struct seal_batch *sb, uint16_t i, enum target_type type, const char *name,
                const char *place, const char *key)
{
    struct seal_target *t = &sb->target[i];
    int r = 0;

    t->seal = sb;
    t->removed = !sb->shard->opt.sink(sb->shard->opt.settings_ctx, name);
    t->type = type;
    if (type == TARGET_FILE)
        t->sink = target_sink(sb->shard, place);
    else
        r = deliver_remote_init(t, place);
    t->name = strdup(name);
    t->key = strdup(key);
    if (r || (type == TARGET_FILE && !t->sink) || !t->name || !t->key)
        return -ENOMEM;
    t->job = (struct sink_job){
        .loop = sb->shard->loop,
        .spool_dir = sb->shard->spool_dir,
        .spool_name = sb->spool.name,
        .staging_name = sb->staging,
        .key = t->key,
        .file_mode = sb->file_mode,
        .ctx = t,
        .from_fd = -1,
        .to_fd = -1,
        .parent_dir = -1,
    };
    return 0;
}

static int prefix_make(struct seal_batch *sb, char prefix[OBJECT_KEY_MAX])
{
    const struct output_settings *set = sb->batch.output->set;
    char random_string[12] = "";
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    struct expression_values values = {
        .time_ns = set->event_clock ? sb->event_ns : sb->batch.arrival_real_ns,
        .random_string = random_string,
        .error_output_type = sb->error >= 0 ? encoding_error_names[sb->error] : NULL,
    };
    uint8_t random[11];

    file_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        random_string[i] = letters[random[i] % (sizeof(letters) - 1)];
    return prefix_render(sb->error >= 0 ? set->error_prefix : set->prefix, &values, prefix,
                         OBJECT_KEY_MAX);
}

/* An object's key begins with the sink's place in its bucket. */
static int target_place(struct seal_batch *sb, uint16_t i, const struct target_settings *set,
                        const char *key)
{
    char bucket[OBJECT_KEY_MAX], whole[OBJECT_KEY_MAX];
    const char *prefix = strchr(set->directory, '/');
    size_t len = prefix ? (size_t)(prefix - set->directory) : 0;

    if (set->type != TARGET_S3 || !prefix)
        return target_init(sb, i, set->type, set->sink, set->directory, key);
    if (len >= sizeof(bucket)
        || snprintf(whole, sizeof(whole), "%s/%s", prefix + 1, key) >= (int)sizeof(whole))
        return -ENAMETOOLONG;
    memcpy(bucket, set->directory, len);
    bucket[len] = '\0';
    return target_init(sb, i, set->type, set->sink, bucket, whole);
}

int targets_render(struct seal_batch *sb)
{
    struct shard *s = sb->shard;
    const struct output_settings *set = sb->batch.output->set;
    const struct target_settings *target = sb->error >= 0 ? set->error_target : set->target;
    char prefix[OBJECT_KEY_MAX], key[OBJECT_KEY_MAX];
    int err = prefix_make(sb, prefix);

    for (uint16_t i = 0; !err && i < sb->targets; i++) {
        struct object_name_parts parts = {
            .stream = target[i].flat ? NULL : sb->batch.stream->name,
            .prefix = prefix,
            .partitions = sb->error >= 0 ? NULL : sb->batch.partition + sb->prefix_len,
            .agent = s->opt.agent_name,
            .extension = sb->error >= 0 ? "json" : encoding_extension(set),
            .epoch_name = set->epoch_name,
            .name_time_ns = sb->name_time_ns,
            .id = sb->batch.id,
        };

        err = object_name_render(&parts, key, sizeof(key));
        if (!err)
            err = target_place(sb, i, &target[i], key);
    }
    return err;
}

void targets_fini(struct seal_batch *sb)
{
    for (uint16_t i = 0; sb->target && i < sb->targets; i++) {
        file_sink_job_fini(&sb->target[i].job);
        deliver_remote_fini(&sb->target[i]);
        free(sb->target[i].name);
        free(sb->target[i].key);
    }
    free(sb->target);
}

void target_sinks_close(struct shard *s)
{
    while (s->sinks) {
        struct file_sink *sink = s->sinks;

        s->sinks = sink->next;
        file_sink_close(sink);
        free(sink->directory);
        free(sink);
    }
}
