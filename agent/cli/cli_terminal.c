/*
 * cli_terminal: modes of the terminal, the alternate screen, signals.
 *
 * Lines are not clipped here: the terminal does not wrap them while it is ours.
 *
 * Owns:   see the header.
 * Thread: main.
 */
#include "cli/cli_terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/cli_write.h"

#define ENTER "\033[?1049h\033[?25l\033[?7l" /* alternate screen, no cursor, no wrapping */
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

static struct {
    bool open;
    bool keys;                  /* the input is a terminal too */
    struct termios before;      /* of the input */
} terminal;

static volatile sig_atomic_t ended, stopped, resized;

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };

enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

static struct sigaction actions_before[SIGNALS];
static sigset_t mask_before;

static void on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else if (number == SIGTSTP)
        stopped = 1;
    else
        ended = number;
}

bool cli_terminal_there(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) == 1 && term != NULL && term[0] != '\0' &&
           strcmp(term, "dumb") != 0;
}

static int screen_enter(void)
{
    struct termios raw = terminal.before;

    raw.c_lflag &= (tcflag_t)~(ICANON | ECHO); /* ISIG stays: ^C and ^Z are signals */
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (terminal.keys && tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
        return -errno;
    return cli_write(STDOUT_FILENO, ENTER, strlen(ENTER));
}

/* What a terminal that is gone answers does not matter any more. */
static void screen_leave(void)
{
    (void)cli_write(STDOUT_FILENO, LEAVE, strlen(LEAVE));
    if (terminal.keys)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

/* The signals stay blocked but within ppoll(2). */
static void signals_take(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    sigset_t ours;

    (void)sigemptyset(&ours);
    (void)sigemptyset(&action.sa_mask);
    ended = stopped = resized = 0;
    for (size_t i = 0; i < SIGNALS; i++) {
        (void)sigaddset(&ours, signals[i]);
        (void)sigaction(signals[i], &action, &actions_before[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &ours, &mask_before);
}

int cli_terminal_open(void)
{
    int res;

    terminal.keys = tcgetattr(STDIN_FILENO, &terminal.before) == 0;
    signals_take();
    terminal.open = true;
    res = screen_enter();
    if (res != 0)
        cli_terminal_close();
    return res;
}

void cli_terminal_close(void)
{
    if (!terminal.open)
        return;
    screen_leave();
    for (size_t i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &actions_before[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &mask_before, NULL);
    terminal.open = false;
}

void cli_terminal_size(unsigned *ret_columns, unsigned *ret_rows)
{
    struct winsize size;

    *ret_columns = 80;
    *ret_rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *ret_columns = size.ws_col;
        *ret_rows = size.ws_row;
    }
}

/* One write: nobody sees half of it. Each line is cleared before it is written. */
int cli_terminal_draw(const char *text, size_t len, const char *footer)
{
    struct bytes out = BYTES_INIT;
    unsigned columns, rows, row = 0;
    const char *end = text + len;
    int res = bytes_append_str(&out, "\033[H");

    cli_terminal_size(&columns, &rows);
    while (res == 0 && text < end && row + 1 < rows) {
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        size_t line = (size_t)((lf != NULL ? lf : end) - text);

        res = bytes_append_str(&out, row++ > 0 ? "\r\n\033[K" : "\033[K");
        if (res == 0)
            res = bytes_append(&out, text, line);
        if (res == 0)
            res = bytes_append_str(&out, "\033[0m");
        text += line + (lf != NULL);
    }
    if (res == 0)
        res = bytes_printf(&out, "\033[J\033[%u;1H%s\033[0m", rows, footer);
    if (res == 0)
        res = cli_write(STDOUT_FILENO, out.data, out.len);
    bytes_free(&out);
    return res;
}

/* ^Z: leaves the screen to the shell, and takes it again when it is back. */
static void stop_and_go_on(void)
{
    stopped = 0;
    screen_leave();
    (void)raise(SIGSTOP);
    (void)screen_enter();   /* when that fails, so does the next draw */
    resized = 1;
}

int cli_terminal_key(uint64_t until_ns)
{
    struct pollfd input = { .fd = terminal.keys ? STDIN_FILENO : -1, .events = POLLIN };

    for (;;) {
        struct timespec now, left = { .tv_sec = 0 };
        uint64_t now_ns;
        unsigned char key;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        now_ns = (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
        if (now_ns < until_ns) {
            left.tv_sec = (time_t)((until_ns - now_ns) / 1000000000U);
            left.tv_nsec = (long)((until_ns - now_ns) % 1000000000U);
        }
        (void)ppoll(&input, 1, &left, &mask_before); /* whatever ends it, look again */
        if (stopped)
            stop_and_go_on();
        if (ended)
            return CLI_KEY_SIGNAL;
        if (resized) {
            resized = 0;
            return CLI_KEY_RESIZED;
        }
        if (input.revents != 0 && read(STDIN_FILENO, &key, 1) == 1)
            return key;
        if ((input.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
            ended = SIGHUP;     /* the terminal is gone */
            return CLI_KEY_SIGNAL;
        }
        input.revents = 0;
        if (now_ns >= until_ns)
            return CLI_KEY_NONE;
    }
}

int cli_terminal_signal(void)
{
    return (int)ended;
}
