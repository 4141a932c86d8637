/* The hot path of the compiled reader: whole, ordinary stanzas recognised in one pass.
 *
 * This only ever says yes. What it accepts is well-formed, within the limits, addressed by valid
 * JIDs and neutral (see tokens.py), so its octets may be forwarded as they are. Whatever it is not
 * sure of it leaves to the reader on expat, which alone judges faults: a doubt costs time, never
 * a different result. Called by compiled.py only; all reads lie within [stanza, end).
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef unsigned char octet;

enum { MAX_DEPTH = 64, MAX_ATTRIBUTES = 16, MAX_BINDINGS = 32, MAX_NEEDLES = 8 };
enum { MAX_ADDRESS_BYTES = 768 };

/* What became of a stanza. WAITS: without a fault so far, and cut off by the end of the octets. */
typedef enum { WHOLE, WAITS, DOUBT, FAILED } Verdict;

typedef struct {
    const octet *at;
    Py_ssize_t size;
} Part;

/* Octets which make the slow path decide; each holds a ':' by which it is found. */
typedef struct {
    char *octets;
    Py_ssize_t size;
    Py_ssize_t colon;
} Needle;

typedef struct {
    Part name;
    Part value;
    Py_ssize_t colon; /* offset of ':' in the name, or -1 */
} Attribute;

typedef struct {
    PyObject_HEAD
    PyObject *senders; /* dict, raw address to normalised domain */
    PyObject *targets;
    PyObject *judge_sender; /* callable for an address not in the dict; None is a doubt */
    PyObject *judge_target;
    Needle needles[MAX_NEEDLES];
    int needle_count;
    Py_ssize_t max_stanza_bytes;
    Py_ssize_t max_depth;
    Py_ssize_t max_attributes;
    Py_ssize_t max_namespaces;
    Py_ssize_t max_elements;
} Scanner;

/* One stanza under way. */
typedef struct {
    const Scanner *limits;
    const octet *begin;
    const octet *end;
    Part open[MAX_DEPTH];
    Py_ssize_t depth;
    Py_ssize_t elements;
    Part bound[MAX_BINDINGS]; /* prefixes in scope */
    Py_ssize_t bound_depth[MAX_BINDINGS];
    int bound_count;
    Attribute attributes[MAX_ATTRIBUTES];
    int attribute_count;
} Stanza;

/* --- octets --- */

enum { SPACE = 1, NAME_START = 2, NAME = 4, STOP = 8 };

/* STOP: what does not stand for itself in text and attribute values, or must be looked at. */
static octet classes[256];

static void
fill_classes(void)
{
    for (int c = 0; c < 256; c++) {
        int letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        int other = (c >= '0' && c <= '9') || c == '.' || c == '-';
        int stops = c < 0x20 || c >= 0x80 || (c != 0 && strchr("<&'\":]", c) != NULL);
        classes[c] = (octet)((letter ? NAME_START | NAME : 0) | (other ? NAME : 0)
                             | (stops ? STOP : 0));
    }
    classes[' '] |= SPACE;
    classes['\t'] |= SPACE;
    classes['\r'] |= SPACE;
    classes['\n'] |= SPACE;
}

static const octet *
skip_space(const octet *p, const octet *end)
{
    while (p < end && (classes[*p] & SPACE))
        p++;
    return p;
}

/* The first octet that is STOP, or end. */
static const octet *
skip_plain(const octet *p, const octet *end)
{
#if defined(__SSE2__)
    while (end - p >= 16) {
        __m128i these = _mm_loadu_si128((const __m128i *)p);
        /* signed: controls and everything above ASCII alike are below the space */
        __m128i found = _mm_cmplt_epi8(these, _mm_set1_epi8(0x20));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(these, _mm_set1_epi8('<')));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(these, _mm_set1_epi8('&')));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(these, _mm_set1_epi8('\'')));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(these, _mm_set1_epi8('"')));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(these, _mm_set1_epi8(':')));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(these, _mm_set1_epi8(']')));
        if (_mm_movemask_epi8(found))
            break;
        p += 16;
    }
#endif
    while (p < end && !(classes[*p] & STOP))
        p++;
    return p;
}

