/*
 * route: from a request to what is asked of the daemon: one table, and nothing that is not in it. Parameters are as
 * untrusted as anything: a name that the route does not have, or a value that is none, is an error that says so.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

enum route_answer {
	ROUTE_ONE,     /* the answer's one item */
	ROUTE_LIST,    /* {LIST:[…]} */
	ROUTE_LINEAGE, /* {"versions":[…],"ties":[…],"deliveries":[…],"hidden","left_out"} */
	ROUTE_RECORDS, /* of the audit log: {"records":[…]} */
	ROUTE_TEXT,    /* the item's "text" */
	ROUTE_CHART,   /* made of several answers: chart_answer.h */
};

struct route {
	const char *command; /* of the control socket; static; of a chart its name */
	const char *list;    /* of ROUTE_LIST: the list's name; static */
	enum route_answer answer;
	bool is_act;       /* changes something: needs a steward's token */
	json_t *arguments; /* the caller's */
};

/* `parameters`: {"name":"value",…}; `body`: the text of a POST, NULL: none; `now_ns`: what "-1h" counts from.
 * -ENOENT: no such path; -EOPNOTSUPP: not with that method; -EINVAL with words. */
int route_find(const char *method, const char *path, const json_t *parameters, const char *body, int64_t now_ns,
        struct route *ret);
