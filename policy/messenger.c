/* messenger: the process of one delivery over the net. */
#include "policy/courier_private.h"

#include "crypto/encoding.h"

#include <grp.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <curl/curl.h>

#define ANSWER_BYTES_MAX (64u << 10)
#define NOBODY 65534
#define MAIL_BYTES (96u << 10)
#define MAIL_LINE 76u

const char *messenger_text(const json_t *delivery, const char *name) {
	const char *text = json_string_value(json_object_get(delivery, name));
	return text ? text : "";
}

/* The net needs no right, and writes no file. */
static bool give_up_rights(void) {
	const struct rlimit none = {0}, few = {.rlim_cur = 64, .rlim_max = 64};
	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
	                              setresuid(NOBODY, NOBODY, NOBODY) != 0))
		return false;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && setrlimit(RLIMIT_FSIZE, &none) == 0 &&
	       setrlimit(RLIMIT_CORE, &none) == 0 && setrlimit(RLIMIT_NOFILE, &few) == 0;
}

/* ---- what both kinds set ---- */

struct received {
	size_t size;
};

/* What is answered is of no interest; more than the bound ends the transfer. */
static size_t drop(char *data, size_t size, size_t count, void *arg) {
	struct received *received = arg;
	(void)data;
	received->size += size * count;
	return received->size > ANSWER_BYTES_MAX ? 0 : size * count;
}

static CURL *new_transfer(const struct messenger *messenger, const char *url, const char *protocols,
        struct received *received, char *words) {
	CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	if (!curl)
		return NULL;
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)messenger->seconds);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)(messenger->seconds / 2 + 1));
	(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, received);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
	return curl;
}

static void say_failed(CURLcode code, const char *words, struct courier_answer *ret) {
	(void)snprintf(ret->words, sizeof ret->words, "%.200s", *words ? words : curl_easy_strerror(code));
}

/* ---- webhook ---- */

static bool add_header(struct curl_slist **list, const char *name, const char *value) {
	char line[512];
	int length = snprintf(line, sizeof line, "%s: %s", name, value);
	struct curl_slist *longer = length > 0 && (size_t)length < sizeof line && !strpbrk(line, "\r\n")
	                                    ? curl_slist_append(*list, line)
	                                    : NULL;
	*list = longer ? longer : *list;
	return longer != NULL;
}

static void judge_status(CURL *curl, CURLcode code, const char *words, struct courier_answer *ret) {
	long status = 0;
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	ret->is_delivered = status >= 200 && status < 300 && (code == CURLE_OK || code == CURLE_WRITE_ERROR);
	ret->is_final = status == 410;
	if (status == 0 || (status < 300 && !ret->is_delivered))
		say_failed(code, words, ret);
	else
		(void)snprintf(ret->words, sizeof ret->words, "HTTP %ld%s", status,
		        status >= 300 && status < 400 ? ", and redirects are not followed" : "");
}

