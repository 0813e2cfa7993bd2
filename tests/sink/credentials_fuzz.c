/*
 * credentials_fuzz: any bytes as a shared file, a reply, a token or a URL: no crash, what is taken
 * can be sent, and nothing is left of what is not.
 *
 * Input: a byte that chooses the reader, then its bytes.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "sink/credentials_ask.h"
#include "sink/credentials_file.h"
#include "sink/credentials_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct credentials_set set;
static struct credentials_ask ask;
static struct errmsg err;

/* Visible ASCII: such a text can stand in a header. */
static bool visible(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= 0x20 || *text >= 0x7f)
            return false;
    return true;
}

static void check_set(int res)
{
    static const struct credentials_set none;

    INVARIANT(res == 0 || res == -EBADMSG);
    if (res != 0) {
        INVARIANT(memcmp(&set, &none, sizeof(set)) == 0);
        return;
    }
    INVARIANT(set.access_key[0] != '\0' && strlen(set.access_key) < sizeof(set.access_key));
    INVARIANT(set.secret_key[0] != '\0' && strlen(set.secret_key) < sizeof(set.secret_key));
    INVARIANT(strlen(set.session_token) < sizeof(set.session_token));
    INVARIANT(visible(set.access_key) && visible(set.session_token));
}

/* A copy with a NUL, whose end is watched. */
static char *text_of(const char *body, size_t len)
{
    char *text = malloc(len + 1);

    INVARIANT(text != NULL);
    memcpy(text, body, len);
    text[len] = '\0';
    return text;
}

static void try_profile(const char *body, size_t len, enum profile_kind kind, const char *name)
{
    char *text = text_of(body, len);
    struct profile profile;
    int res;

    res = profile_parse(text, len, kind, name, &profile, &err);
    INVARIANT(res == 0 || res == -EBADMSG);
    for (int i = 0; res == 0 && i < PROFILE_KEY_COUNT; i++)
        if (profile.value[i] != NULL)
            INVARIANT(profile.found && profile.value[i] >= text &&
                      profile.value[i] + strlen(profile.value[i]) <= text + len &&
                      profile.value[i][strcspn(profile.value[i], "\r\n")] == '\0');
    free(text);
}

static void try_names(const char *body, size_t len)
{
    char name[CREDENTIALS_NAME_BYTES], code[65];

    if (credentials_parse_region(body, len, name) == 0)
        INVARIANT(name[0] != '\0' && strpbrk(name, "./@:?#%\\") == NULL && visible(name));
    if (credentials_parse_role(body, len, name) == 0)
        INVARIANT(name[0] != '\0' && strpbrk(name, "/:?#%\\") == NULL && visible(name));
    if (credentials_parse_token(body, len, name, sizeof(name)) == 0)
        INVARIANT(name[0] != '\0' && visible(name));
    credentials_parse_sts_code(body, len, code);
    INVARIANT(strlen(code) < sizeof(code) && visible(code));
}

static void try_texts(const char *text)
{
    uint64_t utc_ns;

    if (credentials_parse_time(text, &utc_ns) == 0)
        INVARIANT(utc_ns >= 31449600000000000ULL); /* of 1971 at the earliest, a zone aside */
    if (credentials_ask_container(&ask, NULL, text, NULL, &err) == 0)
        INVARIANT(strcmp(ask.request.url, text) == 0 && visible(text) &&
                  strcspn(text, "@") >= strcspn(text + 8, "/?"));
    if (credentials_ask_container(&ask, text, NULL, text, &err) == 0)
        INVARIANT(strncmp(ask.request.url, "http://169.254.170.2/", 21) == 0);
    if (credentials_ask_metadata(&ask, text, "/x", text, text, &err) == 0)
        INVARIANT(visible(ask.request.url));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *body = (const char *)data + 1;
    char *text;

    if (len == 0 || len > 65536)
        return 0;
    len--;
    switch (data[0] % 6) {
    case 0:
        try_profile(body, len, PROFILE_OF_CREDENTIALS, "default");
        break;
    case 1:
        try_profile(body, len, PROFILE_OF_CONFIG, "default");
        try_profile(body, len, PROFILE_OF_CONFIG, "my name");
        break;
    case 2:
        check_set(credentials_parse_json(body, len, &set, &err));
        break;
    case 3:
        check_set(credentials_parse_sts(body, len, &set, &err));
        break;
    case 4:
        try_names(body, len);
        break;
    default:
        text = text_of(body, len);
        try_texts(text);
        free(text);
    }
    return 0;
}
