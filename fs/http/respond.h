/* respond: answers as they leave, with the headers that every one has: nothing is framed, sniffed, stored or loaded
 * from elsewhere. */
#pragma once

#include "fs/http/page.h"

#include <microhttpd.h>

/* `text` (copied), or 304 where the client knows `etag` (NULL: it has none) already. 401 and 405 get what belongs to
 * them. */
enum MHD_Result respond_text(
        struct MHD_Connection *connection, int status, const char *type, const char *etag, const char *text);

/* {"error":"words"}; the words are ours, and need no escaping. */
enum MHD_Result respond_error(struct MHD_Connection *connection, int status, const char *words);

/* A file of the page, packed where the client takes that. */
enum MHD_Result respond_file(struct MHD_Connection *connection, const struct page_file *file);
