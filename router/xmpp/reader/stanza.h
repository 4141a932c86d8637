/* One whole, ordinary stanza: well-formed, within the limits, and neutral (see tokens.py).
 *
 * Only ever says yes: what it is not sure of is a doubt, which somebody else decides. Plain C,
 * without Python, without state between calls and without allocation. Included by scan.c only.
 */

#include "octets.h"

enum { MAX_DEPTH = 64, MAX_ATTRIBUTES = 16, MAX_BINDINGS = 32, MAX_NEEDLES = 8 };

/* What became of a stanza. WAITS: without a fault so far, and cut off by the end of the octets.
 * FAILED: not the stanza's doing; a Python exception is set. */
typedef enum { WHOLE, WAITS, DOUBT, FAILED } Verdict;

/* Octets which make it a doubt wherever they stand; each holds a ':' by which it is found. */
typedef struct {
    char *octets;
    ptrdiff_t size;
    ptrdiff_t colon;
} Needle;

/* What holds for all stanzas of a stream. */
typedef struct {
    Needle needles[MAX_NEEDLES];
    int needle_count;
    ptrdiff_t max_stanza_bytes;
    ptrdiff_t max_depth;
    ptrdiff_t max_attributes;
    ptrdiff_t max_namespaces;
    ptrdiff_t max_elements;
} Rules;

typedef struct {
    Part name;
    Part value;
    ptrdiff_t colon; /* offset of ':' in the name, or -1 */
} Attribute;

/* One stanza under way. */
typedef struct {
    const Rules *rules;
    const octet *begin;
    const octet *end;
    Part open[MAX_DEPTH];
    ptrdiff_t depth;
    ptrdiff_t elements;
    Part bound[MAX_BINDINGS]; /* prefixes in scope */
    ptrdiff_t bound_depth[MAX_BINDINGS];
    int bound_count;
    Attribute attributes[MAX_ATTRIBUTES];
    int attribute_count;
} Stanza;

/* Whether one of the needles lies around the ':' at p. One that is cut off is found next time. */
static int
is_needle(const Stanza *s, const octet *p)
{
    const Rules *l = s->rules;
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
name(const Stanza *s, const octet **at, Part *found, ptrdiff_t *colon)
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
    for (ptrdiff_t i = 0; i < uri.size; i++) {
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
declare(Stanza *s, ptrdiff_t depth)
{
    ptrdiff_t plain = 0, declared = 0;
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
    return plain <= s->rules->max_attributes && declared <= s->rules->max_namespaces;
}

/* Whether all attributes differ and all prefixes are known. */
static int
are_proper(const Stanza *s, Part element, ptrdiff_t colon)
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
    ptrdiff_t colon;
    Verdict v = name(s, at, &element, &colon);
    if (v != WHOLE)
        return v;
    if (s->depth == MAX_DEPTH || s->depth + 1 > s->rules->max_depth
        || ++s->elements > s->rules->max_elements)
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
            ptrdiff_t given = s->end - ++p;
            ptrdiff_t compared = given < opened.size ? given : opened.size;
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