static void post(
        const struct messenger *messenger, const char *url, const json_t *delivery, struct courier_answer *ret) {
	char words[CURL_ERROR_SIZE] = "";
	struct received received = {0};
	struct curl_slist *headers = NULL;
	const char *body = messenger_text(delivery, "body");
	CURL *curl = new_transfer(messenger, url, "http,https", &received, words);
	bool fits = curl && add_header(&headers, "Content-Type", "application/json") &&
	            add_header(&headers, "Expect", "") &&
	            add_header(&headers, "webhook-id", messenger_text(delivery, "id")) &&
	            add_header(&headers, "webhook-timestamp", messenger_text(delivery, "timestamp")) &&
	            add_header(&headers, "webhook-signature", messenger_text(delivery, "signature"));
	if (fits) {
		(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "assayfs/" ASSAYFS_VERSION);
		(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		CURLcode code = curl_easy_perform(curl);
		judge_status(curl, code, words, ret);
	} else {
		(void)snprintf(ret->words, sizeof ret->words, "the request could not be made");
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
}

/* ---- mail ---- */

struct mail {
	char text[MAIL_BYTES];
	size_t size, sent;
};

/* In base64, in lines that every server takes, so that no byte of it can be taken for a header or a command. */
static void add_encoded(struct mail *mail, const char *text, const char *start, const char *end, size_t line) {
	size_t room = BASE64_TEXT_BYTES(strlen(text));
	char *encoded = malloc(room);
	if (!encoded)
		return;
	base64_encode(bytes_of_string(text), encoded);
	for (size_t at = 0, length = strlen(encoded); at < length && mail->size < MAIL_BYTES - 512; at += line)
		mail->size += (size_t)snprintf(mail->text + mail->size, MAIL_BYTES - mail->size, "%s%.*s%s", start,
		        (int)line, encoded + at, end);
	free(encoded);
}

static void write_mail(struct mail *mail, const char *to, const json_t *delivery) {
	char date[64];
	time_t now = time(NULL);
	struct tm tm;
	if (!gmtime_r(&now, &tm) || strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &tm) == 0)
		date[0] = '\0';
	mail->size = (size_t)snprintf(mail->text, MAIL_BYTES,
	        "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%s@assayfs>\r\nAuto-Submitted: auto-generated\r\n"
	        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n"
	        "Subject:",
	        messenger_text(delivery, "from"), to, date, messenger_text(delivery, "id"));
	/* RFC 2047: a word of at most 75 characters; 44 are 33 bytes, and base64 of whole words joins without a gap. */
	add_encoded(mail, messenger_text(delivery, "subject"), " =?utf-8?B?", "?=\r\n", 44);
	mail->size += (size_t)snprintf(mail->text + mail->size, MAIL_BYTES - mail->size, "\r\n");
	add_encoded(mail, messenger_text(delivery, "text"), "", "\r\n", MAIL_LINE);
}

static size_t give(char *buffer, size_t size, size_t count, void *arg) {
	struct mail *mail = arg;
	size_t left = mail->size - mail->sent, room = size * count;
	size_t taken = left < room ? left : room;
	memcpy(buffer, mail->text + mail->sent, taken);
	mail->sent += taken;
	return taken;
}

static void mail_to(
        const struct messenger *messenger, const char *to, const json_t *delivery, struct courier_answer *ret) {
	static struct mail mail;
	char words[CURL_ERROR_SIZE] = "", from[300];
	struct received received = {0};
	if (!alarm_address_fits(to) || !alarm_address_fits(messenger_text(delivery, "from"))) {
		(void)snprintf(ret->words, sizeof ret->words, "an address is none");
		return;
	}
	CURL *curl = new_transfer(messenger, messenger_text(delivery, "server"), "smtp,smtps", &received, words);
	struct curl_slist *to_list = curl ? curl_slist_append(NULL, to) : NULL;
	if (to_list) {
		write_mail(&mail, to, delivery);
		(void)snprintf(from, sizeof from, "<%s>", messenger_text(delivery, "from"));
		(void)curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from);
		(void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to_list);
		(void)curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)CURLUSESSL_TRY);
		(void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		(void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
		(void)curl_easy_setopt(curl, CURLOPT_READDATA, &mail);
		CURLcode code = curl_easy_perform(curl);
		ret->is_delivered = code == CURLE_OK;
		if (code != CURLE_OK)
			say_failed(code, words, ret);
		else
			(void)snprintf(ret->words, sizeof ret->words, "the mail server took it");
	}
	curl_slist_free_all(to_list);
	curl_easy_cleanup(curl);
}

void messenger_deliver(const struct messenger *messenger, const json_t *delivery, struct courier_answer *ret_answer) {
	enum alarm_target kind;
	const char *rest = NULL;
	if (alarm_target_parse(messenger_text(delivery, "target"), &kind, &rest) < 0)
		(void)snprintf(ret_answer->words, sizeof ret_answer->words, "there is no such kind of target");
	else if (kind == ALARM_TARGET_COMMAND)
		messenger_command(messenger, rest, delivery, ret_answer);
	else if (!give_up_rights())
		(void)snprintf(ret_answer->words, sizeof ret_answer->words, "rights could not be given up");
	else if (kind == ALARM_TARGET_MAIL)
		mail_to(messenger, rest, delivery, ret_answer);
	else
		post(messenger, rest, delivery, ret_answer);
}