/* Bytes of the UTF-8 sequence at p (RFC 3629) if XML allows its character; 0: cut off; -1: no. */
static int
character(const octet *p, const octet *end)
{
    octet lead = *p, low = 0x80, high = 0xBF;
    int size;
    if (lead >= 0xC2 && lead <= 0xDF) {
        size = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        size = 3;
        if (lead == 0xE0)
            low = 0xA0;
        if (lead == 0xED)
            high = 0x9F;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        size = 4;
        if (lead == 0xF0)
            low = 0x90;
        if (lead == 0xF4)
            high = 0x8F;
    } else {
        return -1;
    }
    if (end - p < size)
        return 0;
    if (p[1] < low || p[1] > high)
        return -1;
    for (int i = 2; i < size; i++) {
        if (p[i] < 0x80 || p[i] > 0xBF)
            return -1;
    }
    if (lead == 0xEF && p[1] == 0xBF && p[2] >= 0xBE) /* U+FFFE, U+FFFF */
        return -1;
    return size;
}

/* Bytes of the reference at the '&'; 0: cut off; -1: a character reference, or none of XML's. */
static int
reference(const octet *p, const octet *end)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&apos;", "&quot;"};
    for (int i = 0; i < 5; i++) {
        Py_ssize_t size = (Py_ssize_t)strlen(known[i]);
        Py_ssize_t given = end - p < size ? end - p : size;
        if (memcmp(p, known[i], (size_t)given) == 0)
            return given < size ? 0 : (int)size;
    }
    return -1;
}

static int
same(Part a, Part b)
{
    return a.size == b.size && memcmp(a.at, b.at, (size_t)a.size) == 0;
}

static int
is(Part part, const char *text)
{
    Py_ssize_t size = (Py_ssize_t)strlen(text);
    return part.size == size && memcmp(part.at, text, (size_t)size) == 0;
}

static int
starts(Part part, const char *text)
{
    Py_ssize_t size = (Py_ssize_t)strlen(text);
    return part.size >= size && memcmp(part.at, text, (size_t)size) == 0;
}

/* Whether one of the needles lies around the ':' at p. One that is cut off is found next time. */
static int
is_needle(const Stanza *s, const octet *p)
{
    const Scanner *l = s->limits;
    for (int i = 0; i < l->needle_count; i++) {
        const Needle *n = &l->needles[i];
        if (p - s->begin >= n->colon && s->end - p >= n->size - n->colon
            && memcmp(p - n->colon, n->octets, (size_t)n->size) == 0)
            return 1;
    }
    return 0;
}

/* --- pieces of a stanza: each moves *at and says how it went --- */

/* Text up to '<' (quote 0), or an attribute value up to its quote. */
static Verdict
characters(const Stanza *s, const octet **at, octet quote)
{
    const octet *p = *at;
    for (;;) {
        p = skip_plain(p, s->end);
        if (p == s->end)
            return WAITS;
        int size = 1;
        switch (*p) {
        case '<':
            *at = p;
            return quote ? DOUBT : WHOLE;
        case '\'':
        case '"':
            if (*p == quote) {
                *at = p;
                return WHOLE;
            }
            break;
        case '&':
            size = reference(p, s->end);
            break;
        case ':':
            if (is_needle(s, p))
                return DOUBT;
            break;
        case ']':
            if (!quote && s->end - p >= 3 && p[1] == ']' && p[2] == '>')
                return DOUBT;
            break;
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            size = *p < 0x80 ? -1 : character(p, s->end);
        }
        if (size <= 0)
            return size == 0 ? WAITS : DOUBT;
        p += size;
    }
}

/* An element's or attribute's name in ASCII, with at most one ':'. */
static Verdict
name(const Stanza *s, const octet **at, Part *found, Py_ssize_t *colon)
{
    const octet *begin = *at, *p = begin;
    *colon = -1;
    if (p == s->end)
        return WAITS;
    if (!(classes[*p] & NAME_START))
        return DOUBT;
    for (;;) {
        while (p < s->end && (classes[*p] & NAME))
            p++;
        if (p == s->end)
            return WAITS;
        if (*p != ':')
            break;
        if (*colon >= 0 || is_needle(s, p))
            return DOUBT;
        *colon = p - begin;
        p++;
        if (p == s->end)
            return WAITS;
        if (!(classes[*p] & NAME_START))
            return DOUBT;
    }
    found->at = begin;
    found->size = p - begin;
    *at = p;
    return WHOLE;
}

