/*
 * prefix_clock: renders a prefix once for each period in which it stays the same.
 *
 * Owns:   nothing.
 * Thread: any one at a time.
 * Units:  ns since 1970, UTC.
 */
#include "flow/prefix_clock.h"

#include <string.h>

#include "base/invariant.h"

void prefix_clock_init(struct prefix_clock *c, const char *prefix)
{
    struct prefix_traits traits;

    INVARIANT(prefix_inspect(prefix, false, &traits, NULL) == 0 && !traits.random_string);
    c->prefix = prefix;
    c->period_ns = traits.period_ns;
    for (int i = 0; i < PREFIX_CLOCK_KEPT; i++)
        c->kept[i].period = UINT64_MAX;
}

const char *prefix_clock_render(struct prefix_clock *c, uint64_t time_ns, uint32_t *ret_len)
{
    uint64_t period;
    unsigned at;

    time_ns -= time_ns == UINT64_MAX;   /* the one time whose period might pass for none */
    period = time_ns / c->period_ns;
    at = (unsigned)(period % PREFIX_CLOCK_KEPT);
    if (c->kept[at].period != period) {
        const struct expression_values values = { .time_ns = time_ns, .random_string = "" };

        INVARIANT(prefix_render(c->prefix, &values, c->kept[at].text, sizeof(c->kept[at].text))
                  == 0);
        c->kept[at].len = (uint32_t)strlen(c->kept[at].text);
        c->kept[at].period = period;
    }
    *ret_len = c->kept[at].len;
    return c->kept[at].text;
}
