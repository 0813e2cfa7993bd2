/*
 * capture: runs a command within the test, with its input and output as texts.
 */
#ifndef TESTS_CLI_CAPTURE_H
#define TESTS_CLI_CAPTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CAPTURE_MAX = 1 << 20, CAPTURE_ARGS_MAX = 16 };

struct capture {
    int code;
    char out[CAPTURE_MAX], err[CAPTURE_MAX];
};

typedef int (*command_fn)(int argc, char **argv);

static inline int capture_redirect(int fd, int *ret_saved)
{
    int memory = memfd_create("capture", MFD_CLOEXEC);

    assert_true(memory >= 0);
    *ret_saved = dup(fd);
    assert_true(*ret_saved >= 0);
    assert_int_equal(dup2(memory, fd), fd);
    return memory;
}

static inline void capture_restore(int fd, int saved, int memory, char ret_text[CAPTURE_MAX])
{
    ssize_t n;

    assert_int_equal(dup2(saved, fd), fd);
    (void)close(saved);
    if (ret_text != NULL) {
        n = pread(memory, ret_text, CAPTURE_MAX - 1, 0);
        assert_true(n >= 0);
        ret_text[n] = '\0';
    }
    (void)close(memory);
}

/* line: the arguments, separated by single spaces; the first is the command's name. */
static inline void capture_run(struct capture *c, command_fn fn, const void *input,
                               size_t input_len, const char *line)
{
    char words[1024];
    char *argv[CAPTURE_ARGS_MAX + 1];
    int argc = 0;
    int saved[3], memory[3];
    char *save = NULL;

    assert_true(strlen(line) < sizeof(words));
    memcpy(words, line, strlen(line) + 1);
    for (char *w = strtok_r(words, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        assert_true(argc < CAPTURE_ARGS_MAX);
        argv[argc++] = w;
    }
    argv[argc] = NULL;

    (void)fflush(stdout);
    (void)fflush(stderr);
    for (int fd = 0; fd < 3; fd++)
        memory[fd] = capture_redirect(fd, &saved[fd]);
    assert_int_equal(write(memory[0], input, input_len), (ssize_t)input_len);
    assert_int_equal(lseek(memory[0], 0, SEEK_SET), 0);
    c->code = fn(argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    capture_restore(0, saved[0], memory[0], NULL);
    capture_restore(1, saved[1], memory[1], c->out);
    capture_restore(2, saved[2], memory[2], c->err);
}

/* Runs it and expects an exit code and a text on stdout and stderr ("": whatever). */
static inline void capture_expect(struct capture *c, command_fn fn, const char *line, int code,
                                  const char *out, const char *err)
{
    capture_run(c, fn, "", 0, line);
    if (c->code != code || strstr(c->out, out) == NULL || strstr(c->err, err) == NULL)
        fail_msg("%s: code %d\nstdout: %s\nstderr: %s", line, c->code, c->out, c->err);
}

#endif
