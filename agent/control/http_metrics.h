/*
 * http_metrics: a status as a page in the Prometheus text format 0.0.4. The table is metrics.def.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef CONTROL_HTTP_METRICS_H
#define CONTROL_HTTP_METRICS_H

#include <stdio.h>

#include "base/bytes.h"
#include "pipeline/status.h"

#define HTTP_METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends the page. 0 or -ENOMEM. */
int http_metrics_render(const struct status *status, struct bytes *page);

/* Every family with type, labels and help, for people. */
void http_metrics_print_doc(FILE *out);

#endif
