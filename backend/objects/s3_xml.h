/*
 * s3_xml: walks an answer of S3, which nobody vouches for.
 *
 *     <ListBucketResult><Contents><Key>a</Key>…      begin "ListBucketResult", begin "ListBucketResult/Contents",
 *                                                    begin, then end "ListBucketResult/Contents/Key" with text "a", …
 *
 * Bounds: S3_XML_BYTES_MAX of document, depth, length of a path and of an element's own text. A document type, and with
 * it every entity of its own, is refused. Attributes and namespaces are of no interest.
 */
#pragma once

#include "crypto/base/bytes.h"

#define S3_XML_BYTES_MAX ((size_t)8 << 20)
#define S3_XML_DEPTH_MAX 12
#define S3_XML_PATH_MAX 256
#define S3_XML_TEXT_MAX 8192

/* Called when an element ends, with its own text without white space around it, and before that with NULL when it
 * begins. Valid during the call. Other than 0 ends the walk and is returned. */
typedef int s3_xml_fn(void *arg, const char *path, const char *text);

/* 0; -EBADMSG with words: not well-formed, cut, or beyond a bound; -ENOMEM; what `element` returned. */
int s3_xml_walk(struct bytes document, s3_xml_fn *element, void *arg);
