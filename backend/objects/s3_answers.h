/*
 * s3_answers: what S3's answers say. Nothing in them is trusted: each is read to its end before any of it is used, and
 * what is not spelled as S3 spells it is -EBADMSG.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* <Error>. Texts are made printable and cut. */
struct s3_error {
	char code[64];
	char message[400];
	char request_id[80];
	char region[64];
};

/* 0: it is an error; -ENOENT: it is something else, or nothing. */
int s3_error_parse(struct bytes answer, struct s3_error *ret_error);

/* An object, a version, a delete marker or an upload that is not completed. Texts belong to the page. */
struct s3_entry {
	char *key;
	char *version; /* or the upload's id; "" */
	uint64_t size;
	int64_t modified_s;
	bool is_latest, is_removed;
};

/* A page of a listing. */
struct s3_page {
	struct s3_entry *entries;
	size_t count;
	size_t room;
	bool is_truncated;
	char *next; /* continuation token, or key marker; NULL: none */
	char *next_version;
};

/* Frees what is in it. */
void s3_page_clear(struct s3_page *page);

/* ListObjectsV2, ListObjectVersions (in their order) and ListMultipartUploads; with encoding-type=url. A page that does
 * not say whether it is the last, or is not and does not say where to go on, is -EBADMSG. */
int s3_page_parse(struct bytes answer, struct s3_page *ret_page);

/* The text of one element by its whole path, "" when it is not there or has no room. -EBADMSG. */
int s3_text_parse(struct bytes answer, const char *path, char *ret_text, size_t room);

/* "2026-11-28T09:16:00.000Z" as seconds since 1970. false: it is none. */
bool s3_time_parse(const char *text, int64_t *ret_time_s);
