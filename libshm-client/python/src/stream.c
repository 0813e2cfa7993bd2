/*
 * stream: the type Stream, whose write() is what programs call.
 *
 * READ FIRST: stream_write() finds out what the event is, event_write() puts it into the ring.
 *
 * Owns:   nothing.
 * Thread: any, with the GIL.
 */
#include "module.h"

static PyTypeObject *stream_type;
static PyObject *kind_key, *time_key;

/* ---- an event ---- */

struct event {
    uint8_t kind;
    bool at;            /* time_ns is given */
    uint64_t time_ns;
    const char *data;
    Py_ssize_t len;
};

/* Nothing of Python runs between ring_of() and the write, so the ring is still this thread's. */
static PyObject *event_write(struct stream *s, const struct event *e)
{
    struct ring_wait wait = {0};

    for (;;) {
        struct ring *r = ring_of(s->client);
        uint16_t number;
        int rc;

        if (r == NULL)
            return NULL;
        rc = ring_number(r, s->def, &number);
        if (rc == 0)
            rc = e->at ? shmc_write_at(r->handle, number, e->kind, e->time_ns, e->data,
                                       (size_t)e->len)
                       : shmc_write(r->handle, number, e->kind, e->data, (size_t)e->len);
        if (rc == 0)
            Py_RETURN_NONE;
        if (ring_again(r, rc, &wait) < 0)
            return NULL;
    }
}

static PyObject *text_write(struct stream *s, PyObject *text, struct event *e)
{
    e->data = PyUnicode_AsUTF8AndSize(text, &e->len);
    return e->data != NULL ? event_write(s, e) : NULL;
}

static PyObject *bytes_write(struct stream *s, PyObject *bytes, struct event *e)
{
    PyObject *written;
    Py_buffer view;

    if (PyBytes_Check(bytes)) {
        e->data = PyBytes_AsString(bytes);
        e->len = PyBytes_Size(bytes);
        return event_write(s, e);
    }
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    e->data = view.buf;
    e->len = view.len;
    written = event_write(s, e);
    PyBuffer_Release(&view);
    return written;
}

static PyObject *encoded_write(struct stream *s, PyObject *dict, struct event *e)
{
    PyObject *json = PyObject_CallFunctionObjArgs(s->client->encode, dict, NULL);
    PyObject *written = NULL;

    if (json == NULL)
        return NULL;
    if (PyUnicode_Check(json))
        written = text_write(s, json, e);
    else if (PyBytes_Check(json))
        written = bytes_write(s, json, e);
    else
        PyErr_SetString(PyExc_TypeError, "encode: it has to return str or bytes");
    Py_DECREF(json);
    return written;
}

static PyObject *dict_write(struct stream *s, PyObject *dict, struct event *e)
{
    PyObject *written = NULL;
    struct json_text text;
    bool plain;

    if (!s->client->encode_plain)
        return encoded_write(s, dict, e);
    plain = json_encode(dict, &text);
    if (plain) {
        e->data = text.at;
        e->len = (Py_ssize_t)text.len;
        written = event_write(s, e);
    }
    json_text_fini(&text);
    return plain ? written : encoded_write(s, dict, e);
}

/* ---- arguments ---- */

