/*
 * writer: what Stream and RecordType share: they belong to a client and are called something.
 *
 * Owns:   nothing.
 * Thread: any, with the GIL.
 */
#include "module.h"

#include <string.h>

static int writer_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)((struct writer *)(void *)self)->client);
    return 0;
}

static void writer_dealloc(PyObject *self)
{
    struct writer *w = (void *)self;
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    PyObject_GC_UnTrack(self);
    Py_XDECREF((PyObject *)w->client);
    Py_XDECREF(w->label);
    release(self);
    Py_DECREF(type);
}

PyTypeObject *writer_type_add(PyObject *module, const char *name, int size, const char *doc,
                              PyMethodDef *methods, PyGetSetDef *getset)
{
    PyType_Slot slots[] = {
        {Py_tp_doc, (void *)(uintptr_t)doc},
        {Py_tp_dealloc, (void *)writer_dealloc},
        {Py_tp_traverse, (void *)writer_traverse},
        {Py_tp_methods, methods},
        {Py_tp_getset, getset},
        {0, NULL},
    };
    PyType_Spec spec = {name, size, 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                        slots};

    return type_add(module, &spec, strchr(name, '.') + 1);
}

PyObject *writer_new(PyTypeObject *type, struct client *c, PyObject *label, size_t def)
{
    struct writer *w;

    if (ring_declare(c, def) < 0)
        return NULL;
    w = (void *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (w == NULL)
        return NULL;
    w->client = (struct client *)(void *)Py_NewRef((PyObject *)c);
    w->label = Py_NewRef(label);
    w->def = def;
    return (PyObject *)w;
}

PyObject *writer_label(PyObject *self, void *ignored)
{
    (void)ignored;
    return Py_NewRef(((struct writer *)(void *)self)->label);
}
