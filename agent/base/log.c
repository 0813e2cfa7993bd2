/*
 * log: formatting of log lines and the one place that writes them.
 * Owns:   level, format and colour of the process, in atomics because a reload changes them.
 * Thread: any.
 * Units:  cap, len = bytes; utc_ns = UTC nanoseconds.
 */
#include "base/log.h"

#include "base/clockfmt.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A pipe takes up to PIPE_BUF (4096) bytes in one piece, so lines of several threads never mix. */
#define LOG_LINE_BYTES 4096
#define LOG_CUT "..."

/* Relaxed everywhere: a line that sees the old level for a moment after a reload is no harm. */
static atomic_int log_level_now = LOG_LEVEL_INFO;
static atomic_int log_format_now = LOG_FORMAT_TEXT;
static atomic_bool log_colour_now;

static const char *const log_names[] = { "error", "warn", "info", "debug" };
static const char *const log_colours[] = { "\033[31m", "\033[33m", "\033[32m", "\033[2m" };

_Static_assert(sizeof(log_names) / sizeof(log_names[0]) == LOG_LEVEL_COUNT, "a name each");
_Static_assert(sizeof(log_colours) / sizeof(log_colours[0]) == LOG_LEVEL_COUNT, "a colour each");

void log_init(enum log_level level, enum log_format format)
{
    const char *plain = getenv("NO_COLOR");
    bool colour = (plain == NULL || plain[0] == '\0') && isatty(STDERR_FILENO) == 1;

    atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
    atomic_store_explicit(&log_format_now, (int)format, memory_order_relaxed);
    atomic_store_explicit(&log_colour_now, colour, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

/* One byte as it appears in a line; returns the length of its text, at most 6. */
static uint32_t log_escape(char out[static 8], unsigned char c, enum log_format format)
{
    if (format == LOG_FORMAT_JSON && (c == '"' || c == '\\')) {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c == '\n' || c == '\t' || c == '\r') {
        out[0] = '\\';
        out[1] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
        return 2;
    }
    if (c < 0x20 || c == 0x7f) {
        /* \x1b is no JSON; \u001b is fine for both. */
        return (uint32_t)snprintf(out, 8, "\\u%04x", c);
    }
    out[0] = (char)c;
    return 1;
}

/* Bytes of the UTF-8 sequence at text, or 0: it is none. */
static uint32_t log_utf8_len(const unsigned char *text)
{
    uint32_t len = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2
                 : text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 0;

    for (uint32_t i = 1; i < len; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0; /* also the NUL of a cut sequence */
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0; /* overlong, surrogates, beyond U+10FFFF */
    return len;
}

/* Copies message escaped into [text + len, text + cap); returns the new length. */
static uint32_t log_render_message(char *text, uint32_t len, uint32_t cap, enum log_format format,
                                   const char *message)
{
    const unsigned char *at = (const unsigned char *)message;
    uint32_t len_cut = len; /* up to here there is room for the mark */

    while (*at != '\0') {
        uint32_t in = log_utf8_len(at);
        char out[8];
        uint32_t n;

        if (in > 1) {
            n = in;
            memcpy(out, at, n);
        } else if (in == 1) {
            n = log_escape(out, *at, format);
        } else {
            in = 1;
            out[0] = '?'; /* not UTF-8: a JSON line must stay valid */
            n = 1;
        }
        if (len + n > cap) {
            memcpy(text + len_cut, LOG_CUT, strlen(LOG_CUT));
            return len_cut + (uint32_t)strlen(LOG_CUT);
        }
        memcpy(text + len, out, n);
        len += n;
        if (len + strlen(LOG_CUT) <= cap)
            len_cut = len;
        at += in;
    }
    return len;
}

uint32_t log_render(char *text, uint32_t cap, enum log_level level, enum log_format format,
                    bool colour, uint64_t utc_ns, const char *message)
{
    char time_text[CLOCKFMT_ISO_BYTES];
    const char *tail = format == LOG_FORMAT_JSON ? "\"}\n" : "\n";
    uint32_t len;

    clockfmt_iso(utc_ns, time_text);
    if (format == LOG_FORMAT_JSON)
        len = (uint32_t)snprintf(text, cap, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"",
                                 time_text, log_names[level]);
    else
        len = (uint32_t)snprintf(text, cap, "%s %s%-5s%s ", time_text,
                                 colour ? log_colours[level] : "", log_names[level],
                                 colour ? "\033[0m" : "");
    len = log_render_message(text, len, cap - (uint32_t)strlen(tail), format, message);
    memcpy(text + len, tail, strlen(tail));
    return len + (uint32_t)strlen(tail);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char message[LOG_LINE_BYTES];
    char text[LOG_LINE_BYTES];
    int saved = errno; /* callers log on their way out and still return it */
    struct timespec now;
    uint32_t len;
    ssize_t n;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    len = log_render(text, sizeof(text), level,
                     (enum log_format)atomic_load_explicit(&log_format_now, memory_order_relaxed),
                     atomic_load_explicit(&log_colour_now, memory_order_relaxed),
                     (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec, message);
    do {
        n = write(STDERR_FILENO, text, len);
    } while (n < 0 && errno == EINTR);
    /* A log that cannot be written has nobody left to be told. */
    errno = saved;
}

bool log_limit_allow(struct log_limit *limit, uint64_t now_ns)
{
    if (limit->used == 0 || now_ns - limit->since_ns >= limit->interval_ns) {
        if (limit->suppressed > 0)
            log_warn("%s: %llu more lines held back in the last %llu s", limit->what,
                     (unsigned long long)limit->suppressed,
                     (unsigned long long)((now_ns - limit->since_ns) / 1000000000U));
        limit->since_ns = now_ns;
        limit->used = 0;
        limit->suppressed = 0;
    }
    if (limit->used < limit->lines) {
        limit->used++;
        return true;
    }
    limit->suppressed++;
    return false;
}
