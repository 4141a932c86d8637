/* Octets of UTF-8 text: what stands for itself, what is a character, a reference, a name.
 *
 * Plain C, without Python. All functions stay below `end`. Included by stanza.h only.
 */

#include <stddef.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef unsigned char octet;

typedef struct {
    const octet *at;
    ptrdiff_t size;
} Part;

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
        ptrdiff_t size = (ptrdiff_t)strlen(known[i]);
        ptrdiff_t given = end - p < size ? end - p : size;
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
    ptrdiff_t size = (ptrdiff_t)strlen(text);
    return part.size == size && memcmp(part.at, text, (size_t)size) == 0;
}

static int
starts(Part part, const char *text)
{
    ptrdiff_t size = (ptrdiff_t)strlen(text);
    return part.size >= size && memcmp(part.at, text, (size_t)size) == 0;
}
