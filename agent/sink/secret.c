/*
 * secret: memory for keys and tokens.
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/secret.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *secret_map(size_t len)
{
    void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    /* Of these only the first can be refused, by RLIMIT_MEMLOCK: then it may be swapped. */
    (void)mlock2(at, len, MLOCK_ONFAULT);
    (void)madvise(at, len, MADV_DONTDUMP);
    return at;
}

void secret_unmap(void *at, size_t len)
{
    if (at == NULL)
        return;
    OPENSSL_cleanse(at, len);
    (void)munmap(at, len);
}

void *secret_realloc(void *at, size_t len)
{
    size_t had = at != NULL ? malloc_usable_size(at) : 0;
    void *to = malloc(len);

    if (to == NULL)
        return NULL;
    if (had > 0)
        memcpy(to, at, had < len ? had : len);
    secret_free(at);
    return to;
}

void secret_free(void *at)
{
    if (at == NULL)
        return;
    OPENSSL_cleanse(at, malloc_usable_size(at));
    free(at);
}
