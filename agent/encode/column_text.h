/*
 * column_text: names and columns as the configuration and the log write them, and as settings are
 * compared: in one way, whatever spaces and quotes they came with. Pure.
 *
 *   names     user,"full name"
 *   columns   user string,"full name" string           (read by schema_parse())
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef ENCODE_COLUMN_TEXT_H
#define ENCODE_COLUMN_TEXT_H

#include "base/bytes.h"
#include "base/errmsg.h"
#include "encode/schema.h"

/*
 * Names with commas between, written as those of columns, none twice; their type is string. NULL
 * is as good as empty. 0, -ENOMEM, or -EINVAL with a text that names what and where.
 */
int column_text_names(const char *text, struct schema *ret_names, struct errmsg *err);

/* For lists that have more than names: a name, and what parts it from the next; *at moves on. */
const char *column_text_blanks(const char *at);         /* behind them */
int column_text_name(const char **at, struct schema *names, struct errmsg *err);
int column_text_comma(const char **at, struct errmsg *err);     /* or the end */

/* Appends; 0 or -ENOMEM. */
int column_text_put_names(const struct schema *names, struct bytes *out);
int column_text_put_columns(const struct schema *columns, struct bytes *out);

#endif
