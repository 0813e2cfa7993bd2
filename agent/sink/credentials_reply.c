/*
 * credentials_reply: keys out of replies.
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/credentials_reply.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/secret.h"
#include "sink/xml.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define STS_KEYS "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/"

#define TIME_MAX_S 16725225600  /* the year 2500: what comes later is never */

enum { CODE_BYTES = 65, TIME_BYTES = 64 };

/*
 * jansson keeps its functions in globals that no lock protects. So they are set before main(), and
 * all JSON of the program is wiped when it is freed; that of the control plane is small.
 */
__attribute__((constructor)) static void json_wipes(void)
{
    json_set_alloc_funcs(malloc, secret_free);
}

/* Copies what is made of visible ASCII (secret keys: of anything but control characters) only. */
static int copy(char *to, size_t bytes, const char *from, bool spaces, const char *what,
                struct errmsg *err)
{
    size_t len = strlen(from);

    if (len >= bytes)
        return errmsg_set(err, -EINVAL, "the %s is longer than %zu characters", what, bytes - 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];

        if (c < (spaces ? 0x20 : 0x21) || c == 0x7f || (c > 0x7f && !spaces))
            return errmsg_set(err, -EINVAL,
                              "character %zu of the %s is a space, a line end or the like", i + 1,
                              what);
    }
    memmove(to, from, len + 1); /* it may be there already */
    return 0;
}

int credentials_set_fill(struct credentials_set *set, const char *access_key,
                         const char *secret_key, const char *session_token, struct errmsg *err)
{
    int res = 0;

    set->expires_utc_ns = 0;
    if (access_key[0] == '\0' || secret_key[0] == '\0')
        res = errmsg_set(err, -EINVAL, "the %s key is empty",
                         access_key[0] == '\0' ? "access" : "secret");
    if (res == 0)
        res = copy(set->access_key, sizeof(set->access_key), access_key, false, "access key", err);
    if (res == 0)
        res = copy(set->secret_key, sizeof(set->secret_key), secret_key, true, "secret key", err);
    if (res == 0)
        res = copy(set->session_token, sizeof(set->session_token),
                   session_token != NULL ? session_token : "", false, "session token", err);
    if (res != 0)
        OPENSSL_cleanse(set, sizeof(*set));
    return res;
}

/* Digits of a fixed number at *at, which moves behind them and a character that must follow. */
static bool number(const char **at, int digits, char behind, int *ret)
{
    *ret = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *ret = *ret * 10 + (**at - '0');
    }
    if (behind != '\0' && *(*at)++ != behind)
        return false;
    return true;
}

/* What is behind the seconds: a fraction, then "Z" or a distance to UTC. */
static bool zone(const char *at, int *ret_seconds)
{
    int hours = 0, minutes = 0;
    char sign;

    if (*at == '.') {
        if (at[1] < '0' || at[1] > '9')
            return false;
        at++;
        at += strspn(at, "0123456789");
    }
    sign = *at++;
    *ret_seconds = 0;
    if (sign == 'Z')
        return *at == '\0';
    if ((sign != '+' && sign != '-') || !number(&at, 2, ':', &hours) ||
        !number(&at, 2, '\0', &minutes) || *at != '\0' || hours > 23 || minutes > 59)
        return false;
    *ret_seconds = (sign == '+' ? 1 : -1) * (hours * 60 + minutes) * 60;
    return true;
}

int credentials_parse_time(const char *text, uint64_t *ret_utc_ns)
{
    struct tm tm = { 0 }, wanted;
    int offset;
    time_t at;

    if (!number(&text, 4, '-', &tm.tm_year) || !number(&text, 2, '-', &tm.tm_mon) ||
        !number(&text, 2, 'T', &tm.tm_mday) || !number(&text, 2, ':', &tm.tm_hour) ||
        !number(&text, 2, ':', &tm.tm_min) || !number(&text, 2, '\0', &tm.tm_sec) ||
        !zone(text, &offset) || tm.tm_year < 1971)
        return -EBADMSG;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    wanted = tm;
    at = timegm(&tm);           /* puts right what is no date: then it is another one */
    if (tm.tm_mon != wanted.tm_mon || tm.tm_mday != wanted.tm_mday ||
        tm.tm_hour != wanted.tm_hour || tm.tm_min != wanted.tm_min)
        return -EBADMSG;
    at -= offset;
    *ret_utc_ns = (uint64_t)(at < TIME_MAX_S ? at : TIME_MAX_S) * 1000000000ULL;
    return 0;
}

