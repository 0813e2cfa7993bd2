/*
 * module: the extension hydrant._hydrant; its exceptions, and what its types share.
 *
 * Owns:   the exceptions.
 * Thread: any, with the GIL.
 * Units:  nanoseconds.
 */
#include "module.h"

#include <errno.h>
#include <string.h>

static PyObject *error_class, *full_class, *timeout_class;

/* ---- errors ---- */

static const char *remedy(int rc)
{
    switch (rc) {
    case -EAGAIN:
        return "; does the agent run (hydrant status)? Else a larger ring_bytes holds more";
    case -ETIMEDOUT:
        return "; does the agent run (hydrant status)?";
    case -EMSGSIZE:
        return "; an event may have a quarter of ring_bytes, and 1 MiB at most";
    case -ESTALE:
        return "; the next write opens another ring";
    case -EACCES:
    case -EPERM:
        return "; give shm_dir= or HYDRANT_SHM_DIR, or the agent's uid as agent_uid=";
    case -EIO:
        return "; write again what was written since the last flush that returned";
    default:
        return "";
    }
}

int error_set(int rc, const char *text)
{
    PyObject *class = rc == -EAGAIN      ? full_class
                      : rc == -ETIMEDOUT ? timeout_class
                                         : error_class;
    PyObject *words = PyUnicode_FromFormat("%s%s", text, remedy(rc));
    PyObject *error = words != NULL ? PyObject_CallFunction(class, "iO", -rc, words) : NULL;

    if (error != NULL)
        PyErr_SetObject(class, error);
    Py_XDECREF(error);
    Py_XDECREF(words);
    return -1;
}

int error_closed(void)
{
    return error_set(-EBADF, "the client is closed");
}

/* ---- arguments ---- */

int time_get(PyObject *value, bool *ret_given, uint64_t *ret_ns)
{
    *ret_given = value != NULL && value != Py_None;
    *ret_ns = 0;
    if (!*ret_given)
        return 0;
    *ret_ns = PyLong_AsUnsignedLongLong(value);
    return *ret_ns == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

int seconds_get(PyObject *value, const char *what, uint64_t *ret_ns)
{
    double seconds;

    *ret_ns = UINT64_MAX;
    if (value == NULL || value == Py_None)
        return 0;
    seconds = PyFloat_AsDouble(value);
    if (seconds == -1 && PyErr_Occurred())
        return -1;
    if (!(seconds >= 0)) {
        PyErr_Format(PyExc_ValueError, "%s: seconds from 0 on, or None for ever", what);
        return -1;
    }
    if (seconds < 1e9)
        *ret_ns = (uint64_t)(seconds * 1e9);
    return 0;
}

PyObject *function_get(const char *module, const char *name)
{
    PyObject *from = PyImport_ImportModule(module);
    PyObject *function = from != NULL ? PyObject_GetAttrString(from, name) : NULL;

    Py_XDECREF(from);
    return function;
}

/* ---- the module ---- */

PyTypeObject *type_add(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);

    if (type == NULL || PyModule_AddObjectRef(module, name, type) < 0) {
        Py_XDECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

/* Also of the class that Python has for that errno. */
static PyObject *error_derive(PyObject *module, const char *name, const char *doc,
                              PyObject *builtin)
{
    PyObject *bases = PyTuple_Pack(2, error_class, builtin), *made = NULL;

    if (bases != NULL)
        made = PyErr_NewExceptionWithDoc(name, doc, bases, NULL);
    Py_XDECREF(bases);
    if (made != NULL && PyModule_AddObjectRef(module, strchr(name, '.') + 1, made) < 0)
        Py_CLEAR(made);
    return made;
}

static int errors_init(PyObject *module)
{
    error_class = PyErr_NewExceptionWithDoc(
        "hydrant.Error", "What went wrong with a ring; errno as in shm_client.h.", PyExc_OSError,
        NULL);
    if (error_class == NULL || PyModule_AddObjectRef(module, "Error", error_class) < 0)
        return -1;
    full_class = error_derive(module, "hydrant.Full",
                              "The ring is full, and full='fail': the caller has the event.",
                              PyExc_BlockingIOError);
    timeout_class = error_derive(module, "hydrant.Timeout",
                                 "A full ring or a flush took longer than was allowed.",
                                 PyExc_TimeoutError);
    return full_class == NULL || timeout_class == NULL ? -1 : 0;
}

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "hydrant._hydrant",
    .m_doc = "The client library; use it through the package hydrant.",
    .m_size = -1,
};

PyMODINIT_FUNC PyInit__hydrant(void);

PyMODINIT_FUNC PyInit__hydrant(void)
{
    PyObject *module = PyModule_Create(&module_def);

    if (module == NULL)
        return NULL;
    if (errors_init(module) < 0 || client_module_init(module) < 0 ||
        stream_module_init(module) < 0 || record_module_init(module) < 0 ||
        PyModule_AddStringConstant(module, "version", shmc_version()) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
