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
static PyObject *event_write(struct writer *s, const struct event *e)
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

static PyObject *text_write(struct writer *s, PyObject *text, struct event *e)
{
    e->data = PyUnicode_AsUTF8AndSize(text, &e->len);
    return e->data != NULL ? event_write(s, e) : NULL;
}

static PyObject *bytes_write(struct writer *s, PyObject *bytes, struct event *e)
{
    PyObject *written;
    Py_buffer view;

    if (PyBytes_Check(bytes)) {
        e->data = PyBytes_AsString(bytes);
        e->len = PyBytes_Size(bytes);
        return event_write(s, e);
    }
    if (!PyObject_CheckBuffer(bytes)) {
        PyErr_Format(PyExc_TypeError, "write(): a dict, str or bytes is wanted, not %R",
                     (PyObject *)Py_TYPE(bytes));
        return NULL;
    }
    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    e->data = view.buf;
    e->len = view.len;
    written = event_write(s, e);
    PyBuffer_Release(&view);
    return written;
}

static PyObject *encoded_write(struct writer *s, PyObject *dict, struct event *e)
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

static PyObject *dict_write(struct writer *s, PyObject *dict, struct event *e)
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
    struct writer *s = (void *)self;
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
    Py_ssize_t def;

    if (!PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "stream(): the name is a str");
        return NULL;
    }
    def = client_def(c, name, NULL);
    return def >= 0 ? writer_new(stream_type, c, name, (size_t)def) : NULL;
}

static PyObject *stream_record_type(PyObject *self, PyObject *schema)
{
    return record_type_new((struct writer *)(void *)self, schema);
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
    {"name", writer_label, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int stream_module_init(PyObject *module)
{
    kind_key = PyUnicode_InternFromString("kind");
    time_key = PyUnicode_InternFromString("time_ns");
    if (kind_key == NULL || time_key == NULL)
        return -1;
    stream_type = writer_type_add(module, "hydrant.Stream", sizeof(struct writer),
                                  "A stream of a Client, which makes it.", stream_methods,
                                  stream_getset);
    return stream_type == NULL ? -1 : 0;
}
