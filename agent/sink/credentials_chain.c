/*
 * credentials_chain: the sources of keys, in their order.
 * Owns:   see the header.
 * Thread: see the header.
 */
#include "sink/credentials_chain.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { PASSWD_BYTES = 16384 };

static const char *process_env(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

/* NULL where it is empty, too. */
static const char *env_get(const struct credentials_chain *c, const char *name)
{
    const char *value = c->env(c->env_ctx, name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool env_is(const struct credentials_chain *c, const char *name, const char *wanted)
{
    const char *value = env_get(c, name);

    return value != NULL && strcasecmp(value, wanted) == 0;
}

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

int credentials_chain_init(struct credentials_chain *c, const struct credentials_config *config,
                           struct errmsg *err)
{
    memset(c, 0, sizeof(*c));
    c->env = config->env != NULL ? config->env : process_env;
    c->env_ctx = config->env_ctx;
    if (is_set(config->profile) &&
        (size_t)snprintf(c->profile, sizeof(c->profile), "%s", config->profile) >=
            sizeof(c->profile))
        return errmsg_set(err, -EINVAL, "profile is longer than %zu characters",
                          sizeof(c->profile) - 1);
    if (is_set(config->region) &&
        credentials_parse_region(config->region, strlen(config->region), c->region) != 0)
        return errmsg_set(err, -EINVAL, "region '%s' is no name of a region", config->region);
    if (is_set(config->access_key) != is_set(config->secret_key))
        return errmsg_set(err, -EINVAL, "access_key and secret_key go together: %s_key is missing",
                          is_set(config->access_key) ? "secret" : "access");
    if (is_set(config->access_key))
        return credentials_set_fill(&c->configured, config->access_key, config->secret_key,
                                    config->session_token, err);
    if (is_set(config->session_token))
        return errmsg_set(err, -EINVAL, "session_token without access_key and secret_key");
    return 0;
}

void credentials_chain_forget(struct credentials_chain *c)
{
    credentials_file_free(&c->credentials_file);
    credentials_file_free(&c->config_file);
    memset(&c->credentials, 0, sizeof(c->credentials));
    memset(&c->config, 0, sizeof(c->config));
    c->loaded = false;
}

void credentials_chain_fini(struct credentials_chain *c)
{
    credentials_chain_forget(c);
    OPENSSL_cleanse(c, sizeof(*c));
}

/* --- profiles ------------------------------------------------------------------------------- */

/* The user's directory; "": unknown. */
static void home_of(const struct credentials_chain *c, char ret[static PATH_MAX])
{
    const char *home = env_get(c, "HOME");
    struct passwd entry, *found = NULL;
    char text[PASSWD_BYTES];

    if (home == NULL && getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) == 0 &&
        found != NULL)
        home = found->pw_dir;
    (void)snprintf(ret, PATH_MAX, "%s", home != NULL ? home : "");
}

/* Of the variable, or in the user's directory. What does not fit is "": no such file. */
static void path_of(const struct credentials_chain *c, const char *variable, const char *name,
                    char ret[static PATH_MAX])
{
    const char *path = env_get(c, variable);
    char home[PATH_MAX];
    int len;

    home_of(c, home);
    if (path != NULL)
        len = path[0] == '~' && path[1] == '/' ? snprintf(ret, PATH_MAX, "%s%s", home, path + 1)
                                               : snprintf(ret, PATH_MAX, "%s", path);
    else
        len = snprintf(ret, PATH_MAX, "%s/.aws/%s", home, name);
    if (len >= PATH_MAX)
        ret[0] = '\0';
}

/* A file that is not there has no profile; nor has one out of reach that nobody has named. */
static int file_load(struct credentials_chain *c, const char *variable, const char *path,
                     enum profile_kind kind, struct credentials_file *file,
                     struct profile *ret_profile, struct errmsg *err)
{
    int res = credentials_file_read(path, file, err);

    if (res == -ENOENT || res == -ENOTDIR || (res == -EACCES && env_get(c, variable) == NULL))
        return 0;
    if (res != 0)
        return res;
    res = profile_parse(file->text, file->len, kind, c->profile_name, ret_profile, err);
    if (res != 0)
        errmsg_prefix(err, "%s: ", path);
    return res;
}

static int profile_load(struct credentials_chain *c, struct errmsg *err)
{
    const char *name = c->profile[0] != '\0' ? c->profile : env_get(c, "AWS_PROFILE");
    int res;

    if (name == NULL)
        name = env_get(c, "AWS_DEFAULT_PROFILE");
    if ((size_t)snprintf(c->profile_name, sizeof(c->profile_name), "%s",
                         name != NULL ? name : "default") >= sizeof(c->profile_name))
        return errmsg_set(err, -EINVAL, "AWS_PROFILE is longer than %zu characters",
                          sizeof(c->profile_name) - 1);
    path_of(c, "AWS_SHARED_CREDENTIALS_FILE", "credentials", c->credentials_path);
    path_of(c, "AWS_CONFIG_FILE", "config", c->config_path);
    res = file_load(c, "AWS_SHARED_CREDENTIALS_FILE", c->credentials_path, PROFILE_OF_CREDENTIALS,
                    &c->credentials_file, &c->credentials, err);
    if (res == 0)
        res = file_load(c, "AWS_CONFIG_FILE", c->config_path, PROFILE_OF_CONFIG, &c->config_file,
                        &c->config, err);
    if (res == 0 && name != NULL && !c->credentials.found && !c->config.found)
        res = errmsg_set(err, -EINVAL, "profile '%s' is neither in %s nor in %s", name,
                         c->credentials_path, c->config_path);
    return res;
}

/* Reads the files once. */
static int profile_need(struct credentials_chain *c, struct errmsg *err)
{
    if (!c->loaded) {
        c->loaded = true;
        c->load_result = profile_load(c, &c->load_error);
    }
    if (c->load_result == 0)
        return 0;
    return errmsg_set(err, c->load_result, "%s", c->load_error.text);
}

/* Of both files: that of the credentials goes first. NULL: not there, or empty. */
static const char *profile_get(const struct credentials_chain *c, enum profile_key key)
{
    const char *value = c->credentials.value[key];

    if (value == NULL)
        value = c->config.value[key];
    return is_set(value) ? value : NULL;
}

/* --- the sources: 1 found, 0 not set up, or what is wrong ------------------------------------- */

static int configured_find(struct credentials_chain *c, struct credentials_set *set)
{
    if (c->configured.access_key[0] == '\0')
        return 0;
    *set = c->configured;
    return 1;
}

static int environment_find(struct credentials_chain *c, struct credentials_set *set,
                            struct errmsg *err)
{
    const char *access_key = env_get(c, "AWS_ACCESS_KEY_ID");
    const char *secret_key = env_get(c, "AWS_SECRET_ACCESS_KEY");
    const char *token = env_get(c, "AWS_SECURITY_TOKEN");
    int res;

    if (c->profile[0] != '\0' || access_key == NULL)
        return 0;
    if (secret_key == NULL)
        return errmsg_set(err, -EINVAL, "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not");
    if (token == NULL)
        token = env_get(c, "AWS_SESSION_TOKEN");
    res = credentials_set_fill(set, access_key, secret_key, token, err);
    return res == 0 ? 1 : res;
}

/* Of the environment, else of the profile. *ret_value NULL: of neither. */
static int role_setting(struct credentials_chain *c, const char *variable, enum profile_key key,
                        const char **ret_value, struct errmsg *err)
{
    int res = 0;

    *ret_value = c->profile[0] == '\0' ? env_get(c, variable) : NULL;
    if (*ret_value == NULL) {
        res = profile_need(c, err);
        if (res == 0)
            *ret_value = profile_get(c, key);
    }
    return res;
}

/* Where STS is, as far as that is set. */
static void sts_place(struct credentials_chain *c, struct credentials_role *role,
                      char region[static CREDENTIALS_NAME_BYTES])
{
    const char *which = env_get(c, "AWS_STS_REGIONAL_ENDPOINTS");

    if (which == NULL)
        which = profile_get(c, PROFILE_STS_REGIONAL_ENDPOINTS);
    if (which == NULL || strcasecmp(which, "legacy") != 0)
        role->region = credentials_chain_region(c, region, NULL) == 0 ? region : NULL;
    if (env_is(c, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"))
        return;
    role->endpoint = env_get(c, "AWS_ENDPOINT_URL_STS");
    if (role->endpoint == NULL)
        role->endpoint = env_get(c, "AWS_ENDPOINT_URL");
}

/* The text of a file that holds a token alone. */
static int token_read(const char *path, struct credentials_file *file, struct errmsg *err)
{
    int res = credentials_file_read(path, file, err);

    if (res != 0)
        return res;
    while (file->len > 0 && strchr(" \t\r\n", file->text[file->len - 1]) != NULL &&
           file->text[file->len - 1] != '\0')
        file->text[--file->len] = '\0';
    if (file->len > 0)
        return 0;
    credentials_file_free(file);
    return errmsg_set(err, -EINVAL, "%s: is empty", path);
}

static int web_identity_find(struct credentials_chain *c, uint64_t utc_ns,
                             struct credentials_ask *ask, struct errmsg *err)
{
    struct credentials_role role = { 0 };
    struct credentials_file token;
    char region[CREDENTIALS_NAME_BYTES], name[64];
    const char *path;
    int res = role_setting(c, "AWS_WEB_IDENTITY_TOKEN_FILE", PROFILE_WEB_IDENTITY_TOKEN_FILE,
                           &path, err);

    if (res != 0 || path == NULL)
        return res;
    res = role_setting(c, "AWS_ROLE_ARN", PROFILE_ROLE_ARN, &role.role_arn, err);
    if (res == 0 && role.role_arn == NULL)
        res = errmsg_set(err, -EINVAL, "a web identity token file is set, but neither AWS_ROLE_ARN "
                         "nor role_arn of the profile");
    if (res == 0)
        res = role_setting(c, "AWS_ROLE_SESSION_NAME", PROFILE_ROLE_SESSION_NAME,
                           &role.session_name, err);
    if (res == 0)
        res = token_read(path, &token, err);
    if (res != 0)
        return res;
    if (role.session_name == NULL) {
        (void)snprintf(name, sizeof(name), "hydrant-%llu",
                       (unsigned long long)(utc_ns / 1000000000));
        role.session_name = name;
    }
    role.token = token.text;
    role.token_len = token.len;
    sts_place(c, &role, region);
    res = credentials_ask_sts(ask, &role, err);
    credentials_file_free(&token);
    return res == 0 ? 1 : res;
}

static int file_keys(const struct credentials_chain *c, const char *path,
                     const struct profile *profile, struct credentials_set *set, struct errmsg *err)
{
    const char *access_key = profile->value[PROFILE_ACCESS_KEY];
    const char *secret_key = profile->value[PROFILE_SECRET_KEY];
    const char *token = profile->value[PROFILE_SECURITY_TOKEN];
    int res;

    if (access_key == NULL)
        return 0;
    if (token == NULL)
        token = profile->value[PROFILE_SESSION_TOKEN];
    if (secret_key == NULL)
        res = errmsg_set(err, -EINVAL, "aws_access_key_id without aws_secret_access_key");
    else
        res = credentials_set_fill(set, access_key, secret_key, token, err);
    if (res != 0)
        errmsg_prefix(err, "%s: profile '%s': ", path, c->profile_name);
    return res == 0 ? 1 : res;
}

/* What a profile can ask for and does not get here. */
static int not_offered(const struct credentials_chain *c, const char *what, struct errmsg *err)
{
    return errmsg_set(err, -EINVAL, "profile '%s' gets its keys by %s, which is not offered: give "
                      "it aws_access_key_id and aws_secret_access_key, or role_arn with "
                      "web_identity_token_file", c->profile_name, what);
}

static int credentials_file_find(struct credentials_chain *c, struct credentials_set *set,
                                 struct errmsg *err)
{
    int res = profile_need(c, err);

    if (res != 0)
        return res;
    if (profile_get(c, PROFILE_ROLE_ARN) != NULL &&
        profile_get(c, PROFILE_WEB_IDENTITY_TOKEN_FILE) == NULL)
        return not_offered(c, profile_get(c, PROFILE_SOURCE_PROFILE) != NULL
                                  ? "role_arn and source_profile" : "role_arn", err);
    if (profile_get(c, PROFILE_SSO_ACCOUNT_ID) != NULL ||
        profile_get(c, PROFILE_SSO_ROLE_NAME) != NULL)
        return not_offered(c, "single sign-on", err);
    return file_keys(c, c->credentials_path, &c->credentials, set, err);
}

static int config_file_find(struct credentials_chain *c, struct credentials_set *set,
                            struct errmsg *err)
{
    if (profile_get(c, PROFILE_CREDENTIAL_PROCESS) != NULL)
        return not_offered(c, "credential_process", err);
    return file_keys(c, c->config_path, &c->config, set, err);
}

static int container_find(struct credentials_chain *c, struct credentials_ask *ask,
                          struct errmsg *err)
{
    const char *relative_uri = env_get(c, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full_uri = env_get(c, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *path = env_get(c, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    struct credentials_file token = { 0 };
    int res = 0;

    if (relative_uri == NULL && full_uri == NULL)
        return 0;
    if (path != NULL)   /* each time: it is renewed */
        res = token_read(path, &token, err);
    if (res == 0)
        res = credentials_ask_container(ask, relative_uri, full_uri,
                                        path != NULL ? token.text
                                            : env_get(c, "AWS_CONTAINER_AUTHORIZATION_TOKEN"), err);
    credentials_file_free(&token);
    return res == 0 ? 1 : res;
}

static int metadata_find(struct credentials_chain *c, struct credentials_ask *ask,
                         struct errmsg *err)
{
    const char *endpoint;
    int res = credentials_chain_metadata(c, &endpoint, err);

    if (res == 0)
        res = credentials_ask_metadata(ask, endpoint, "/latest/api/token", "", NULL, err);
    if (res == -ENOENT)
        return 0;
    return res == 0 ? 1 : res;
}

/* --- the chain ------------------------------------------------------------------------------ */

static int source_find(struct credentials_chain *c, enum credentials_source source,
                       uint64_t utc_ns, struct credentials_set *set, struct credentials_ask *ask,
                       struct errmsg *err)
{
    switch (source) {
    case CREDENTIALS_CONFIGURED:
        return configured_find(c, set);
    case CREDENTIALS_ENVIRONMENT:
        return environment_find(c, set, err);
    case CREDENTIALS_WEB_IDENTITY:
        return web_identity_find(c, utc_ns, ask, err);
    case CREDENTIALS_CREDENTIALS_FILE:
        return credentials_file_find(c, set, err);
    case CREDENTIALS_CONFIG_FILE:
        return config_file_find(c, set, err);
    case CREDENTIALS_CONTAINER:
        return container_find(c, ask, err);
    default:
        return metadata_find(c, ask, err);
    }
}

int credentials_chain_find(struct credentials_chain *c, uint64_t utc_ns,
                           enum credentials_source *ret_source, struct credentials_set *set,
                           struct credentials_ask *ask, struct errmsg *err)
{
    for (int i = 0; i < CREDENTIALS_SOURCE_COUNT; i++) {
        int res = source_find(c, (enum credentials_source)i, utc_ns, set, ask, err);

        *ret_source = (enum credentials_source)i;
        if (res > 0)
            return 0;
        if (res < 0) {
            errmsg_prefix(err, "%s: ", credentials_source_name(*ret_source));
            return res;
        }
    }
    (void)errmsg_set(err, 0, "AWS_EC2_METADATA_DISABLED is true");
    credentials_chain_explain(c, err);
    return -ENOENT;
}

int credentials_chain_region(struct credentials_chain *c, char ret[static CREDENTIALS_NAME_BYTES],
                             struct errmsg *err)
{
    const char *from = "AWS_REGION", *region = env_get(c, from);
    int res;

    if (c->region[0] != '\0')
        region = c->region;
    else if (region == NULL)
        region = env_get(c, from = "AWS_DEFAULT_REGION");
    if (region == NULL) {
        res = profile_need(c, err);
        if (res != 0)
            return res;
        from = "region of the profile";
        region = profile_get(c, PROFILE_REGION);
    }
    if (region == NULL)
        return errmsg_set(err, -ENOENT, "no region: set region, AWS_REGION, or region of the "
                          "profile");
    if (credentials_parse_region(region, strlen(region), ret) != 0)
        return errmsg_set(err, -EINVAL, "%s is no name of a region", from);
    return 0;
}

int credentials_chain_metadata(struct credentials_chain *c, const char **ret_endpoint,
                               struct errmsg *err)
{
    const char *mode = env_get(c, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    int res;

    if (env_is(c, "AWS_EC2_METADATA_DISABLED", "true"))
        return -ENOENT;
    *ret_endpoint = env_get(c, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (*ret_endpoint != NULL)
        return 0;
    res = profile_need(c, err);
    if (res != 0)
        return res;
    *ret_endpoint = profile_get(c, PROFILE_METADATA_ENDPOINT);
    if (mode == NULL)
        mode = profile_get(c, PROFILE_METADATA_ENDPOINT_MODE);
    if (*ret_endpoint == NULL)
        *ret_endpoint = mode != NULL && strcasecmp(mode, "ipv6") == 0 ? CREDENTIALS_METADATA_IPV6
                                                                      : CREDENTIALS_METADATA_IPV4;
    return 0;
}

void credentials_chain_explain(const struct credentials_chain *c, struct errmsg *err)
{
    struct errmsg why;

    if (err == NULL)
        return;
    why = *err;
    (void)errmsg_set(err, 0, "no credentials: tried access_key%s, profile '%.64s' in %.90s and "
                     "%.90s, AWS_CONTAINER_CREDENTIALS_*, instance metadata (%.100s): set up one "
                     "of them",
                     c->profile[0] == '\0' ? ", AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE"
                                           : "",
                     c->profile_name, c->credentials_path, c->config_path, why.text);
}

const char *credentials_source_name(enum credentials_source source)
{
    static const char *const names[] = {
        "configuration", "environment", "web identity", "credentials file", "config file",
        "container", "instance metadata",
    };

    _Static_assert(sizeof(names) / sizeof(names[0]) == CREDENTIALS_SOURCE_COUNT,
                   "a name for each source");
    return (unsigned)source < CREDENTIALS_SOURCE_COUNT ? names[source] : "none";
}
