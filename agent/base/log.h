/*
 * log: what the operator reads on stderr, one line for each thing that happened.
 *
 * Called where a decision is made: pipeline, sinks, control, cli. Layers below return errors.
 * Owns:   nothing but the settings of the process.
 * Thread: any; a line is one write(2), so lines of several threads never mix.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR, /* something was lost or cannot go on */
    LOG_LEVEL_WARN,  /* somebody should look, the agent goes on */
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_COUNT
};

enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
    LOG_FORMAT_COUNT
};

/* May be called again at any time (reload). Before the first call: info, text. */
void log_init(enum log_level level, enum log_format format);

bool log_enabled(enum log_level level);

/* Use the macros below: they do not evaluate the arguments of a line that nobody sees. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define LOG_AT(level, ...)                \
    do {                                  \
        if (log_enabled(level))           \
            log_line(level, __VA_ARGS__); \
    } while (0)

#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Formats one whole line, newline included, into text; returns its length, at most cap, cap >= 128.
 * Control characters are escaped in both formats; what does not fit is cut and marked by "...".
 * colour is for text only. Pure: log_line is this and one write(2).
 */
uint32_t log_render(char *text, uint32_t cap, enum log_level level, enum log_format format,
                    bool colour, uint64_t utc_ns, const char *message);

/*
 * At most `lines` lines in each interval; for lines that a peer or the hot path can provoke.
 *
 *     static _Thread_local struct log_limit limit =
 *         LOG_LIMIT_INIT("bad lines", 5, 10 * 1000000000ULL);
 *     if (log_limit_allow(&limit, now_ns))
 *         log_warn(...);
 *
 * One thread owns the struct, as each has its own here. now_ns is any clock that does not run
 * backwards.
 */
struct log_limit {
    const char *what; /* borrowed, named when lines were held back */
    uint32_t lines;
    uint32_t used;
    uint64_t interval_ns;
    uint64_t since_ns;
    uint64_t suppressed;
};

#define LOG_LIMIT_INIT(what, lines, interval_ns) { (what), (lines), 0, (interval_ns), 0, 0 }

/* True if the caller may log now. The first of a new interval reports how many were held back. */
bool log_limit_allow(struct log_limit *limit, uint64_t now_ns);

#endif
