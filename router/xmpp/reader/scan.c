/* The hot path of the compiled reader: runs of ordinary stanzas, found in one pass.
 *
 * What `stanza.h` recognises and valid JIDs address may be forwarded as it is. Everything else is
 * left to the reader on expat, which alone judges faults: a doubt costs time, never a different
 * result. Called by compiled.py only.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "stanza.h"

enum { MAX_ADDRESS_BYTES = 768 };

typedef struct {
    PyObject_HEAD
    PyObject *senders; /* dict, raw address to normalised domain */
    PyObject *targets;
    PyObject *judge_sender; /* callable for an address not in the dict; None is a doubt */
    PyObject *judge_target;
    Rules rules;
} Scanner;

/* The normalised domain of a raw address, borrowed from `known` or new; NULL: none, or an error. */
static PyObject *
domain_of(Part address, PyObject *known, PyObject *judge)
{
    if (address.size > MAX_ADDRESS_BYTES)
        return NULL;
    for (Py_ssize_t i = 0; i < address.size; i++) {
        if (address.at[i] == '&' || address.at[i] < 0x20) /* the value differs from its octets */
            return NULL;
    }
    PyObject *text = PyUnicode_DecodeUTF8((const char *)address.at, address.size, NULL);
    if (text == NULL)
        return NULL;
    PyObject *domain = PyDict_GetItemWithError(known, text);
    if (domain != NULL)
        Py_INCREF(domain);
    else if (!PyErr_Occurred())
        domain = PyObject_CallOneArg(judge, text);
    Py_DECREF(text);
    if (domain == Py_None)
        Py_CLEAR(domain);
    return domain;
}

/* --- runs --- */

typedef struct {
    const octet *begin;
    const octet *end;
    PyObject *sender;
    PyObject *target;
    Py_ssize_t counts[3];
} Span;

/* Append (begin, end, sender, target, messages, presences, iqs) and forget the span. */
static int
finish_span(Span *span, const octet *base, PyObject *spans)
{
    if (span->sender == NULL)
        return 0;
    PyObject *row = Py_BuildValue("(nnOOnnn)", (Py_ssize_t)(span->begin - base),
                                  (Py_ssize_t)(span->end - base), span->sender, span->target,
                                  span->counts[0], span->counts[1], span->counts[2]);
    Py_CLEAR(span->sender);
    Py_CLEAR(span->target);
    if (row == NULL)
        return -1;
    int failed = PyList_Append(spans, row);
    Py_DECREF(row);
    return failed;
}

/* The domains of a stanza's addresses, as new references. */
static Verdict
domains(const Scanner *self, const Root *root, PyObject **sender, PyObject **target)
{
    *target = NULL;
    *sender = domain_of(root->from, self->senders, self->judge_sender);
    if (*sender != NULL)
        *target = domain_of(root->to, self->targets, self->judge_target);
    if (*target != NULL)
        return WHOLE;
    Py_CLEAR(*sender);
    return PyErr_Occurred() ? FAILED : DOUBT;
}

/* A stanza that waits is without a fault only if its addresses are: they are judged at once. */
static Verdict
wait(const Scanner *self, const Root *root)
{
    PyObject *sender, *target;
    Verdict v = domains(self, root, &sender, &target);
    Py_XDECREF(sender);
    Py_XDECREF(target);
    return v == WHOLE ? WAITS : v;
}

/* A whole stanza joins the span before it, or begins another. */
static Verdict
take(const Scanner *self, Span *span, Root *last, const Root *root, const octet *begin,
     const octet *end, const octet *base, PyObject *spans)
{
    int joins = span->sender != NULL && span->end == begin; /* no white space between */
    if (!joins || !same(last->from, root->from) || !same(last->to, root->to)) {
        PyObject *sender, *target;
        Verdict v = domains(self, root, &sender, &target);
        if (v != WHOLE)
            return v;
        joins = joins && PyUnicode_Compare(sender, span->sender) == 0
                && PyUnicode_Compare(target, span->target) == 0;
        if (PyErr_Occurred() || (!joins && finish_span(span, base, spans) < 0)) {
            Py_DECREF(sender);
            Py_DECREF(target);
            return FAILED;
        }
        if (joins) {
            Py_DECREF(sender);
            Py_DECREF(target);
        } else {
            *span = (Span){begin, begin, sender, target, {0, 0, 0}};
        }
    }
    *last = *root;
    span->end = end;
    span->counts[root->kind]++;
    return WHOLE;
}

PyDoc_STRVAR(scan_doc,
"scan(octets, begin, /)\n--\n\n"
"Read stanzas from `begin` on: (end of the last one taken, whether the rest only waits, spans).");

