/*
 * xml: named fields of a small XML document, as services answer them. Pure.
 *
 * A field is named by the path of its element from the root, without namespaces: "Error/Code". What
 * is not asked for is skipped. A document type, thus every entity of its own, is refused. What the
 * parser keeps is wiped, for replies can be secret.
 *
 * Owns:   a parser within the call.
 * Thread: any.
 */
#ifndef SINK_XML_H
#define SINK_XML_H

#include <stdbool.h>
#include <stddef.h>

enum { XML_PATH_BYTES = 256 };      /* of an element that the document may have, with NUL */

struct xml_field {
    const char *path;
    char *ret;                      /* text of the last such element, or ""; NULL: not wanted */
    size_t cap;
    bool cut;                       /* what is longer is cut, else refused */
    bool found;                     /* out */
};

/* At the end of each item; what is not 0 ends the reading and is its result. */
typedef int (*xml_item_fn)(void *ctx);

/*
 * 0, -EBADMSG (no XML, cut off, too deep, a text too long, a document type), -ENOMEM, or on_item's.
 * Fields below `item` (NULL: none) are of one item, and emptied for the next.
 */
int xml_read(const char *text, size_t len, struct xml_field *fields, size_t count,
             const char *item, xml_item_fn on_item, void *ctx);

#endif
