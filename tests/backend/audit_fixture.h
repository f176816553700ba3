/*
 * audit_fixture: records that a test makes, on a meta_fixture.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/audit.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

/* An event of a user's cp. */
static inline struct audit_event event_of(const char *event, const char *path) {
	return (struct audit_event){
	        .event = event, .path = path, .actor = {.uid = 1000, .gid = 100, .pid = 42, .exe = "cp"}};
}

/* Records it as an operation of its own. */
static inline void record(struct fixture *f, const struct audit_event *event) {
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, audit_record(f->m, event, NULL)), 0);
}
