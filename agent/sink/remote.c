/*
 * remote: what the kinds of remote sinks read in answers.
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/remote.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum remote_plan remote_plan_whole(struct remote_job *job, struct remote_lane *lane,
                                   bool all_sent)
{
    if (job->lanes_out > 0)
        return REMOTE_WAIT;
    if (job->damaged || all_sent) {
        job->result = job->damaged ? SINK_DAMAGED : SINK_DONE;
        return REMOTE_OVER;
    }
    lane->file_at = 0;
    lane->file_len = job->file_bytes;
    lane->hash = true;
    return REMOTE_SEND;
}

bool remote_date(const char *text, uint64_t *ret_utc_s)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    time_t at = end && *end == '\0' ? timegm(&tm) : -1;

    if (at < 0)
        return false;
    *ret_utc_s = (uint64_t)at;
    return true;
}

uint64_t remote_retry_after_ns(const struct reply *reply, uint64_t utc_s)
{
    const char *text = request_reply_header(reply, "retry-after");
    uint64_t at, seconds = 0;

    if (!text)
        return 0;
    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0')
        seconds = strtoull(text, NULL, 10);
    else if (remote_date(text, &at) && at > utc_s)
        seconds = at - utc_s;
    return seconds < RETRY_AFTER_MAX_NS / RETRY_SECOND_NS ? seconds * RETRY_SECOND_NS
                                                          : RETRY_AFTER_MAX_NS;
}

enum retry_class remote_class(unsigned status)
{
    if (status >= 200 && status < 300)
        return RETRY_OK;
    if (status == 429 || status == 503)
        return RETRY_THROTTLED;
    if (status == 408 || status == 425 || status >= 500)
        return RETRY_AGAIN;
    return RETRY_REJECT;
}

void remote_excerpt(const char *body, size_t len, char ret_text[static REMOTE_EXCERPT_BYTES])
{
    size_t most = REMOTE_EXCERPT_BYTES - 1, at = 0;

    for (size_t i = 0; i < len && at < most; i++) {
        unsigned char c = (unsigned char)body[i];

        if (c > ' ' && c < 0x7f)
            ret_text[at++] = (char)c;
        else if (at > 0 && ret_text[at - 1] != ' ')
            ret_text[at++] = ' ';
    }
    while (at > 0 && ret_text[at - 1] == ' ')
        at--;
    ret_text[at] = '\0';
}
