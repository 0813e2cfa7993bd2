/*
 * client: the type Client: options, the streams and schemas that were asked for, flush and counts.
 *
 * READ FIRST: flush() waits for all rings, those of other threads and of ended ones too: what the
 * client has written when it is called.
 *
 * Owns:   the client's rings and definitions.
 * Thread: any, with the GIL.
 * Units:  bytes, nanoseconds; positions as in shm_client.h.
 */
#include "module.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { POLL_NS = 1000000, POLL_SLICE_NS = 10000000 };

static PyTypeObject *client_type;
static PyObject *encode_default;

/* ---- definitions ---- */

static void def_fini(struct def *def)
{
    for (unsigned int i = 0; i < def->count; i++)
        PyMem_Free((char *)(uintptr_t)def->fields[i].name);
    PyMem_Free(def->fields);
    Py_XDECREF(def->name);
}

/* Its UTF-8, borrowed, which has to be without a NUL. */
static const char *name_get(PyObject *name, size_t *ret_len)
{
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(name, &len);

    if (text != NULL && strlen(text) != (size_t)len) {
        PyErr_Format(PyExc_ValueError, "%R: a name has no NUL in it", name);
        return NULL;
    }
    *ret_len = (size_t)len;
    return text;
}

static char *name_copy(PyObject *name)
{
    size_t len = 0;
    const char *from = name_get(name, &len);
    char *copy = from != NULL ? PyMem_Malloc(len + 1) : NULL;

    if (copy != NULL)
        memcpy(copy, from, len + 1);
    else if (from != NULL)
        PyErr_NoMemory();
    return copy;
}

/* Where record.c puts the values: cells of 16 bytes, value and then flag or length. */
static int def_fields(struct def *def, PyObject *fields)
{
    Py_ssize_t count = PyTuple_Size(fields);

    def->fields = PyMem_Calloc((size_t)(count > 0 ? count : 1), sizeof(*def->fields));
    if (def->fields == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        struct shmc_field *f = &def->fields[i];
        PyObject *name;
        int type, nullable;

        if (!PyArg_ParseTuple(PyTuple_GetItem(fields, i), "Uip", &name, &type, &nullable))
            return -1;
        f->name = name_copy(name);
        if (f->name == NULL)
            return -1;
        def->count++;
        f->type = (uint8_t)type;
        f->flags = nullable ? SHMC_NULLABLE : 0;
        f->offset = (uint32_t)(i * 16);
        f->extra = f->offset + 8;
        if (type == SHMC_TYPE_STRING || type == SHMC_TYPE_BYTES) {
            f->source = SHMC_FROM_POINTER;
        } else {
            f->source = nullable ? SHMC_FROM_FLAG : SHMC_FROM_VALUE;
            f->extra = nullable ? f->extra : 0;
        }
    }
    return 0;
}

/* Takes what def owns, also when it fails. */
static Py_ssize_t def_add(struct client *c, PyObject *key, struct def def)
{
    struct def *longer = PyMem_Realloc(c->defs, (c->defs_count + 1) * sizeof(*longer));
    PyObject *number = NULL;

    if (longer != NULL) {
        c->defs = longer;
        number = PyLong_FromSize_t(c->defs_count);
    } else {
        PyErr_NoMemory();
    }
    if (number == NULL || PyDict_SetItem(c->numbers, key, number) < 0) {
        Py_XDECREF(number);
        def_fini(&def);
        return -1;
    }
    Py_DECREF(number);
    c->defs[c->defs_count] = def;
    return (Py_ssize_t)c->defs_count++;
}

Py_ssize_t client_def(struct client *c, PyObject *name, PyObject *fields)
{
    PyObject *key = fields != NULL ? PyTuple_Pack(2, name, fields) : Py_NewRef(name);
    PyObject *known = key != NULL ? PyDict_GetItemWithError(c->numbers, key) : NULL;
    struct def def = {NULL, NULL, 0, 0};
    Py_ssize_t index = -1, stream = 0;
    size_t len;
    int rc;

    if (known != NULL) {
        index = PyLong_AsSsize_t(known);
    } else if (key != NULL && !PyErr_Occurred()) {
        def.name = name_get(name, &len) != NULL ? PyUnicode_AsUTF8String(name) : NULL;
        rc = def.name == NULL ? -1 : 0;
        if (rc == 0 && fields != NULL) {
            stream = client_def(c, name, NULL);
            rc = stream < 0 ? -1 : def_fields(&def, fields);
        }
        def.stream = (size_t)stream;
        if (rc == 0)
            index = def_add(c, key, def);
        else
            def_fini(&def);
    }
    Py_XDECREF(key);
    return index;
}