static PyObject *
Scanner_scan(Scanner *self, PyObject *const *given, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_Check(given[0])) {
        PyErr_SetString(PyExc_TypeError, "scan(bytes, int) wanted");
        return NULL;
    }
    const octet *base = (const octet *)PyBytes_AS_STRING(given[0]);
    const octet *end = base + PyBytes_GET_SIZE(given[0]);
    Py_ssize_t from = PyLong_AsSsize_t(given[1]);
    if (from == -1 && PyErr_Occurred())
        return NULL;
    if (from < 0 || from > end - base) {
        PyErr_SetString(PyExc_ValueError, "begin lies outside the octets");
        return NULL;
    }
    PyObject *spans = PyList_New(0);
    if (spans == NULL)
        return NULL;
    const octet *p = base + from;
    Span span = {0};
    Root last = {0}, root;
    Stanza stanza;
    Verdict v = WHOLE;
    stanza.rules = &self->rules;
    while (v == WHOLE) {
        p = skip_space(p, end);
        if (p == end)
            break;
        if (*p != '<') {
            v = DOUBT;
            break;
        }
        const octet *at = p;
        stanza.begin = p;
        stanza.end = end - p > self->rules.max_stanza_bytes ? p + self->rules.max_stanza_bytes : end;
        v = scan_stanza(&stanza, &at, &root);
        if (v == WAITS && stanza.end < end) /* too big */
            v = DOUBT;
        if (v == WAITS && stanza.depth)
            v = wait(self, &root);
        if (v == WHOLE)
            v = take(self, &span, &last, &root, p, at, base, spans);
        if (v == WHOLE)
            p = at;
    }
    if (v == FAILED || finish_span(&span, base, spans) < 0) {
        Py_XDECREF(span.sender);
        Py_XDECREF(span.target);
        Py_DECREF(spans);
        return NULL;
    }
    return Py_BuildValue("(nNN)", (Py_ssize_t)(p - base), PyBool_FromLong(v != DOUBT), spans);
}

PyDoc_STRVAR(limit_doc,
"limit(max_stanza_bytes, max_depth, max_attributes, max_namespaces, max_elements, /)\n--\n\n"
"The limits from now on; see tokens.Limits.");

static PyObject *
Scanner_limit(Scanner *self, PyObject *arguments)
{
    if (!PyArg_ParseTuple(arguments, "nnnnn", &self->rules.max_stanza_bytes, &self->rules.max_depth,
                          &self->rules.max_attributes, &self->rules.max_namespaces, &self->rules.max_elements))
        return NULL;
    Py_RETURN_NONE;
}

static int
Scanner_init(Scanner *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"needles", "senders", "targets", "judge_sender", "judge_target", NULL};
    PyObject *needles, *senders, *targets, *judge_sender, *judge_target;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!O!O!OO", names, &PyTuple_Type,
                                     &needles, &PyDict_Type, &senders, &PyDict_Type, &targets,
                                     &judge_sender, &judge_target))
        return -1;
    if (self->senders != NULL || PyTuple_GET_SIZE(needles) > MAX_NEEDLES) {
        PyErr_SetString(PyExc_ValueError, "too many needles, or a second initialisation");
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(needles); i++) {
        char *octets;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyTuple_GET_ITEM(needles, i), &octets, &size) < 0)
            return -1;
        const char *colon = memchr(octets, ':', (size_t)size);
        if (colon == NULL) {
            PyErr_SetString(PyExc_ValueError, "a needle without a colon");
            return -1;
        }
        Needle *needle = &self->rules.needles[self->rules.needle_count];
        needle->octets = PyMem_Malloc((size_t)size);
        if (needle->octets == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(needle->octets, octets, (size_t)size);
        needle->size = size;
        needle->colon = colon - octets;
        self->rules.needle_count++;
    }
    self->senders = Py_NewRef(senders);
    self->targets = Py_NewRef(targets);
    self->judge_sender = Py_NewRef(judge_sender);
    self->judge_target = Py_NewRef(judge_target);
    return 0;
}

/* No cycle leads back here: the dicts hold text, the callables are functions of a module. */
static void
Scanner_dealloc(Scanner *self)
{
    PyTypeObject *type = Py_TYPE(self);
    for (int i = 0; i < self->rules.needle_count; i++)
        PyMem_Free(self->rules.needles[i].octets);
    Py_XDECREF(self->senders);
    Py_XDECREF(self->targets);
    Py_XDECREF(self->judge_sender);
    Py_XDECREF(self->judge_target);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef scanner_methods[] = {
    {"scan", (PyCFunction)(void (*)(void))Scanner_scan, METH_FASTCALL, scan_doc},
    {"limit", (PyCFunction)Scanner_limit, METH_VARARGS, limit_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot scanner_slots[] = {
    {Py_tp_doc, (void *)"Recognises ordinary stanzas of one stream; everything else is a doubt."},
    {Py_tp_new, (void *)PyType_GenericNew},
    {Py_tp_init, (void *)Scanner_init},
    {Py_tp_dealloc, (void *)Scanner_dealloc},
    {Py_tp_methods, scanner_methods},
    {0, NULL},
};

static PyType_Spec scanner_spec = {
    .name = "router.xmpp.reader._scan.Scanner",
    .basicsize = sizeof(Scanner),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scanner_slots,
};

static int
execute(PyObject *module)
{
    fill_classes();
    PyObject *scanner = PyType_FromModuleAndSpec(module, &scanner_spec, NULL);
    if (scanner == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Scanner", scanner);
    Py_DECREF(scanner);
    return failed < 0 ? failed : PyModule_AddIntMacro(module, MAX_NEEDLES);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)execute},
    {0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "router.xmpp.reader._scan",
    .m_doc = "The hot path of the compiled reader.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__scan(void)
{
    return PyModuleDef_Init(&module);
}