static int kind_get(PyObject *value, uint8_t *ret_kind)
{
    static const char *const kinds[] = {[SHMC_JSON] = "json", [SHMC_TEXT] = "text",
                                        [SHMC_BYTES] = "bytes"};

    if (value == Py_None)
        return 0;
    for (uint8_t i = SHMC_JSON; PyUnicode_Check(value) && i <= SHMC_BYTES; i++) {
        if (PyUnicode_CompareWithASCIIString(value, kinds[i]) == 0) {
            *ret_kind = i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "kind=%R: it is one of 'json', 'text', 'bytes'", value);
    return -1;
}

static int write_options(PyObject *const *args, Py_ssize_t nargs, PyObject *names, struct event *e)
{
    Py_ssize_t count = names != NULL ? PyTuple_Size(names) : 0;

    if (nargs < 1 || nargs > 2) {
        PyErr_SetString(PyExc_TypeError, "write(event, kind=None, *, time_ns=None)");
        return -1;
    }
    if (nargs == 2 && kind_get(args[1], &e->kind) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GetItem(names, i), *value = args[nargs + i];
        int rc;

        if (PyUnicode_Compare(name, kind_key) == 0 && nargs == 1) {
            rc = kind_get(value, &e->kind);
        } else if (PyUnicode_Compare(name, time_key) == 0) {
            rc = time_get(value, &e->at, &e->time_ns);
        } else {
            PyErr_Format(PyExc_TypeError, "write(): '%U' is not wanted, or there twice", name);
            rc = -1;
        }
        if (rc < 0)
            return -1;
    }
    return 0;
}

static PyObject *stream_write(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *names)
{
    struct stream *s = (void *)self;
    struct event e = {0};

    if ((nargs != 1 || names != NULL) && write_options(args, nargs, names, &e) < 0)
        return NULL;
    if (PyDict_Check(args[0])) {
        if (e.kind != 0 && e.kind != SHMC_JSON) {
            PyErr_SetString(PyExc_TypeError, "write(): a dict is of kind 'json'");
            return NULL;
        }
        e.kind = SHMC_JSON;
        return dict_write(s, args[0], &e);
    }
    if (PyUnicode_Check(args[0])) {
        if (e.kind == 0)
            e.kind = SHMC_TEXT;
        return text_write(s, args[0], &e);
    }
    if (e.kind == 0)
        e.kind = SHMC_BYTES;
    return bytes_write(s, args[0], &e);
}

/* ---- the type ---- */

PyObject *stream_new(struct client *c, PyObject *name)
{
    struct stream *s;
    Py_ssize_t def;

    if (!PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "stream(): the name is a str");
        return NULL;
    }
    def = client_def(c, name, NULL);
    if (def < 0 || ring_declare(c, (size_t)def) < 0)
        return NULL;
    s = (void *)((allocfunc)PyType_GetSlot(stream_type, Py_tp_alloc))(stream_type, 0);
    if (s == NULL)
        return NULL;
    s->client = (struct client *)(void *)Py_NewRef((PyObject *)c);
    s->name = Py_NewRef(name);
    s->def = (size_t)def;
    return (PyObject *)s;
}

static PyObject *stream_record_type(PyObject *self, PyObject *schema)
{
    return record_type_new((struct stream *)(void *)self, schema);
}

static PyObject *stream_name(PyObject *self, void *ignored)
{
    (void)ignored;
    return Py_NewRef(((struct stream *)(void *)self)->name);
}

static int stream_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)((struct stream *)(void *)self)->client);
    return 0;
}

static void stream_dealloc(PyObject *self)
{
    struct stream *s = (void *)self;
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    Py_XDECREF((PyObject *)s->client);
    Py_XDECREF(s->name);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef stream_methods[] = {
    {"write", (PyCFunction)(void (*)(void))stream_write, METH_FASTCALL | METH_KEYWORDS,
     "write(event, kind=None, *, time_ns=None)\n\n"
     "A dict is written as JSON, a str as text, bytes (and what has a buffer) as bytes; kind says\n"
     "otherwise of the last two, and is believed. time_ns: UTC, 0 for the time of arrival."},
    {"record_type", stream_record_type, METH_O,
     "record_type(schema): a RecordType of a dataclass, or of a dict of names and types."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef stream_getset[] = {
    {"name", stream_name, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int stream_module_init(PyObject *module)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, (void *)(uintptr_t) "A stream of a Client, which makes it."},
        {Py_tp_dealloc, (void *)stream_dealloc},
        {Py_tp_traverse, (void *)stream_traverse},
        {Py_tp_methods, stream_methods},
        {Py_tp_getset, stream_getset},
        {0, NULL},
    };
    static PyType_Spec spec = {"hydrant.Stream", sizeof(struct stream), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
                                   Py_TPFLAGS_DISALLOW_INSTANTIATION,
                               slots};

    kind_key = PyUnicode_InternFromString("kind");
    time_key = PyUnicode_InternFromString("time_ns");
    if (kind_key == NULL || time_key == NULL)
        return -1;
    stream_type = type_add(module, &spec, "Stream");
    return stream_type == NULL ? -1 : 0;
}
