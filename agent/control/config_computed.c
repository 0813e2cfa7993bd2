/*
 * config_computed: defaults that depend on the host or on other keys.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/config_computed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "control/option.h"

#define AGENT_NAME_MAX 64
#define UID_SYSTEM_END 1000 /* below it: users of the system, not people */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '-';
}

/* The host's name as far as it can stand in file names. */
static char *default_agent_name(void)
{
    char host[256] = "";
    char *name = host;

    if (gethostname(host, sizeof(host) - 1) < 0)
        host[0] = '\0';
    for (char *at = host; *at != '\0'; at++)
        if (!name_char(*at))
            *at = '-';
    name += strspn(name, "-._"); /* the first must be a letter or a digit */
    return *name != '\0' ? strndup(name, AGENT_NAME_MAX) : strdup("host");
}

static char *default_shm_dir(void)
{
    struct bytes dir = BYTES_INIT;
    uid_t uid = geteuid();
    int r;

    if (uid < UID_SYSTEM_END)
        return strdup("/dev/shm/hydrant");
    r = bytes_printf(&dir, "/dev/shm/hydrant-%u", (unsigned)uid);
    if (r < 0) {
        bytes_free(&dir);
        return NULL;
    }
    return bytes_take_cstr(&dir);
}

static char *below_data_dir(const struct config *c, const char *name)
{
    struct bytes path = BYTES_INIT;
    size_t len = strlen(c->agent.data_dir);
    const char *slash = len > 0 && c->agent.data_dir[len - 1] == '/' ? "" : "/";

    if (bytes_printf(&path, "%s%s%s", c->agent.data_dir, slash, name) < 0) {
        bytes_free(&path);
        return NULL;
    }
    return bytes_take_cstr(&path);
}

/* text is owned from here on; NULL means that there was no memory for it. */
static int store_computed(const struct option *o, void *owner, char *text)
{
    struct option_value v = { 0 };

    if (text == NULL)
        return -ENOMEM;
    if (o->type == OPTION_TYPE_LIST) {
        v.list.items = calloc(1, sizeof(v.list.items[0]));
        if (v.list.items == NULL) {
            free(text);
            return -ENOMEM;
        }
        v.list.items[0] = text;
        v.list.count = 1;
    } else {
        v.text = text;
    }
    option_store(o, owner, &v);
    return 0;
}

int config_compute(struct config *c)
{
    struct sink_config *local = &c->sinks[0];
    int r = 0;

    if (!config_is_set(&c->set, OPTION_agent_name))
        r = store_computed(&option_table[OPTION_agent_name], c, default_agent_name());
    if (r == 0 && !config_is_set(&c->set, OPTION_agent_shm_dir))
        r = store_computed(&option_table[OPTION_agent_shm_dir], c, default_shm_dir());
    if (r == 0 && !config_is_set(&c->set, OPTION_wal_dir))
        r = store_computed(&option_table[OPTION_wal_dir], c, below_data_dir(c, "wal"));
    if (r == 0 && !config_is_set(&c->set, OPTION_http_file_roots))
        r = store_computed(&option_table[OPTION_http_file_roots], c, strdup(c->agent.data_dir));
    if (r == 0 && !config_is_set(&local->set, OPTION_file_directory))
        r = store_computed(&option_table[OPTION_file_directory], local, below_data_dir(c, "out"));
    return r;
}
