/*
 * record: the type RecordType: typed records, of dataclasses, dicts or tuples.
 *
 * READ FIRST: record_write(): all values are taken out of the Python object first, into cells that
 * the schema describes as a struct; the library then packs them into the ring by one call, in
 * which nothing of Python can run.
 *
 * Owns:   nothing beyond a call.
 * Thread: any, with the GIL.
 * Units:  bytes; timestamps are microseconds since 1970, UTC.
 */
#include "module.h"

#include <string.h>

enum { CELLS_FEW = 32 };

/* As client.c tells the library where values lie. */
struct cell {
    union {
        bool truth;
        int32_t i32;
        int64_t i64;
        uint64_t u64;
        float f32;
        double f64;
        const char *data;
    } value;
    union {
        bool given;
        size_t len;
    } extra;
};
_Static_assert(sizeof(struct cell) == 16 && offsetof(struct cell, extra) == 8, "client.c");

struct record_type {
    struct writer writer; /* its label: tuple of interned str */
    unsigned int count;
};

/* What a record's cells point to: released after the write. */
struct held {
    PyObject *value;   /* owned */
    Py_buffer view;    /* of one that is neither str nor bytes; obj NULL: none */
};

static PyTypeObject *record_type_type;
static PyObject *describe, *microseconds;

/* ---- values ---- */

/* In place of a TypeError of Python's own, which does not name the field. */
static int wrong(const struct shmc_field *f, PyObject *value, const char *wanted)
{
    if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_Format(PyExc_TypeError, "field '%s': %s is wanted, not %R", f->name, wanted, value);
    return -1;
}

static int int_get(const struct shmc_field *f, PyObject *value, int64_t min, int64_t max,
                   int64_t *ret)
{
    int over = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &over);

    if (number == -1 && PyErr_Occurred())
        return wrong(f, value, "an int");
    if (over != 0 || number < min || number > max) {
        PyErr_Format(PyExc_OverflowError, "field '%s': %R is out of range", f->name, value);
        return -1;
    }
    *ret = number;
    return 0;
}

static int float_get(const struct shmc_field *f, PyObject *value, double *ret)
{
    *ret = PyFloat_AsDouble(value);
    return *ret == -1 && PyErr_Occurred() ? wrong(f, value, "a float") : 0;
}

/* An int is microseconds already. */
static int time_us_get(const struct shmc_field *f, PyObject *value, int64_t *ret)
{
    PyObject *number;
    int rc;

    if (PyLong_Check(value))
        return int_get(f, value, INT64_MIN, INT64_MAX, ret);
    number = PyObject_CallFunctionObjArgs(microseconds, value, NULL);
    if (number == NULL)
        return -1;
    rc = int_get(f, number, INT64_MIN, INT64_MAX, ret);
    Py_DECREF(number);
    return rc;
}

static int bytes_get(const struct shmc_field *f, struct held *held, struct cell *cell)
{
    PyObject *value = held->value;
    Py_ssize_t len;

    if (PyBytes_Check(value)) {
        cell->value.data = PyBytes_AsString(value);
        len = PyBytes_Size(value);
    } else if (PyUnicode_Check(value) || !PyObject_CheckBuffer(value)) {
        return wrong(f, value, "bytes");
    } else {
        if (PyObject_GetBuffer(value, &held->view, PyBUF_SIMPLE) < 0)
            return -1;
        cell->value.data = held->view.buf != NULL ? held->view.buf : "";
        len = held->view.len;
    }
    cell->extra.len = (size_t)len;
    return 0;
}

static int string_get(const struct shmc_field *f, PyObject *value, struct cell *cell)
{
    Py_ssize_t len = 0;

    if (!PyUnicode_Check(value))
        return wrong(f, value, "a str");
    cell->value.data = PyUnicode_AsUTF8AndSize(value, &len);
    cell->extra.len = (size_t)len;
    return cell->value.data != NULL ? 0 : -1;
}

