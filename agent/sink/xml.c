/*
 * xml: fields of a document by libexpat.
 *
 * Owns:   a parser within the call.
 * Thread: any.
 */
#include "sink/xml.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "sink/secret.h"

struct reading {
    XML_Parser parser;              /* owned */
    struct xml_field *fields;       /* borrowed */
    size_t count;
    const char *item;
    xml_item_fn on_item;
    void *ctx;
    struct xml_field *open;         /* the field that text goes to, or NULL */
    size_t open_len;
    size_t path_len;
    int result;
    char path[XML_PATH_BYTES];
};

static void fail(struct reading *r, int err)
{
    if (r->result == 0)
        r->result = err;
    (void)XML_StopParser(r->parser, XML_FALSE); /* it may have stopped already */
}

static void field_empty(struct xml_field *f)
{
    f->found = false;
    if (f->ret != NULL)
        f->ret[0] = '\0';
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = (struct reading *)ctx;
    const char *colon = strrchr(name, ':'), *own = colon != NULL ? colon + 1 : name;
    size_t len = strlen(own), slash = r->path_len > 0;

    (void)attributes;
    r->open = NULL;
    if (r->path_len + slash + len >= sizeof(r->path)) {
        fail(r, -EBADMSG);
        return;
    }
    if (slash)
        r->path[r->path_len] = '/';
    memcpy(r->path + r->path_len + slash, own, len + 1);
    r->path_len += slash + len;
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->fields[i].path, r->path) == 0) {
            r->open = &r->fields[i];
            field_empty(r->open);
            r->open->found = true;
            r->open_len = 0;
        }
}

static void XMLCALL on_text(void *ctx, const XML_Char *text, int len)
{
    struct reading *r = (struct reading *)ctx;
    struct xml_field *f = r->open;
    size_t take = (size_t)len;

    if (f == NULL || f->ret == NULL)
        return;
    if (take > f->cap - 1 - r->open_len) {
        if (!f->cut) {
            fail(r, -EBADMSG);
            return;
        }
        take = f->cap - 1 - r->open_len;
    }
    memcpy(f->ret + r->open_len, text, take);
    r->open_len += take;
    f->ret[r->open_len] = '\0';
}

static void item_end(struct reading *r)
{
    size_t len = strlen(r->item);
    int res = r->on_item(r->ctx);

    if (res != 0)
        fail(r, res);
    for (size_t i = 0; i < r->count; i++)
        if (strncmp(r->fields[i].path, r->item, len) == 0 && r->fields[i].path[len] == '/')
            field_empty(&r->fields[i]);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
    struct reading *r = (struct reading *)ctx;
    char *slash;

    (void)name;
    if (r->result != 0)
        return;
    r->open = NULL;
    if (r->item != NULL && strcmp(r->path, r->item) == 0)
        item_end(r);
    slash = strrchr(r->path, '/');
    r->path_len = slash != NULL ? (size_t)(slash - r->path) : 0;
    r->path[r->path_len] = '\0';
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int internal)
{
    (void)name, (void)system_id, (void)public_id, (void)internal;
    fail((struct reading *)ctx, -EBADMSG);
}

int xml_read(const char *text, size_t len, struct xml_field *fields, size_t count,
             const char *item, xml_item_fn on_item, void *ctx)
{
    static const XML_Memory_Handling_Suite memory = {malloc, secret_realloc, secret_free};
    struct reading r = {.fields = fields, .count = count, .item = item, .on_item = on_item,
                        .ctx = ctx};

    for (size_t i = 0; i < count; i++)
        field_empty(&fields[i]);
    /* Blanks that kept a connection alive may stand in front of the declaration. */
    for (; len > 0 && strchr(" \t\r\n", *text) != NULL && *text != '\0'; text++)
        len--;
    if (len == 0 || len > INT_MAX)
        return -EBADMSG;
    r.parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (r.parser == NULL)
        return -ENOMEM;
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    if (XML_Parse(r.parser, text, (int)len, XML_TRUE) != XML_STATUS_OK && r.result == 0)
        r.result = XML_GetErrorCode(r.parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
    XML_ParserFree(r.parser);
    return r.result;
}