/* ---- making ---- */

static int word_get(const char *what, const char *given, const char *const *words, uint32_t *ret)
{
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(given, words[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "%s='%s': it is one of %s, %s, %s%s%s", what, given, words[0],
                 words[1], words[2] != NULL ? words[2] : "or nothing else",
                 words[2] != NULL && words[3] != NULL ? ", " : "",
                 words[2] != NULL && words[3] != NULL ? words[3] : "");
    return -1;
}

static const char *path_get(PyObject *from, PyObject **ret_owned)
{
    return from == Py_None || !PyUnicode_FSConverter(from, ret_owned)
               ? NULL
               : PyBytes_AsString(*ret_owned);
}

static int options_get(struct client *c, PyObject *args, PyObject *kwargs)
{
    static const char *keys[] = {"name", "shm_dir", "ring_bytes", "full", "wait_timeout", "wake",
                                 "clock", "agent_uid", "encode", NULL};
    static const char *const fulls[] = {"fail", "drop", "wait", NULL};
    static const char *const wakes[] = {"timer", "immediate", NULL};
    static const char *const clocks[] = {"coarse", "none", "tsc", "real", NULL};
    PyObject *name = Py_None, *shm_dir = Py_None, *wait = Py_None, *encode = encode_default;
    const char *full = "wait", *wake = "timer", *clock = "coarse";
    unsigned long long ring_bytes = 0;
    unsigned int agent_uid = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$OKsOssIO", (char **)(uintptr_t)keys, &name,
                                     &shm_dir, &ring_bytes, &full, &wait, &wake, &clock,
                                     &agent_uid, &encode))
        return -1;
    c->options.name = path_get(name, &c->name);
    c->options.shm_dir = path_get(shm_dir, &c->shm_dir);
    if (PyErr_Occurred() || word_get("full", full, fulls, &c->options.full) < 0 ||
        word_get("wake", wake, wakes, &c->options.wake) < 0 ||
        word_get("clock", clock, clocks, &c->options.clock) < 0 ||
        seconds_get(wait, "wait_timeout", &c->wait_ns) < 0)
        return -1;
    if (encode != Py_None && !PyCallable_Check(encode)) {
        PyErr_SetString(PyExc_TypeError, "encode: a function of a dict is wanted");
        return -1;
    }
    c->encode = Py_NewRef(encode != Py_None ? encode : encode_default);
    c->encode_plain = c->encode == encode_default;
    c->options.ring_bytes = ring_bytes;
    c->options.agent_uid = agent_uid;
    /* Waiting is done here, without the GIL: the library itself says that there is no room. */
    if (c->options.full == SHMC_FULL_WAIT)
        c->options.full = SHMC_FULL_FAIL;
    else
        c->wait_ns = 0;
    return 0;
}

static PyObject *client_make(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct client *c = (void *)alloc(type, 0);

    if (c == NULL)
        return NULL;
    c->options = (struct shmc_options)SHMC_OPTIONS_INIT;
    c->numbers = PyDict_New();
    /* A ring at once: who cannot write hears of it here. */
    if (c->numbers == NULL || options_get(c, args, kwargs) < 0 || ring_of(c) == NULL) {
        Py_DECREF(c);
        return NULL;
    }
    return (PyObject *)c;
}

static void client_end(struct client *c)
{
    c->closed = true;
    while (c->rings != NULL)
        ring_retire(c->rings);
}

static int client_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct client *c = (void *)self;

    Py_VISIT(Py_TYPE(self));
    Py_VISIT(c->encode);
    return 0;
}

static int client_clear(PyObject *self)
{
    Py_CLEAR(((struct client *)(void *)self)->encode);
    return 0;
}

