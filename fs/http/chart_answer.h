/* chart_answer: a chart of the API: what it shows, asked of the daemon's handlers, and drawn by chart.h. */
#pragma once

#include "fs/control.h"

#include <stdint.h>

/* As service_ask. */
typedef int chart_ask(void *arg, const char *command, const json_t *arguments, json_t **ret_items);

/* {"title","svg","rows":[{"name","first","last","least","most"},…]} of the chart `name` (storage, cost, quality), with
 * the values as text. -ENOSYS, -ENOENT: there is nothing to show. */
int chart_answer(
        const char *name, const json_t *arguments, int64_t now_s, chart_ask *ask, void *arg, json_t **ret_item);