/* Says too that there is a value; of strings and bytes `extra` is the length instead. */
static int cell_get(const struct shmc_field *f, struct held *held, struct cell *cell)
{
    PyObject *value = held->value;
    int64_t number = 0;
    double real = 0;
    int rc;

    cell->extra.len = 0;
    cell->extra.given = true;
    switch (f->type) {
    case SHMC_TYPE_BOOL:
        cell->value.truth = value == Py_True;
        return PyBool_Check(value) ? 0 : wrong(f, value, "a bool");
    case SHMC_TYPE_I32:
        rc = int_get(f, value, INT32_MIN, INT32_MAX, &number);
        cell->value.i32 = (int32_t)number;
        return rc;
    case SHMC_TYPE_I64:
        return int_get(f, value, INT64_MIN, INT64_MAX, &cell->value.i64);
    case SHMC_TYPE_U64:
        cell->value.u64 = PyLong_Check(value) ? PyLong_AsUnsignedLongLong(value) : 0;
        return PyErr_Occurred() || !PyLong_Check(value) ? wrong(f, value, "an int") : 0;
    case SHMC_TYPE_F32:
        rc = float_get(f, value, &real);
        cell->value.f32 = (float)real;
        return rc;
    case SHMC_TYPE_F64:
        return float_get(f, value, &cell->value.f64);
    case SHMC_TYPE_STRING:
        return string_get(f, value, cell);
    case SHMC_TYPE_BYTES:
        return bytes_get(f, held, cell);
    default:
        return time_us_get(f, value, &cell->value.i64);
    }
}

/* ---- records ---- */

/* Field i of a dict, tuple, list, or anything with attributes; a new reference. NULL: none, or an
   exception is set. */
static PyObject *member_get(const struct record_type *t, PyObject *record, unsigned int i)
{
    PyObject *name;

    if (PyTuple_Check(record))
        return Py_NewRef(PyTuple_GetItem(record, (Py_ssize_t)i));
    name = PyTuple_GetItem(t->writer.label, (Py_ssize_t)i);
    if (PyDict_Check(record))
        return Py_XNewRef(PyDict_GetItemWithError(record, name));
    return PyObject_GetAttr(record, name);
}

static int fields_get(const struct record_type *t, PyObject *record, struct held *held,
                      struct cell *cells)
{
    const struct shmc_field *fields = t->writer.client->defs[t->writer.def].fields;
    Py_ssize_t found = 0;

    if (PyTuple_Check(record) && PyTuple_Size(record) != (Py_ssize_t)t->count) {
        PyErr_Format(PyExc_ValueError, "a tuple of %u values is wanted, not of %zd", t->count,
                     PyTuple_Size(record));
        return -1;
    }
    for (unsigned int i = 0; i < t->count; i++) {
        PyObject *value = member_get(t, record, i);

        held[i].value = value;
        if (value == NULL && PyErr_Occurred())
            return -1;
        found += value != NULL;
        if (value != NULL && value != Py_None) {
            if (cell_get(&fields[i], &held[i], &cells[i]) < 0)
                return -1;
        } else if ((fields[i].flags & SHMC_NULLABLE) == 0) {
            PyErr_Format(PyExc_ValueError, "field '%s': no value, and it is not Optional",
                         fields[i].name);
            return -1;
        }
    }
    if (PyDict_Check(record) && PyDict_Size(record) != found) {
        PyErr_Format(PyExc_ValueError, "%R has keys that are no fields of %R", record,
                     t->writer.label);
        return -1;
    }
    return 0;
}

static PyObject *cells_write(struct record_type *t, const struct cell *cells, bool at,
                             uint64_t time_ns)
{
    struct ring_wait wait = {0};

    for (;;) {
        struct ring *r = ring_of(t->writer.client);
        uint16_t number;
        int rc;

        if (r == NULL)
            return NULL;
        rc = ring_number(r, t->writer.def, &number);
        if (rc == 0)
            rc = at ? shmc_write_struct_at(r->handle, number, time_ns, cells)
                    : shmc_write_struct(r->handle, number, cells);
        if (rc == 0)
            Py_RETURN_NONE;
        if (ring_again(r, rc, &wait) < 0)
            return NULL;
    }
}

