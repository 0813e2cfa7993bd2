/*
 * rest_file: what REST has made, as sections like those of the user's file, and the file that keeps
 * them: `<data_dir>/state/rest.ini`. It may hold keys, so nobody else may read it.
 *
 *   [stream NAME]         keys of [stream]; and `about`, for whoever made it
 *   [sink NAME~NUMBER]    a sink of that stream alone. It stays when its stream goes, until it has
 *                         taken what is sealed for it
 *   [deleted NAME]        accepted: events in the books of a stream that was deleted
 *
 * Owns:   nothing; sections are the caller's, to be freed by config_file_free().
 * Thread: any, one struct by one thread at a time.
 */
#ifndef CONTROL_REST_FILE_H
#define CONTROL_REST_FILE_H

#include "base/bytes.h"
#include "base/errmsg.h"
#include "control/config_file.h"

#define REST_KEY_ABOUT    "about"
#define REST_KEY_ACCEPTED "accepted"

/* Without any section. NULL: no memory. */
struct config_file *rest_file_new(void);

/* 0; -ENOMEM. A file that is not there has no section. Mistakes of syntax are in errs. */
int rest_file_read(const char *data_dir, struct config_file **ret_file,
                   struct config_errors *errs);

/* The text of such a file, appended. 0 or -ENOMEM. */
int rest_file_format(const struct config_file *f, struct bytes *out);

/* In place of what was there, and synced. 0 or -errno with a text; then the old one is there. */
int rest_file_write(const char *data_dir, const struct config_file *f, struct errmsg *err);

/* 0 or -ENOMEM. */
int rest_file_copy(const struct config_file *f, struct config_file **ret_copy);

/* NULL: there is none. */
struct config_section *rest_file_find(const struct config_file *f, const char *kind,
                                      const char *name);
/* A value of it, or NULL. */
const char *rest_file_get(const struct config_section *s, const char *key);

/* "[KIND NAME]" at the end; none has that name yet. NULL: no memory. */
struct config_section *rest_file_add(struct config_file *f, const char *kind, const char *name);
/* Adds a key, or gives it another value. 0, -ENOMEM; -EINVAL: no file can hold that value. */
int rest_file_set(struct config_section *s, const char *key, const char *value);
void rest_file_remove(struct config_file *f, struct config_section *s);

#endif