/* Whether a namespace name is one that nobody could read in two ways. */
static int
is_plain_uri(Part uri)
{
    if (uri.size == 0 || starts(uri, "http://www.w3.org/XML/1998/namespace")
        || starts(uri, "http://www.w3.org/2000/xmlns/"))
        return 0;
    for (Py_ssize_t i = 0; i < uri.size; i++) {
        if (uri.at[i] <= 0x20 || uri.at[i] >= 0x7F || uri.at[i] == '&')
            return 0;
    }
    return 1;
}

static int
is_bound(const Stanza *s, Part prefix)
{
    for (int i = s->bound_count - 1; i >= 0; i--) {
        if (same(s->bound[i], prefix))
            return 1;
    }
    return 0;
}

/* Namespace declarations among the attributes come into scope; the others are counted. */
static int
declare(Stanza *s, Py_ssize_t depth)
{
    Py_ssize_t plain = 0, declared = 0;
    for (int i = 0; i < s->attribute_count; i++) {
        const Attribute *a = &s->attributes[i];
        int is_default = is(a->name, "xmlns");
        if (!is_default && !starts(a->name, "xmlns:")) {
            plain++;
            continue;
        }
        declared++;
        if (!is_plain_uri(a->value) || (is_default && depth == 1))
            return 0;
        if (is_default)
            continue;
        Part prefix = {a->name.at + a->colon + 1, a->name.size - a->colon - 1};
        if (starts(prefix, "xml") || s->bound_count == MAX_BINDINGS)
            return 0;
        s->bound[s->bound_count] = prefix;
        s->bound_depth[s->bound_count++] = depth;
    }
    return plain <= s->limits->max_attributes && declared <= s->limits->max_namespaces;
}

/* Whether all attributes differ and all prefixes are known. */
static int
are_proper(const Stanza *s, Part element, Py_ssize_t colon)
{
    if (colon >= 0 && !is_bound(s, (Part){element.at, colon}))
        return 0;
    for (int i = 0; i < s->attribute_count; i++) {
        const Attribute *a = &s->attributes[i];
        for (int j = 0; j < i; j++) {
            const Attribute *b = &s->attributes[j];
            if (same(a->name, b->name))
                return 0;
            if (a->colon >= 0 && b->colon >= 0) {
                Part one = {a->name.at + a->colon + 1, a->name.size - a->colon - 1};
                Part other = {b->name.at + b->colon + 1, b->name.size - b->colon - 1};
                if (same(one, other)) /* the prefixes might mean the same */
                    return 0;
            }
        }
        Part prefix = {a->name.at, a->colon};
        if (a->colon >= 0 && !is(prefix, "xml") && !is(prefix, "xmlns") && !is_bound(s, prefix))
            return 0;
    }
    return 1;
}

/* A start tag or an empty one, from behind its '<' to behind its '>'. */
static Verdict
start_tag(Stanza *s, const octet **at, int *is_empty)
{
    Part element;
    Py_ssize_t colon;
    Verdict v = name(s, at, &element, &colon);
    if (v != WHOLE)
        return v;
    if (s->depth == MAX_DEPTH || s->depth + 1 > s->limits->max_depth
        || ++s->elements > s->limits->max_elements)
        return DOUBT;
    s->attribute_count = 0;
    *is_empty = 0;
    const octet *p = *at;
    for (;;) {
        const octet *before = p;
        p = skip_space(p, s->end);
        if (p == s->end)
            return WAITS;
        if (*p == '>')
            break;
        if (*p == '/') {
            if (p + 1 == s->end)
                return WAITS;
            if (p[1] != '>')
                return DOUBT;
            *is_empty = 1;
            p++;
            break;
        }
        if (p == before || s->attribute_count == MAX_ATTRIBUTES)
            return DOUBT;
        Attribute *a = &s->attributes[s->attribute_count++];
        if ((v = name(s, &p, &a->name, &a->colon)) != WHOLE)
            return v;
        if (*p != '=')
            return DOUBT;
        if (++p == s->end)
            return WAITS;
        octet quote = *p;
        if (quote != '\'' && quote != '"')
            return DOUBT;
        a->value.at = ++p;
        if ((v = characters(s, &p, quote)) != WHOLE)
            return v;
        a->value.size = p - a->value.at;
        p++;
    }
    *at = p + 1;
    if (!declare(s, s->depth + 1) || !are_proper(s, element, colon))
        return DOUBT;
    s->open[s->depth++] = element;
    return WHOLE;
}

