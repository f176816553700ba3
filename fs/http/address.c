#include "fs/http/address.h"

#include "crypto/base/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int parse_port(const char *text, in_port_t *ret_port) {
	size_t length = strlen(text);
	if (length == 0 || length > 5 || strspn(text, "0123456789") != length || atol(text) > UINT16_MAX)
		return -EINVAL;
	*ret_port = htons((uint16_t)atol(text));
	return 0;
}

/* `host` without brackets. */
static int parse_host(const char *host, bool is_bracketed, in_port_t port, struct address *ret) {
	struct sockaddr_in *four = (struct sockaddr_in *)&ret->socket;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->socket;
	*ret = (struct address){0};
	if (is_bracketed) {
		six->sin6_family = AF_INET6;
		six->sin6_port = port;
		ret->size = sizeof *six;
		return inet_pton(AF_INET6, host, &six->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	four->sin_family = AF_INET;
	four->sin_port = port;
	ret->size = sizeof *four;
	return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &four->sin_addr) == 1 ? 0
	                                                                                                     : -EINVAL;
}

static int parse(const char *text, struct address *ret) {
	char host[64];
	bool is_bracketed = *text == '[';
	const char *colon = strrchr(text, ':');
	in_port_t port;
	if (!colon || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	const char *from = text + is_bracketed;
	if (is_bracketed && (colon == from || colon[-1] != ']'))
		return -EINVAL;
	size_t length = (size_t)(colon - from) - is_bracketed;
	if (length >= sizeof host)
		return -EINVAL;
	memcpy(host, from, length);
	host[length] = '\0';
	return parse_host(host, is_bracketed, port, ret);
}

int address_parse(const char *text, struct address *ret) {
	if (parse(text, ret) < 0)
		return fault(EINVAL,
		        "'%.80s' is no address and port; write 127.0.0.1:9475 or [::1]:9475 (port 0: any that is free)",
		        text);
	return 0;
}

uint16_t address_port(const struct address *address) {
	const struct sockaddr_in *four = (const struct sockaddr_in *)&address->socket;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->socket;
	return ntohs(address->socket.ss_family == AF_INET6 ? six->sin6_port : four->sin_port);
}

const char *address_text(const struct address *address, char ret_text[static ADDRESS_TEXT_BYTES]) {
	char host[INET6_ADDRSTRLEN] = "?";
	bool is_six = address->socket.ss_family == AF_INET6;
	const void *bytes = is_six ? (const void *)&((const struct sockaddr_in6 *)&address->socket)->sin6_addr
	                           : (const void *)&((const struct sockaddr_in *)&address->socket)->sin_addr;
	(void)inet_ntop(address->socket.ss_family, bytes, host, sizeof host);
	(void)snprintf(ret_text, ADDRESS_TEXT_BYTES, "%s%s%s:%u", is_six ? "[" : "", host, is_six ? "]" : "",
	        (unsigned)address_port(address));
	return ret_text;
}

bool address_is_loopback(const struct address *address) {
	if (address->socket.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->socket)->sin6_addr);
	return ntohl(((const struct sockaddr_in *)&address->socket)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool address_allows_host(const struct address *address, const char *host) {
	char with_port[ADDRESS_TEXT_BYTES];
	struct address named;
	if (parse(host, &named) < 0) {
		if (snprintf(with_port, sizeof with_port, "%s:80", host) >= (int)sizeof with_port ||
		        parse(with_port, &named) < 0)
			return false;
	}
	return address_port(&named) == address_port(address);
}

void address_unmap(struct address *address) {
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->socket;
	if (address->socket.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return;
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six->sin6_port};
	memcpy(&four.sin_addr, &six->sin6_addr.s6_addr[12], sizeof four.sin_addr);
	*address = (struct address){.size = sizeof four};
	memcpy(&address->socket, &four, sizeof four);
}
