/*
 * version: of the agent and its commands.
 *
 * The build may pass the same text on the command line (for files that it makes); a different one
 * is a redefinition, which the compiler reports.
 */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define HYDRANT_VERSION "0.1.0"

#endif
