/*
 * reload: the configuration in force, and how another takes its place: by SIGHUP from the user's
 * file, by a change that REST asks for (rest.h), and when a sink that outlived its stream has
 * nothing to wait for any more.
 *
 * One at a time. What is to come is read and checked; a change of REST is written to its file; then
 * the shards take it over, and it is in force. A change is answered after that, and a failure
 * leaves everything as it was. Changes are made on top of the user's file as it was read last: what
 * somebody is editing in it counts with SIGHUP alone.
 *
 * Owns:   configurations, the sections of REST.
 * Thread: main, but for reload_look().
 */
#ifndef CONTROL_RELOAD_H
#define CONTROL_RELOAD_H

#include "control/config.h"
#include "pipeline/shards.h"

struct reload;

/* Reads everything; says on stderr what is wrong with it. 0 or -errno. */
int reload_open(const char *path, const struct config_overrides *overrides,
                struct reload **ret_reload);
void reload_close(struct reload *r);        /* after the shards; NULL is fine */

/* In force. It is another one after the next turn. */
const struct config *reload_config(const struct reload *r);

/* Calls seen() with the configuration in force, which does not change meanwhile. Any thread. */
void reload_look(struct reload *r, void (*seen)(void *ctx, const struct config *config), void *ctx);

/*
 * Whose configuration it is, once they are open; applied() hears of every one that has come into
 * force.
 */
void reload_shards(struct reload *r, struct shards *shards,
                   void (*applied)(void *ctx, const struct config *config), void *ctx);

/* Sinks that are not files: before the shards hear of a configuration. */
int reload_remote_sinks(struct shards *shards, const struct config *config, struct errmsg *err);

/* A REQUEST_CONTROL came, whose `control` is a struct rest_change. */
void reload_control(struct reload *r, struct shard_request *req);

/* SIGHUP came. */
void reload_ask(struct reload *r);

/* Is another configuration on its way? Once not, SIGHUP's has come or been refused. */
bool reload_busy(const struct reload *r);

/* To be called each turn of the first shard. */
void reload_turn(struct reload *r);

#endif
