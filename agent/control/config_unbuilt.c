/*
 * config_unbuilt: what the configuration may say and this version cannot do yet. Such a setting
 * must be an error at check and start: ignored, it would lose or misplace data.
 * Owns:   nothing.
 * Thread: any.
 */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "control/config_check.h"

struct unbuilt {
    enum option_id id;
    const char *pattern; /* of fnmatch; NULL: all but the default */
    const char *remedy;
};

/* Whatever gets built loses its line here. */
static const struct unbuilt unbuilt_table[] = {
    { OPTION_agent_auto_create_streams, "no", "leave it at yes" },
    { OPTION_http_listen, "unix:*", "use ADDR:PORT or off" },
};

int config_unbuilt(const struct option *o, const char *text, struct errmsg *err)
{
    for (size_t i = 0; i < sizeof(unbuilt_table) / sizeof(unbuilt_table[0]); i++) {
        const struct unbuilt *u = &unbuilt_table[i];
        bool hit = u->pattern != NULL ? fnmatch(u->pattern, text, 0) == 0
                                      : strcmp(text, o->default_text) != 0;

        if (u->id != o->id || !hit)
            continue;
        if (o->type == OPTION_TYPE_SECRET)
            return errmsg_set(err, -EINVAL, "not built yet in this version; %s", u->remedy);
        return errmsg_set(err, -EINVAL, "'%s' is not built yet in this version; %s", text,
                          u->remedy);
    }
    return 0;
}
