#include "fs/http/peer.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

static void put_end(const struct address *address, __be16 *port, __be32 ret_bytes[static 4]) {
	const struct sockaddr_in *four = (const struct sockaddr_in *)&address->socket;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->socket;
	if (address->socket.ss_family == AF_INET6) {
		*port = six->sin6_port;
		memcpy(ret_bytes, &six->sin6_addr, sizeof six->sin6_addr);
	} else {
		*port = four->sin_port;
		memcpy(ret_bytes, &four->sin_addr, sizeof four->sin_addr);
	}
}

static int read_answer(const char *answer, size_t size, uid_t *ret_uid) {
	struct nlmsghdr head;
	struct inet_diag_msg found;
	if (size < sizeof head)
		return -EPROTO;
	memcpy(&head, answer, sizeof head);
	if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || size < NLMSG_HDRLEN + sizeof found)
		return -ENOENT;
	memcpy(&found, answer + NLMSG_HDRLEN, sizeof found);
	/* One that its owner has closed belongs to nobody, which looks like root. */
	if (found.idiag_state != 1 /* TCP_ESTABLISHED */ || found.idiag_inode == 0)
		return -ENOENT;
	*ret_uid = found.idiag_uid;
	return 0;
}

int peer_uid(const struct address *client, const struct address *server, uid_t *ret_uid) {
	struct question question = {
	        .head = {.nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
	        .body = {.sdiag_family = (uint8_t)client->socket.ss_family,
	                .sdiag_protocol = IPPROTO_TCP,
	                .idiag_states = ~0u,
	                .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	char answer[1024];
	if (client->socket.ss_family != server->socket.ss_family)
		return fault(ENOENT, "the two ends are of different families");
	put_end(client, &question.body.id.idiag_sport, question.body.id.idiag_src);
	put_end(server, &question.body.id.idiag_dport, question.body.id.idiag_dst);
	_cleanup_(closep) int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0 || sendto(fd, &question, sizeof question, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
		return fault_errno(errno, "asking the kernel whose connection it is");
	ssize_t got = recv(fd, answer, sizeof answer, 0);
	int rc = got < 0 ? -errno : read_answer(answer, (size_t)got, ret_uid);
	return rc < 0 ? fault(-rc, "whose connection it is can't be told") : 0;
}
