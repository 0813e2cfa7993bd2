/*
 * certificates: an authority and what it issues, as files that a test makes for itself.
 *
 * Owns:   the directory `place`, from certificates_begin() to certificates_end().
 * Thread: the test's.
 */
#ifndef TESTS_SINK_CERTIFICATES_H
#define TESTS_SINK_CERTIFICATES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char place[] = "/tmp/certificates.XXXXXX";
struct issuer {
    X509 *cert;
    EVP_PKEY *key;
};

static inline const char *path_of(const char *name, const char *suffix)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s%s", place, name, suffix);
    return path;
}

static inline void pem_write(const char *name, X509 *cert, EVP_PKEY *key)
{
    FILE *file = fopen(path_of(name, ".pem"), "w");

    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    assert_int_equal(fclose(file), 0);
    file = fopen(path_of(name, ".key"), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(file), 0);
}

static inline void extension_add(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* NAME.pem and NAME.key: of an address, issued by `by`; without one an authority. */
static inline struct issuer certificate_make(const char *name, const char *subject,
                                             const char *address, const struct issuer *by)
{
    static long serial = 1;
    struct issuer made = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *of = made.cert ? X509_get_subject_name(made.cert) : NULL;

    assert_true(of && made.key);
    assert_int_equal(X509_set_version(made.cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(made.cert), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(made.cert), 86400));
    assert_int_equal(X509_NAME_add_entry_by_txt(of, "CN", MBSTRING_ASC, (const uint8_t *)subject,
                                                -1, -1, 0), 1);
    assert_int_equal(X509_set_issuer_name(made.cert, by ? X509_get_subject_name(by->cert) : of),
                     1);
    assert_int_equal(X509_set_pubkey(made.cert, made.key), 1);
    if (by)
        extension_add(made.cert, NID_subject_alt_name, address);
    else
        extension_add(made.cert, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(made.cert, by ? by->key : made.key, EVP_sha256()) > 0);
    pem_write(name, made.cert, made.key);
    return made;
}

static inline void issuer_free(struct issuer made)
{
    X509_free(made.cert);
    EVP_PKEY_free(made.key);
}

static inline int certificates_begin(void)
{
    return mkdtemp(place) ? 0 : -1;
}

static inline int certificates_end(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unlink(path_of(names[i], ".pem"));
        unlink(path_of(names[i], ".key"));
    }
    return rmdir(place);
}

#endif
