/*
 * module: what the files of the Python extension share.
 *
 * The stable ABI of Python 3.11: one build serves it and all that follow. Everything here runs with
 * the GIL held, which is what protects all lists; it is let go of only to wait for the agent.
 */
#ifndef HYDRANT_PYTHON_MODULE_H
#define HYDRANT_PYTHON_MODULE_H

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030b0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm_client.h"

/* ---- what is declared in each ring before its first use: a stream, or a schema of one ---- */

struct def {
    PyObject *name;            /* owned: of the stream, as bytes */
    struct shmc_field *fields; /* owned with their names; NULL: the stream itself */
    unsigned int count;
    size_t stream;             /* of a schema: index of its stream */
};

/* ---- client.c ---- */

/*
 * A program's opening of a shm_dir. Each thread writes by a ring of its own; one whose thread has
 * ended is kept, and given to the next thread that needs one.
 */
struct client {
    PyObject_HEAD
    struct shmc_options options; /* its strings are in name and shm_dir */
    PyObject *name, *shm_dir;    /* owned, bytes or NULL */
    PyObject *encode;            /* owned: a dict as str or bytes of JSON */
    bool encode_plain;           /* json.c may do it for dicts that are plain */
    PyObject *numbers;           /* owned: of streams and schemas by what they are */
    struct def *defs;            /* owned */
    size_t defs_count;
    struct ring *rings;          /* owned */
    uint64_t wait_ns;            /* for a full ring; UINT64_MAX: for ever, 0: not at all */
    uint64_t events, bytes, dropped; /* of rings that are gone */
    bool closed;
};

int client_module_init(PyObject *module);
/* The index of a stream, or schema: fields are a tuple of (name, type, nullable). -1: exception. */
Py_ssize_t client_def(struct client *c, PyObject *name, PyObject *fields);

/* ---- ring.c ---- */

struct ring {
    struct shmc *handle;         /* owned */
    struct client *client;       /* borrowed; NULL: let go of while its thread waited */
    struct thread *thread;       /* borrowed; NULL: of none, free for the next */
    struct ring *next, *next_in_thread;
    uint64_t serial;             /* of all rings of the process */
    uint16_t *numbers;           /* owned: by index of the definition; 0: not declared here */
    size_t numbers_count;
    bool waiting;                /* its thread is in a call without the GIL */
};

/* This thread's; opens one, or takes one that is free. NULL: an exception is set. */
struct ring *ring_of(struct client *c);
/* The number of a definition in a ring: 0 or -errno. */
int ring_number(struct ring *r, size_t def, uint16_t *ret_number);
/* The same now, in this thread's ring: what is wrong with it is told here; -1 with an exception. */
int ring_declare(struct client *c, size_t def);
/* Takes it out of its lists and closes it, once its thread does not wait any more. */
void ring_retire(struct ring *r);

/* What one call has waited for a full ring so far. */
struct ring_wait {
    uint64_t until_ns; /* 0: not begun */
};

/*
 * After a call on the ring has failed with rc: 0 when it is to be tried again, with the ring that
 * ring_of() then gives; -1 with an exception.
 */
int ring_again(struct ring *r, int rc, struct ring_wait *wait);

/* Sets the exception of a ring that failed, and lets go of one that is of no use any more; -1. */
int ring_failed(struct ring *r, int rc);

/* Sleeps without the GIL until the ring is at that position, for so long at most: 0 or -errno. */
int ring_sleep(struct ring *r, enum shmc_pos pos, uint64_t ns);
uint64_t ring_clock_ns(void);

/* ---- writer.c ---- */

/* What writes by a client: a stream; a record type begins with one. */
struct writer {
    PyObject_HEAD
    struct client *client; /* owned */
    PyObject *label;       /* owned: a stream's name, a record type's fields */
    size_t def;
};

/* Puts a type of writers into the module, "hydrant.NAME"; NULL: an exception is set. */
PyTypeObject *writer_type_add(PyObject *module, const char *name, int size, const char *doc,
                              PyMethodDef *methods, PyGetSetDef *getset);
/* Declares the definition in this thread's ring first. NULL: an exception is set. */
PyObject *writer_new(PyTypeObject *type, struct client *c, PyObject *label, size_t def);
/* A getter. */
PyObject *writer_label(PyObject *self, void *ignored);

/* ---- stream.c, record.c ---- */

int stream_module_init(PyObject *module);
PyObject *stream_new(struct client *c, PyObject *name);

int record_module_init(PyObject *module);
PyObject *record_type_new(struct writer *stream, PyObject *schema);

/* ---- json.c ---- */

struct json_text {
    char *at;   /* few, or owned */
    size_t len, cap;
    char few[1000];
};

/* False: it is not plain, or there is no memory. The text is to be ended in any case. */
bool json_encode(PyObject *dict, struct json_text *ret_text);
void json_text_fini(struct json_text *t);

/* ---- module.c ---- */

/* Sets hydrant.Error, or Full, with that text and what to do about it; returns -1. */
int error_set(int rc, const char *text);
int error_closed(void);
/* A type made of its spec, put into the module; NULL: an exception is set. */
PyTypeObject *type_add(PyObject *module, PyType_Spec *spec, const char *name);
/* A function of a module in Python; NULL: an exception is set. */
PyObject *function_get(const char *module, const char *name);
/* time_ns of a call: 0 and whether there is one; -1 with an exception. */
int time_get(PyObject *value, bool *ret_given, uint64_t *ret_ns);
/* Seconds as nanoseconds; None: UINT64_MAX. -1 with an exception. */
int seconds_get(PyObject *value, const char *what, uint64_t *ret_ns);

#endif