static void
leave(Stanza *s)
{
    while (s->bound_count && s->bound_depth[s->bound_count - 1] == s->depth)
        s->bound_count--;
    s->depth--;
}

/* --- a stanza --- */

typedef struct {
    int kind; /* 0 message, 1 presence, 2 iq */
    Part from;
    Part to;
} Root;

/* What the root's attributes say, unless the slow path is to judge them. */
static int
read_root(const Stanza *s, Root *root)
{
    static const char *const kinds[] = {"message", "presence", "iq"};
    int has_id = 0, has_type = 0;
    for (root->kind = 0; !is(s->open[0], kinds[root->kind]); root->kind++) {
        if (root->kind == 2)
            return 0;
    }
    root->from.at = root->to.at = NULL;
    for (int i = 0; i < s->attribute_count; i++) {
        const Attribute *a = &s->attributes[i];
        if (is(a->name, "from")) {
            root->from = a->value;
        } else if (is(a->name, "to")) {
            root->to = a->value;
        } else if (is(a->name, "id")) {
            has_id = 1;
        } else if (is(a->name, "type")) {
            has_type = is(a->value, "get") || is(a->value, "set") || is(a->value, "result")
                       || is(a->value, "error");
        }
    }
    if (root->from.at == NULL || root->to.at == NULL)
        return 0;
    return root->kind != 2 || (has_id && has_type);
}

/* The stanza at *at, up to behind its end tag. */
static Verdict
scan_stanza(Stanza *s, const octet **at, Root *root)
{
    const octet *p = *at;
    int is_empty;
    Verdict v;
    s->depth = s->elements = 0;
    s->bound_count = 0;
    do {
        /* p is at a '<' */
        if (++p == s->end)
            return WAITS;
        if (*p == '/') {
            if (s->depth == 0)
                return DOUBT;
            Part opened = s->open[s->depth - 1];
            Py_ssize_t given = s->end - ++p;
            Py_ssize_t compared = given < opened.size ? given : opened.size;
            if (memcmp(p, opened.at, (size_t)compared) != 0)
                return DOUBT;
            if (given <= opened.size)
                return WAITS;
            p = skip_space(p + opened.size, s->end);
            if (p == s->end)
                return WAITS;
            if (*p++ != '>')
                return DOUBT;
            leave(s);
        } else {
            if ((v = start_tag(s, &p, &is_empty)) != WHOLE)
                return v;
            if (s->depth == 1 && !read_root(s, root))
                return DOUBT;
            if (is_empty)
                leave(s);
        }
        if (s->depth && (v = characters(s, &p, 0)) != WHOLE)
            return v;
    } while (s->depth);
    *at = p;
    return WHOLE;
}

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
    stanza.limits = self;
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
        stanza.end = end - p > self->max_stanza_bytes ? p + self->max_stanza_bytes : end;
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
    if (!PyArg_ParseTuple(arguments, "nnnnn", &self->max_stanza_bytes, &self->max_depth,
                          &self->max_attributes, &self->max_namespaces, &self->max_elements))
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
        Needle *needle = &self->needles[self->needle_count];
        needle->octets = PyMem_Malloc((size_t)size);
        if (needle->octets == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(needle->octets, octets, (size_t)size);
        needle->size = size;
        needle->colon = colon - octets;
        self->needle_count++;
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
    for (int i = 0; i < self->needle_count; i++)
        PyMem_Free(self->needles[i].octets);
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
