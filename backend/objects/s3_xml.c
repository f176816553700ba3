#include "backend/objects/s3_xml.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <expat.h>
#include <string.h>

struct walk {
	XML_Parser parser;
	s3_xml_fn *element;
	void *arg;
	int rc;
	unsigned depth;
	size_t path_length;
	size_t text_length;
	char path[S3_XML_PATH_MAX];
	char text[S3_XML_TEXT_MAX + 1]; /* of the innermost element since its last child */
};

static void stop(struct walk *walk, int rc) {
	if (walk->rc == 0)
		walk->rc = rc;
	(void)XML_StopParser(walk->parser, XML_FALSE);
}

static void tell(struct walk *walk, const char *text) {
	int rc = walk->element(walk->arg, walk->path, text);
	if (rc != 0)
		stop(walk, rc);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes) {
	(void)attributes;
	struct walk *walk = arg;
	size_t length = strlen(name);
	size_t slash = walk->depth > 0;
	if (walk->rc != 0)
		return;
	if (++walk->depth > S3_XML_DEPTH_MAX || walk->path_length + slash + length >= sizeof walk->path) {
		stop(walk, fault(EBADMSG, "the answer is nested too deeply"));
		return;
	}
	if (slash)
		walk->path[walk->path_length] = '/';
	memcpy(walk->path + walk->path_length + slash, name, length + 1);
	walk->path_length += slash + length;
	walk->text_length = 0;
	tell(walk, NULL);
}

static void on_end(void *arg, const XML_Char *name) {
	(void)name;
	struct walk *walk = arg;
	if (walk->rc != 0)
		return;
	size_t end = walk->text_length;
	while (end > 0 && strchr(" \t\r\n", walk->text[end - 1]))
		end--;
	walk->text[end] = '\0';
	tell(walk, walk->text + strspn(walk->text, " \t\r\n"));
	char *slash = strrchr(walk->path, '/');
	walk->path_length = slash ? (size_t)(slash - walk->path) : 0;
	walk->path[walk->path_length] = '\0';
	walk->text_length = 0;
	walk->depth--;
}

static void on_text(void *arg, const XML_Char *text, int length) {
	struct walk *walk = arg;
	if (walk->rc != 0)
		return;
	if (walk->text_length + (size_t)length > S3_XML_TEXT_MAX) {
		stop(walk, fault(EBADMSG, "the answer has too long a text"));
		return;
	}
	memcpy(walk->text + walk->text_length, text, (size_t)length);
	walk->text_length += (size_t)length;
}

static void on_doctype(
        void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public, int has_internal_subset) {
	(void)name;
	(void)system;
	(void)public;
	(void)has_internal_subset;
	stop(arg, fault(EBADMSG, "the answer has a document type, which S3 never sends"));
}

int s3_xml_walk(struct bytes document, s3_xml_fn *element, void *arg) {
	if (document.size > S3_XML_BYTES_MAX)
		return fault(EBADMSG, "the answer is too long");
	_cleanup_(freep) struct walk *walk = calloc(1, sizeof *walk);
	XML_Parser parser = walk ? XML_ParserCreate(NULL) : NULL;
	if (!parser)
		return fault(ENOMEM, "no memory to read an answer");
	walk->parser = parser;
	walk->element = element;
	walk->arg = arg;
	XML_SetUserData(parser, walk);
	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_text);
	XML_SetStartDoctypeDeclHandler(parser, on_doctype);
	enum XML_Status status = XML_Parse(parser, (const char *)document.data, (int)document.size, XML_TRUE);
	int rc = walk->rc;
	if (rc == 0 && status != XML_STATUS_OK)
		rc = fault(EBADMSG, "the answer is no XML: %s in line %lu", XML_ErrorString(XML_GetErrorCode(parser)),
		        (unsigned long)XML_GetCurrentLineNumber(parser));
	XML_ParserFree(parser);
	return rc;
}
