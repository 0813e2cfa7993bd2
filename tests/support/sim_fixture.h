/*
 * sim_fixture: what the simulator's own tests share: a fresh host for each, files of known bytes.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#ifndef SUPPORT_SIM_FIXTURE_H
#define SUPPORT_SIM_FIXTURE_H

#include "io/loop_contract.h"
#include "support/sim.h"

enum { SEEDS = 300, BLOCKS = 8, BLOCK = FILE_BLOCK_BYTES };

static uint8_t block_of[256][BLOCK];    /* block_of[c] is a block full of c, see blocks_fill() */

static inline int host_setup(void **state)
{
    (void)state;
    sim_reset(1);
    contract_root = "/data";
    contract_root_tmpfs = false;
    contract_other = "/shm";
    return sim_mkdir("/data");
}

/* A reset frees the host before; the leak checker sees to it that nothing is left. */
static inline int host_teardown(void **state)
{
    (void)state;
    print_message("             last seed %llu\n", (unsigned long long)sim_seed());
    sim_reset(0);
    return 0;
}

static inline void new_host(uint64_t seed)
{
    sim_reset(seed);
    assert_int_equal(sim_mkdir("/data"), 0);
}

/* How many of the file's bytes are c, of its size; the size may be wanted too. */
static inline size_t count_bytes(const char *path, char c, size_t *ret_len)
{
    uint8_t *data;
    size_t len, count = 0;

    assert_int_equal(sim_read_file(path, &data, &len), 0);
    for (size_t i = 0; i < len; i++)
        count += data[i] == (uint8_t)c;
    free(data);
    if (ret_len != NULL)
        *ret_len = len;
    return count;
}

static inline int locked_file(void)
{
    int fd = file_open(FILE_CWD, "/data/a", O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    return fd;
}

static inline void blocks_fill(void)
{
    for (int c = 0; c < 256; c++)
        memset(block_of[c], c, BLOCK);
}

#define HOST(test) cmocka_unit_test_setup_teardown(test, host_setup, host_teardown)

#endif