static void client_dealloc(PyObject *self)
{
    struct client *c = (void *)self;
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    client_end(c);
    for (size_t i = 0; i < c->defs_count; i++)
        def_fini(&c->defs[i]);
    PyMem_Free(c->defs);
    Py_XDECREF(c->numbers);
    Py_XDECREF(c->name);
    Py_XDECREF(c->shm_dir);
    Py_XDECREF(c->encode);
    release(self);
    Py_DECREF(type);
}

/* ---- flush ---- */

/* Where a ring was when the flush began. */
struct aim {
    uint64_t serial, pos;
    bool done;
};

static struct ring *ring_find(struct client *c, uint64_t serial)
{
    struct ring *r = c->rings;

    while (r != NULL && r->serial != serial)
        r = r->next;
    return r;
}

static uint64_t reached(const struct shmc_stats *stats, enum shmc_pos pos)
{
    return pos == SHMC_ACCEPTED  ? stats->accepted
           : pos == SHMC_DURABLE ? stats->durable
                                 : stats->delivered;
}

/* Asks for it, where its thread is not just asking for something itself. 0, 1: not yet, -errno. */
static int aim_ask(struct ring *r, enum shmc_pos pos, const struct aim *aim)
{
    struct shmc_stats stats = SHMC_STATS_INIT;
    int rc = r->waiting ? -ETIMEDOUT : shmc_flush(r->handle, pos, 0);

    if (rc != -ETIMEDOUT)
        return rc == -ECHILD ? 0 : rc;
    if (shmc_stats(r->handle, &stats) < 0)
        return 0;
    return reached(&stats, pos) - aim->pos > UINT64_MAX / 2;
}

/* All that are not there yet are asked: how many; -1 with an exception. */
static int aims_ask(struct client *c, enum shmc_pos pos, struct aim *aims, size_t count)
{
    int left = 0;

    for (size_t i = 0; i < count; i++) {
        struct ring *r = aims[i].done ? NULL : ring_find(c, aims[i].serial);
        int rc = r != NULL ? aim_ask(r, pos, &aims[i]) : 0;

        if (rc < 0)
            return ring_failed(r, rc);
        aims[i].done = rc == 0;
        left += rc;
    }
    return left;
}

static void poll_sleep(uint64_t ns)
{
    struct timespec time = {0, (long)(ns < POLL_NS ? ns : POLL_NS)};

    Py_BEGIN_ALLOW_THREADS
    (void)nanosleep(&time, NULL);
    Py_END_ALLOW_THREADS
}

/* Of the rings that are awaited: this thread's if it is one of them, and the agent wakes us. */
static struct ring *aim_own(struct client *c, const struct aim *aims, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct ring *r = aims[i].done ? NULL : ring_find(c, aims[i].serial);

        if (r != NULL && r->thread != NULL && !r->waiting && r == ring_of(c))
            return r;
    }
    return NULL;
}

/* Until all aims are reached: 0, or -1 with an exception. */
static int aims_wait(struct client *c, enum shmc_pos pos, struct aim *aims, size_t count,
                     uint64_t timeout_ns)
{
    uint64_t start = ring_clock_ns(), now = start;

    for (;;) {
        int left = aims_ask(c, pos, aims, count), rc = 0;
        uint64_t ns = timeout_ns - (now - start);
        struct ring *own;

        if (left <= 0)
            return left;
        if (now - start >= timeout_ns)
            return error_set(-ETIMEDOUT, "flush: not all of it is there yet");
        own = aim_own(c, aims, count);
        if (own == NULL)
            poll_sleep(ns);
        else
            rc = ring_sleep(own, pos, left == 1 || ns < POLL_SLICE_NS ? ns : POLL_SLICE_NS);
        if (rc == -EBADF || c->closed)
            return error_closed();
        if (rc < 0 && rc != -ETIMEDOUT && rc != -ECHILD)
            return ring_failed(own, rc);
        if (PyErr_CheckSignals() < 0)
            return -1;
        now = ring_clock_ns();
    }
}

