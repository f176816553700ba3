#include "fs/http/respond.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void put_headers(struct MHD_Response *response, bool is_data) {
	static const char *const headers[][2] = {
	        {"Content-Security-Policy",
	                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
	                "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	        {"X-Content-Type-Options", "nosniff"},
	        {"Referrer-Policy", "no-referrer"},
	        {"Cross-Origin-Opener-Policy", "same-origin"},
	        {"Cross-Origin-Resource-Policy", "same-origin"},
	        {"X-Frame-Options", "DENY"},
	};
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		(void)MHD_add_response_header(response, headers[i][0], headers[i][1]);
	(void)MHD_add_response_header(response, "Cache-Control", is_data ? "no-store" : "no-cache");
}

enum MHD_Result respond_text(
        struct MHD_Connection *connection, int status, const char *type, const char *etag, const char *text) {
	const char *known = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-None-Match");
	bool is_same = etag && known && strcmp(etag, known) == 0;
	const char *body = is_same ? "" : text;
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	put_headers(response, true);
	if (!is_same)
		(void)MHD_add_response_header(response, "Content-Type", type);
	if (etag)
		(void)MHD_add_response_header(response, "ETag", etag);
	if (status == 401)
		(void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"assayfs\"");
	if (status == 400) /* what stands behind it may be a part of it */
		(void)MHD_add_response_header(response, "Connection", "close");
	if (status == 405)
		(void)MHD_add_response_header(response, "Allow", "GET, HEAD, POST");
	enum MHD_Result sent = MHD_queue_response(connection, is_same ? 304 : (unsigned)status, response);
	MHD_destroy_response(response);
	return sent;
}

enum MHD_Result respond_error(struct MHD_Connection *connection, int status, const char *words) {
	char text[160];
	(void)snprintf(text, sizeof text, "{\"error\":\"%s\"}", words);
	return respond_text(connection, status, "application/json", NULL, text);
}

enum MHD_Result respond_file(struct MHD_Connection *connection, const struct page_file *file) {
	const char *known = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-None-Match");
	const char *takes = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept-Encoding");
	bool is_same = known && strcmp(known, file->etag) == 0;
	bool is_packed = !is_same && takes && strstr(takes, "gzip");
	const uint8_t *data = is_packed ? file->packed : file->plain;
	size_t size = is_same ? 0 : is_packed ? file->packed_size : file->plain_size;
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	put_headers(response, false);
	(void)MHD_add_response_header(response, "ETag", file->etag);
	(void)MHD_add_response_header(response, "Vary", "Accept-Encoding");
	if (!is_same)
		(void)MHD_add_response_header(response, "Content-Type", file->type);
	if (is_packed)
		(void)MHD_add_response_header(response, "Content-Encoding", "gzip");
	enum MHD_Result sent = MHD_queue_response(connection, is_same ? 304 : 200, response);
	MHD_destroy_response(response);
	return sent;
}