static PyObject *record_write_from(struct record_type *t, PyObject *record, struct held *held,
                                   struct cell *cells, bool at, uint64_t time_ns)
{
    PyObject *written = NULL;

    memset(held, 0, t->count * sizeof(*held));
    memset(cells, 0, t->count * sizeof(*cells));
    if (fields_get(t, record, held, cells) == 0)
        written = cells_write(t, cells, at, time_ns);
    for (unsigned int i = 0; i < t->count; i++) {
        if (held[i].view.obj != NULL)
            PyBuffer_Release(&held[i].view);
        Py_XDECREF(held[i].value);
    }
    return written;
}

static PyObject *record_write(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *names)
{
    struct record_type *t = (void *)self;
    struct held few[CELLS_FEW], *held = few;
    struct cell few_cells[CELLS_FEW], *cells = few_cells;
    PyObject *time = NULL, *written = NULL;
    uint64_t time_ns;
    bool at;

    if (names != NULL && PyTuple_Size(names) == 1 &&
        PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "time_ns") == 0)
        time = args[nargs];
    else if (names != NULL && PyTuple_Size(names) != 0)
        nargs = 0;
    if (nargs != 1) {
        PyErr_SetString(PyExc_TypeError, "write(record, *, time_ns=None)");
        return NULL;
    }
    if (time_get(time, &at, &time_ns) < 0)
        return NULL;
    if (t->count > CELLS_FEW) {
        held = PyMem_Malloc(t->count * sizeof(*held));
        cells = PyMem_Malloc(t->count * sizeof(*cells));
    }
    if (held != NULL && cells != NULL)
        written = record_write_from(t, args[0], held, cells, at, time_ns);
    else
        PyErr_NoMemory();
    if (held != few)
        PyMem_Free(held);
    if (cells != few_cells)
        PyMem_Free(cells);
    return written;
}

/* ---- the type ---- */

/* Of what describe() returned: the names, interned, as attributes and keys are. */
static PyObject *names_of(PyObject *fields)
{
    Py_ssize_t count = PyTuple_Size(fields);
    PyObject *names = PyTuple_New(count);

    for (Py_ssize_t i = 0; names != NULL && i < count; i++) {
        PyObject *name = Py_NewRef(PyTuple_GetItem(PyTuple_GetItem(fields, i), 0));

        PyUnicode_InternInPlace(&name);
        PyTuple_SetItem(names, i, name);
    }
    return names;
}

PyObject *record_type_new(struct writer *stream, PyObject *schema)
{
    PyObject *fields = PyObject_CallFunctionObjArgs(describe, schema, NULL);
    struct client *c = stream->client;
    Py_ssize_t def = fields != NULL ? client_def(c, stream->label, fields) : -1;
    PyObject *names = def >= 0 ? names_of(fields) : NULL;
    struct record_type *t = NULL;

    if (names != NULL)
        t = (void *)writer_new(record_type_type, c, names, (size_t)def);
    if (t != NULL)
        t->count = (unsigned int)PyTuple_Size(names);
    Py_XDECREF(names);
    Py_XDECREF(fields);
    return (PyObject *)t;
}

static PyMethodDef record_type_methods[] = {
    {"write", (PyCFunction)(void (*)(void))record_write, METH_FASTCALL | METH_KEYWORDS,
     "write(record, *, time_ns=None)\n\n"
     "A record is an object with the fields as attributes, a dict, or a tuple in their order."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef record_type_getset[] = {
    {"fields", writer_label, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int record_module_init(PyObject *module)
{
    describe = function_get("hydrant._records", "describe");
    microseconds = describe != NULL ? function_get("hydrant._records", "microseconds") : NULL;
    if (microseconds == NULL)
        return -1;
    record_type_type = writer_type_add(module, "hydrant.RecordType", sizeof(struct record_type),
                                       "Typed records of a stream, which makes it.",
                                       record_type_methods, record_type_getset);
    return record_type_type == NULL ? -1 : 0;
}
