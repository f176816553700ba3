/*
 * worker_answer: what a worker answers, read as the hostile bytes that they may be. For worker.c.
 *
 *     lengths │ JSON: the result │ rows that are withheld │ places that are published otherwise
 *
 * Nothing is taken that nobody asked for, or that speaks against itself: a pass that drops rows without saying which,
 * or finds what is to be changed without saying where, or leaves a rule on groups out.
 */
#pragma once

#include "policy/check.h"

/* `size` is the file's, `is_read_again` whether the worker had it a second time. -EBADMSG with words, -ENOMEM. */
int worker_answer_read(const struct check_job *job, bool is_read_again, uint64_t size, struct bytes answer,
        struct check_result **ret_result);