static PyObject *client_flush(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const char *keys[] = {"position", "timeout", NULL};
    static const char *const positions[] = {"accepted", "durable", "delivered", NULL};
    struct client *c = (void *)self;
    PyObject *timeout = Py_None;
    const char *position = "accepted";
    uint64_t timeout_ns;
    uint32_t pos;
    size_t count = 0;
    struct aim *aims;
    int rc;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|sO", (char **)(uintptr_t)keys, &position,
                                     &timeout) ||
        word_get("position", position, positions, &pos) < 0 ||
        seconds_get(timeout, "timeout", &timeout_ns) < 0)
        return NULL;
    if (c->closed) {
        (void)error_closed();
        return NULL;
    }
    for (struct ring *r = c->rings; r != NULL; r = r->next)
        count++;
    aims = PyMem_Calloc(count + 1, sizeof(*aims));
    if (aims == NULL)
        return PyErr_NoMemory();
    count = 0;
    for (struct ring *r = c->rings; r != NULL; r = r->next) {
        struct shmc_stats stats = SHMC_STATS_INIT;

        if (shmc_stats(r->handle, &stats) == 0)
            aims[count++] = (struct aim){r->serial, stats.committed, false};
    }
    rc = aims_wait(c, (enum shmc_pos)pos, aims, count, timeout_ns);
    PyMem_Free(aims);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- the other methods ---- */

static PyObject *client_stats(PyObject *self, PyObject *ignored)
{
    struct client *c = (void *)self;
    uint64_t events = c->events, bytes = c->bytes, dropped = c->dropped, pending = 0, rings = 0;

    (void)ignored;
    for (struct ring *r = c->rings; r != NULL; r = r->next) {
        struct shmc_stats stats = SHMC_STATS_INIT;

        if (shmc_stats(r->handle, &stats) < 0)
            continue;
        rings++;
        events += stats.events;
        bytes += stats.bytes;
        dropped += stats.drops_full;
        pending += stats.committed - stats.accepted;
    }
    return Py_BuildValue("{sKsKsKsKsK}", "events", events, "bytes", bytes, "dropped", dropped,
                         "rings", rings, "pending_bytes", pending);
}

static PyObject *client_stream(PyObject *self, PyObject *name)
{
    return stream_new((struct client *)(void *)self, name);
}

static PyObject *client_close(PyObject *self, PyObject *ignored)
{
    (void)ignored;
    client_end((struct client *)(void *)self);
    Py_RETURN_NONE;
}

static PyObject *client_enter(PyObject *self, PyObject *ignored)
{
    (void)ignored;
    return Py_NewRef(self);
}

static PyObject *client_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return client_close(self, NULL);
}

static PyMethodDef client_methods[] = {
    {"stream", client_stream, METH_O, "stream(name): what write() writes to."},
    {"flush", (PyCFunction)(void (*)(void))client_flush, METH_VARARGS | METH_KEYWORDS,
     "flush(position='accepted', timeout=None)\n\n"
     "Waits until all that was written before is accepted (taken into the agent's log), durable\n"
     "(that log is synced) or delivered (every sink has confirmed)."},
    {"stats", client_stats, METH_NOARGS,
     "Counts: events, bytes, dropped, and of the rings that are open: rings, pending_bytes."},
    {"close", client_close, METH_NOARGS,
     "Lets go of the rings. What is in them stays for the agent."},
    {"__enter__", client_enter, METH_NOARGS, NULL},
    {"__exit__", client_exit, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static const char client_doc[] =
    "Client(name=None, *, shm_dir=None, ring_bytes=0, full='wait', wait_timeout=None,\n"
    "       wake='timer', clock='coarse', agent_uid=0, encode=None)\n\n"
    "Writes events into rings in shared memory, one for each thread that writes.\n\n"
    "full: what a write does when the ring is full: 'wait' (at most wait_timeout seconds), 'drop'\n"
    "(counted in stats()) or 'fail' (hydrant.Full). encode: what makes JSON of a dict.";

int client_module_init(PyObject *module)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, (void *)(uintptr_t)client_doc},
        {Py_tp_new, (void *)client_make},
        {Py_tp_dealloc, (void *)client_dealloc},
        {Py_tp_traverse, (void *)client_traverse},
        {Py_tp_clear, (void *)client_clear},
        {Py_tp_methods, client_methods},
        {0, NULL},
    };
    static PyType_Spec spec = {"hydrant.Client", sizeof(struct client), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, slots};

    encode_default = function_get("hydrant._json", "encode");
    if (encode_default == NULL)
        return -1;
    client_type = type_add(module, &spec, "Client");
    return client_type == NULL ? -1 : 0;
}
