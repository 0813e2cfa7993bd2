/*
 * json: a plain dict as JSON, without a call of Python's.
 *
 * Plain are dicts with str keys, lists, tuples, str, int of 64 bits, finite float, bool and None,
 * each of just that type. What holds anything else is left to the client's encoder in Python; so
 * are mistakes, of which that tells better. Both write the same bytes.
 *
 * Owns:   nothing; a text's bytes belong to its caller.
 * Thread: any, with the GIL, which is not let go of: nothing in a dict can change meanwhile.
 */
#include "module.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

void json_text_fini(struct json_text *t)
{
    if (t->at != t->few)
        PyMem_Free(t->at);
}

/* Room for so many bytes more behind len. */
static char *room(struct json_text *t, size_t len)
{
    size_t cap = t->cap;
    char *longer;

    if (len <= cap - t->len)
        return t->at + t->len;
    while (len > cap - t->len)
        cap *= 2;
    longer = PyMem_Realloc(t->at != t->few ? t->at : NULL, cap);
    if (longer == NULL)
        return NULL;
    if (t->at == t->few)
        memcpy(longer, t->few, t->len);
    t->at = longer;
    t->cap = cap;
    return longer + t->len;
}

static bool put(struct json_text *t, const char *bytes, size_t len)
{
    char *to = room(t, len);

    if (to == NULL)
        return false;
    memcpy(to, bytes, len);
    t->len += len;
    return true;
}

/* One byte that may not stand in a string as it is; as the json module writes it. */
static size_t escape(char *to, unsigned char c)
{
    static const char *const letters = "\"\"\\\\\nn\rr\tt\bb\ff";
    const char *found;

    for (found = letters; *found != '\0' && (unsigned char)*found != c; found += 2)
        ;
    to[0] = '\\';
    if (*found != '\0') {
        to[1] = found[1];
        return 2;
    }
    (void)snprintf(to + 1, 6, "u%04x", c);
    return 6;
}

static bool string_put(struct json_text *t, PyObject *value)
{
    Py_ssize_t len;
    const char *from = PyUnicode_AsUTF8AndSize(value, &len);
    char *to = from != NULL ? room(t, (size_t)len * 6 + 2) : NULL;

    if (to == NULL)
        return false;
    *to++ = '"';
    for (const char *end = from + len; from != end; from++) {
        unsigned char c = (unsigned char)*from;

        if (c < 0x20 || c == '"' || c == '\\')
            to += escape(to, c);
        else
            *to++ = (char)c;
    }
    *to++ = '"';
    t->len = (size_t)(to - t->at);
    return true;
}

static bool int_put(struct json_text *t, PyObject *value)
{
    int over = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &over);
    unsigned long long left = number < 0 ? 0 - (unsigned long long)number
                                         : (unsigned long long)number;
    char digits[24], *at = digits + sizeof(digits);

    if (over != 0)
        return false;
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    if (number < 0)
        *--at = '-';
    return put(t, at, (size_t)(digits + sizeof(digits) - at));
}

static bool float_put(struct json_text *t, PyObject *value)
{
    double number = PyFloat_AsDouble(value);
    char *text = isfinite(number) ? PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL)
                                  : NULL;
    bool good = text != NULL && put(t, text, strlen(text));

    PyMem_Free(text);
    return good;
}

static bool value_put(struct json_text *t, PyObject *value, unsigned int depth);

static bool dict_put(struct json_text *t, PyObject *dict, unsigned int depth)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    char before = '{';

    while (PyDict_Next(dict, &at, &key, &value)) {
        if (!PyUnicode_CheckExact(key) || !put(t, &before, 1) || !string_put(t, key) ||
            !put(t, ":", 1) || !value_put(t, value, depth))
            return false;
        before = ',';
    }
    return before == '{' ? put(t, "{}", 2) : put(t, "}", 1);
}

static bool sequence_put(struct json_text *t, PyObject *value, bool is_list, unsigned int depth)
{
    Py_ssize_t count = is_list ? PyList_Size(value) : PyTuple_Size(value);
    char before = '[';

    for (Py_ssize_t i = 0; i < count; i++) {
        if (!put(t, &before, 1) ||
            !value_put(t, is_list ? PyList_GetItem(value, i) : PyTuple_GetItem(value, i), depth))
            return false;
        before = ',';
    }
    return count == 0 ? put(t, "[]", 2) : put(t, "]", 1);
}

static bool value_put(struct json_text *t, PyObject *value, unsigned int depth)
{
    if (PyUnicode_CheckExact(value))
        return string_put(t, value);
    if (PyLong_CheckExact(value))
        return int_put(t, value);
    if (PyFloat_CheckExact(value))
        return float_put(t, value);
    if (value == Py_None)
        return put(t, "null", 4);
    if (PyBool_Check(value))
        return value == Py_True ? put(t, "true", 4) : put(t, "false", 5);
    if (depth == DEPTH_MAX)
        return false;
    if (PyDict_CheckExact(value))
        return dict_put(t, value, depth + 1);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return sequence_put(t, value, PyList_CheckExact(value), depth + 1);
    return false;
}

bool json_encode(PyObject *dict, struct json_text *ret_text)
{
    ret_text->at = ret_text->few;
    ret_text->len = 0;
    ret_text->cap = sizeof(ret_text->few);
    if (value_put(ret_text, dict, 0))
        return true;
    PyErr_Clear(); /* of surrogates, or memory: the other encoder tells */
    return false;
}
