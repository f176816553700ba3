/*
 * address: ADDR:PORT as `assayfs mount --http` takes it.
 *
 *      127.0.0.1:9475      [::1]:9475      localhost:9475      0.0.0.0:9475      port 0: any that is free
 *
 * Names other than localhost are not looked up: what they mean could change between the mount and the next.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_BYTES 80

struct address {
	struct sockaddr_storage socket;
	socklen_t size;
};

/* -EINVAL with words. */
int address_parse(const char *text, struct address *ret);

/* "127.0.0.1:80" and "[::1]:80". Returns `ret_text`. */
const char *address_text(const struct address *address, char ret_text[static ADDRESS_TEXT_BYTES]);

/* The port, in the machine's order. */
uint16_t address_port(const struct address *address);

/* Whether only programs of this machine can reach it. */
bool address_is_loopback(const struct address *address);

/*
 * Whether a Host header may name a server bound to `address`: an address literal or localhost, with that port (or none
 * where it is 80). A name that somebody's DNS leads here is none of these: a page of his could else read ours.
 */
bool address_allows_host(const struct address *address, const char *host);

/* Of an accepted connection: an IPv4 client of an IPv6 socket counts as the IPv4 client that it is. */
void address_unmap(struct address *address);