/* The reply's texts as a set. */
static int fill(struct credentials_set *set, const char *access_key, const char *secret_key,
                const char *session_token, const char *expiration, struct errmsg *err)
{
    uint64_t expires_utc_ns = 0;

    if (credentials_set_fill(set, access_key, secret_key, session_token, err) != 0)
        return -EBADMSG;
    if (expiration[0] != '\0' && credentials_parse_time(expiration, &expires_utc_ns) != 0) {
        OPENSSL_cleanse(set, sizeof(*set));
        return errmsg_set(err, -EBADMSG, "Expiration is no time");
    }
    set->expires_utc_ns = expires_utc_ns;
    return 0;
}

/* A code of errors, by its characters; the tokens that services are sent are longer. */
static bool is_code(const char *text)
{
    size_t len = strspn(text, ALNUM "._-");

    return len > 0 && len < CODE_BYTES && text[len] == '\0';
}

static const char *string_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

int credentials_parse_json(const char *body, size_t len, struct credentials_set *set,
                           struct errmsg *err)
{
    json_t *object = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const char *code;
    int res;

    OPENSSL_cleanse(set, sizeof(*set));
    if (!json_is_object(object)) {
        json_decref(object);
        return errmsg_set(err, -EBADMSG, "the reply is no JSON object");
    }
    code = json_object_get(object, "Code") != NULL ? string_of(object, "Code") : "Success";
    if (strcmp(code, "Success") != 0)
        res = errmsg_set(err, -EBADMSG, "the reply says %s", is_code(code) ? code : "no success");
    else
        res = fill(set, string_of(object, "AccessKeyId"), string_of(object, "SecretAccessKey"),
                   string_of(object, "Token"), string_of(object, "Expiration"), err);
    json_decref(object);
    return res;
}

int credentials_parse_sts(const char *body, size_t len, struct credentials_set *set,
                          struct errmsg *err)
{
    char expiration[TIME_BYTES];
    struct xml_field fields[] = {
        { .path = STS_KEYS "AccessKeyId", .ret = set->access_key,
          .cap = sizeof(set->access_key) },
        { .path = STS_KEYS "SecretAccessKey", .ret = set->secret_key,
          .cap = sizeof(set->secret_key) },
        { .path = STS_KEYS "SessionToken", .ret = set->session_token,
          .cap = sizeof(set->session_token) },
        { .path = STS_KEYS "Expiration", .ret = expiration, .cap = sizeof(expiration) },
    };
    int res = xml_read(body, len, fields, sizeof(fields) / sizeof(fields[0]), NULL, NULL, NULL);

    if (res == -ENOMEM)
        (void)errmsg_set(err, res, "out of memory");
    else if (res != 0)
        (void)errmsg_set(err, res, "the reply is no XML, or holds what is too long");
    else if (!(fields[2].found && fields[3].found))
        res = errmsg_set(err, -EBADMSG, "the reply has no SessionToken or no Expiration");
    if (res == 0)       /* the texts are in their places: this judges them */
        res = fill(set, set->access_key, set->secret_key, set->session_token, expiration, err);
    if (res != 0)
        OPENSSL_cleanse(set, sizeof(*set));
    return res;
}

void credentials_parse_sts_code(const char *body, size_t len, char ret_code[static 65])
{
    struct xml_field code = { .path = "ErrorResponse/Error/Code", .ret = ret_code,
                              .cap = CODE_BYTES };

    if (xml_read(body, len, &code, 1, NULL, NULL, NULL) != 0 || !is_code(ret_code))
        ret_code[0] = '\0';
}

/* The text without white space at its end, if it has none but these characters and is not empty. */
static int line_of(const char *body, size_t len, const char *allowed, char *ret, size_t ret_bytes)
{
    while (len > 0 && strchr(" \t\r\n", body[len - 1]) != NULL && body[len - 1] != '\0')
        len--;
    if (len == 0 || len >= ret_bytes)
        return -EBADMSG;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)body[i];

        if (allowed != NULL ? c == '\0' || strchr(allowed, c) == NULL : c <= 0x20 || c >= 0x7f)
            return -EBADMSG;
    }
    memcpy(ret, body, len);
    ret[len] = '\0';
    return 0;
}

int credentials_parse_region(const char *body, size_t len, char ret[static CREDENTIALS_NAME_BYTES])
{
    return line_of(body, len, ALNUM "-_", ret, 64); /* as much as a host's label takes */
}

int credentials_parse_role(const char *body, size_t len, char ret[static CREDENTIALS_NAME_BYTES])
{
    return line_of(body, len, ALNUM "+=,.@_-", ret, CREDENTIALS_NAME_BYTES);
}

int credentials_parse_token(const char *body, size_t len, char *ret, size_t ret_bytes)
{
    return line_of(body, len, NULL, ret, ret_bytes);
}
