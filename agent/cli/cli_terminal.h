/*
 * cli_terminal: a terminal as a screen that is drawn again and again, and keys from it.
 *
 * Signals that would end the program are only taken within cli_terminal_key(), which says so: so
 * the terminal is as it was whatever ends it, short of SIGKILL. ^Z leaves the screen meanwhile.
 *
 * Owns:   the terminal's modes and the handlers of signals, from open to close.
 * Thread: main; handlers only set flags.
 */
#ifndef CLI_CLI_TERMINAL_H
#define CLI_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CLI_KEY_NONE = -1,      /* the time is over */
    CLI_KEY_RESIZED = -2,   /* draw again */
    CLI_KEY_SIGNAL = -3     /* end: cli_terminal_signal() */
};

/* Is the output a terminal that can be drawn on? */
bool cli_terminal_there(void);

/* 0 or -errno. */
int cli_terminal_open(void);
void cli_terminal_close(void);  /* no matter whether it is open */

void cli_terminal_size(unsigned *ret_columns, unsigned *ret_rows);

/*
 * Replaces what is shown: the lines of the text, as many as fit, and the footer on the last one. 0
 * or -errno.
 */
int cli_terminal_draw(const char *text, size_t len, const char *footer);

/* Waits for a key, until a time of CLOCK_MONOTONIC at most. */
int cli_terminal_key(uint64_t until_ns);

/* The signal that came. */
int cli_terminal_signal(void);

#endif
