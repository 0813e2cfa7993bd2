/*
 * file_roots: where REST may have files written.
 *
 * Owns:   nothing.
 * Thread: any; asks the file system.
 */
#ifndef CONTROL_FILE_ROOTS_H
#define CONTROL_FILE_ROOTS_H

#include "base/errmsg.h"
#include "control/config.h"

/*
 * The directory without symlinks, below one of [http] file_roots; a relative one below the first.
 * It need not be there. What the agent keeps for itself in its data_dir is nobody's else. 0 with
 * *ret_path for free(); -EINVAL with a text; -ENOMEM.
 */
int file_roots_resolve(const struct config *config, const char *directory, char **ret_path,
                       struct errmsg *err);

#endif
