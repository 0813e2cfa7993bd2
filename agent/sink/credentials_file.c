/*
 * credentials_file: files with secrets, and profiles in the shared files of AWS.
 * Owns:   see the header.
 * Thread: any.
 */
#include "sink/credentials_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/invariant.h"
#include "io/file.h"
#include "sink/secret.h"

enum { NAME_BYTES = 256 };

static const char *const key_names[PROFILE_KEY_COUNT] = {
    [PROFILE_ACCESS_KEY] = "aws_access_key_id",
    [PROFILE_SECRET_KEY] = "aws_secret_access_key",
    [PROFILE_SESSION_TOKEN] = "aws_session_token",
    [PROFILE_SECURITY_TOKEN] = "aws_security_token",
    [PROFILE_ROLE_ARN] = "role_arn",
    [PROFILE_ROLE_SESSION_NAME] = "role_session_name",
    [PROFILE_WEB_IDENTITY_TOKEN_FILE] = "web_identity_token_file",
    [PROFILE_SOURCE_PROFILE] = "source_profile",
    [PROFILE_CREDENTIAL_PROCESS] = "credential_process",
    [PROFILE_SSO_ACCOUNT_ID] = "sso_account_id",
    [PROFILE_SSO_ROLE_NAME] = "sso_role_name",
    [PROFILE_REGION] = "region",
    [PROFILE_STS_REGIONAL_ENDPOINTS] = "sts_regional_endpoints",
    [PROFILE_METADATA_ENDPOINT] = "ec2_metadata_service_endpoint",
    [PROFILE_METADATA_ENDPOINT_MODE] = "ec2_metadata_service_endpoint_mode",
};

/* Where reading stands; the words are those of Python's configparser, whose rules these are. */
struct reader {
    enum profile_kind kind;
    const char *name;           /* of the profile that is looked for */
    struct profile *profile;
    bool ours;                  /* in its section */
    bool full_name;             /* which was "[profile default]" */
    bool section;               /* some section has begun */
    bool option;                /* a key has been read in it, which deeper lines continue */
    enum profile_key key;       /* it is this one, of ours; PROFILE_KEY_COUNT: it is not */
    size_t indent;
    uint32_t line;
};

/* --- whole files ---------------------------------------------------------------------------- */

int credentials_file_read(const char *path, struct credentials_file *ret_file, struct errmsg *err)
{
    /* A named pipe must not make the thread wait. */
    int fd = file_open(FILE_CWD, path, O_RDONLY | O_NONBLOCK, 0);
    struct file_stat st;
    ssize_t len;
    char *text;

    *ret_file = (struct credentials_file){ 0 };
    if (fd < 0)
        return errmsg_set_errno(err, fd, "%s", path);
    text = secret_map(CREDENTIALS_FILE_BYTES);
    if (text == NULL) {
        file_close(fd);
        return errmsg_set(err, -ENOMEM, "%s: out of memory", path);
    }
    len = file_stat(fd, &st);
    if (len == 0)
        len = S_ISREG(st.mode) ? file_read(fd, text, CREDENTIALS_FILE_BYTES, 0) : -EINVAL;
    file_close(fd);
    if (len >= 0 && len < CREDENTIALS_FILE_BYTES) {
        *ret_file = (struct credentials_file){ .text = text, .len = (size_t)len };
        return 0;
    }
    secret_unmap(text, CREDENTIALS_FILE_BYTES);
    if (len == -EINVAL)
        return errmsg_set(err, -EINVAL, "%s: not a plain file", path);
    if (len < 0)
        return errmsg_set_errno(err, (int)len, "%s", path);
    return errmsg_set(err, -EFBIG, "%s: larger than %d bytes", path, CREDENTIALS_FILE_BYTES - 1);
}

void credentials_file_free(struct credentials_file *file)
{
    secret_unmap(file->text, CREDENTIALS_FILE_BYTES);
    *file = (struct credentials_file){ 0 };
}

/* --- profiles ------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static char *trim(char *from, char *to)
{
    while (from < to && is_space(*from))
        from++;
    while (from < to && is_space(to[-1]))
        to--;
    *to = '\0';
    return from;
}

/*
 * The next word as a shell splits them, in quotes or not; -EBADMSG: a quote is open, or it is
 * longer than any name. 0: there is none.
 */
static int word(const char **at, char ret[static NAME_BYTES])
{
    char quote = '\0';
    size_t len = 0;

    while (is_space(**at))
        (*at)++;
    if (**at == '\0')
        return 0;
    for (; **at != '\0' && (quote != '\0' || !is_space(**at)); (*at)++) {
        char c = **at;

        if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
            continue;
        }
        if (quote != '\0' && c == quote) {
            quote = '\0';
            continue;
        }
        if (c == '\\' && quote != '\'' && (*at)[1] != '\0' &&
            (quote == '\0' || (*at)[1] == '"' || (*at)[1] == '\\'))
            c = *++*at;
        if (len + 1 == NAME_BYTES)
            return -EBADMSG;
        ret[len++] = c;
    }
    ret[len] = '\0';
    return quote == '\0' ? 1 : -EBADMSG;
}

/* Whether a section of this header is the profile's; full: it says "profile NAME". */
static bool section_matches(const struct reader *r, const char *header, bool *ret_full)
{
    char first[NAME_BYTES], second[NAME_BYTES], third[NAME_BYTES];

    *ret_full = false;
    if (r->kind == PROFILE_OF_CREDENTIALS)
        return strcmp(header, r->name) == 0;
    if (strcmp(header, "default") == 0)
        return strcmp(r->name, "default") == 0;
    *ret_full = true;
    return !is_space(*header) && word(&header, first) == 1 && strcmp(first, "profile") == 0 &&
           word(&header, second) == 1 && word(&header, third) == 0 &&
           strcmp(second, r->name) == 0;
}

static int section_begin(struct reader *r, char *text, struct errmsg *err)
{
    char *end = strrchr(text, ']');
    bool full;

    INVARIANT(end != NULL);
    if (end == text + 1)
        return errmsg_set(err, -EBADMSG, "line %u: a section without a name", r->line);
    *end = '\0';
    r->section = true;
    r->option = false;
    r->ours = section_matches(r, text + 1, &full);
    if (!r->ours)
        return 0;
    if (r->profile->found && full == r->full_name)
        return errmsg_set(err, -EBADMSG, "line %u: a second section of profile '%s'", r->line,
                          r->name);
    if (r->profile->found && !full) {   /* the other one counts */
        r->ours = false;
        return 0;
    }
    memset(r->profile, 0, sizeof(*r->profile));
    r->profile->found = true;
    r->full_name = full;
    return 0;
}

static int option_read(struct reader *r, char *text, char *end, struct errmsg *err)
{
    char *sign = strpbrk(text, "=:");
    const char *key;

    if (sign == NULL || sign == text)
        return errmsg_set(err, -EBADMSG, "line %u: neither a [section] nor KEY = VALUE", r->line);
    key = trim(text, sign);
    r->option = true;
    r->key = PROFILE_KEY_COUNT;
    if (!r->ours)
        return 0;
    for (int i = 0; i < PROFILE_KEY_COUNT; i++)
        if (strcasecmp(key, key_names[i]) == 0)
            r->key = (enum profile_key)i;
    if (r->key == PROFILE_KEY_COUNT)
        return 0;
    if (r->profile->value[r->key] != NULL)
        return errmsg_set(err, -EBADMSG, "line %u: %s is repeated, line %u has it already", r->line,
                          key_names[r->key], r->profile->line[r->key]);
    r->profile->value[r->key] = trim(sign + 1, end);
    r->profile->line[r->key] = r->line;
    return 0;
}

static int line_read(struct reader *r, char *line, char *end, struct errmsg *err)
{
    char *text = trim(line, end);
    size_t indent = (size_t)(text - line);

    if (*text == '\0' || *text == '#' || *text == ';')
        return 0;
    if (r->option && indent > r->indent) {
        if (r->ours && r->key != PROFILE_KEY_COUNT)
            return errmsg_set(err, -EBADMSG, "line %u: %s goes on, by its indentation; it must be "
                              "one line", r->line, key_names[r->key]);
        return 0;
    }
    r->indent = indent;
    if (*text == '[' && strchr(text, ']') != NULL)
        return section_begin(r, text, err);
    if (!r->section)
        return errmsg_set(err, -EBADMSG, "line %u: no [section] has begun", r->line);
    return option_read(r, text, text + strlen(text), err);
}

int profile_parse(char *text, size_t len, enum profile_kind kind, const char *name,
                  struct profile *ret_profile, struct errmsg *err)
{
    struct reader r = { .kind = kind, .name = name, .profile = ret_profile, .line = 1 };
    char *end = text + len;

    memset(ret_profile, 0, sizeof(*ret_profile));
    if (memchr(text, '\0', len) != NULL)
        return errmsg_set(err, -EBADMSG, "not a text: it holds a NUL");
    for (char *line = text; line < end; ) {
        char *stop = line + strcspn(line, "\r\n");
        bool newline = *stop == '\n';
        int res = line_read(&r, line, stop, err);

        if (res != 0)
            return res;
        line = stop + 1;
        r.line += newline;
    }
    return 0;
}
