#include "fs/command/progress.h"

#include "crypto/base/deadline.h"
#include "fs/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NS_PER_SECOND INT64_C(1000000000)
#define REDRAW_NS (NS_PER_SECOND / 10)
#define BAR_COLUMNS 20
#define LINE_MAX_BYTES 256

struct Progress {
	int fd;
	bool is_terminal, is_shown;
	int64_t (*now)(void);
	const char *label;
	enum progress_unit unit;
	uint64_t done, total;
	int64_t begun, drawn;
};

Progress *progress_begin_on(
        int fd, bool is_terminal, int64_t (*now_ns)(void), const char *label, enum progress_unit unit, uint64_t total) {
	Progress *progress = calloc(1, sizeof *progress);
	if (!progress)
		return NULL;
	*progress = (struct Progress){.fd = fd,
	        .is_terminal = is_terminal,
	        .now = now_ns,
	        .label = label,
	        .unit = unit,
	        .total = total,
	        .begun = now_ns()};
	progress->drawn = progress->begun - REDRAW_NS;
	return progress;
}

Progress *progress_begin(const char *label, enum progress_unit unit, uint64_t total) {
	const char *terminal = getenv("TERM");
	bool can_draw = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
	return progress_begin_on(STDERR_FILENO, can_draw, monotonic_ns, label, unit, total);
}

static const char *amount(const Progress *progress, uint64_t value, char buffer[static WORDS_BYTES]) {
	if (progress->unit == PROGRESS_BYTES)
		return words_size(value, buffer);
	snprintf(buffer, WORDS_BYTES, "%llu", (unsigned long long)value);
	return buffer;
}

static size_t add(char *line, size_t used, const char *text) {
	int length = snprintf(line + used, LINE_MAX_BYTES - used, "%s", text);
	size_t end = used + (length > 0 ? (size_t)length : 0);
	return end < LINE_MAX_BYTES ? end : LINE_MAX_BYTES - 1;
}

static size_t add_bar(char *line, size_t used, double share) {
	char bar[BAR_COLUMNS + 16];
	int full = (int)(share * BAR_COLUMNS);
	char *to = bar;
	to += sprintf(to, "  [");
	for (int i = 0; i < BAR_COLUMNS; i++)
		*to++ = i < full ? '=' : i == full ? '>' : ' ';
	sprintf(to, "] %3d%%", (int)(share * 100));
	return add(line, used, bar);
}

static size_t compose(const Progress *progress, int64_t now, char line[static LINE_MAX_BYTES]) {
	char words[WORDS_BYTES];
	size_t used = add(line, 0, progress->label);
	double share = progress->total ? (double)progress->done / (double)progress->total : 0;
	share = share > 1 ? 1 : share;
	if (progress->total)
		used = add_bar(line, used, share);
	used = add(line, used, "  ");
	used = add(line, used, amount(progress, progress->done, words));
	if (progress->total) {
		used = add(line, used, " of ");
		used = add(line, used, amount(progress, progress->total, words));
	}
	double seconds = (double)(now - progress->begun) / 1e9;
	if (seconds < 1 || progress->done == 0)
		return used; /* a rate from less than a second is a guess */
	used = add(line, used, "  ");
	used = add(line, used, amount(progress, (uint64_t)((double)progress->done / seconds), words));
	used = add(line, used, "/s");
	if (progress->total && share < 1) {
		used = add(line, used, "  ");
		used = add(line, used, words_duration((int64_t)(seconds * 1e9 * (1 - share) / share), words));
		used = add(line, used, " left");
	}
	return used;
}

static size_t terminal_columns(int fd) {
	struct winsize size;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

static void write_all(int fd, const char *text, size_t size) {
	while (size) {
		ssize_t written = write(fd, text, size);
		if (written <= 0)
			return; /* a terminal that is gone: the work goes on */
		text += written;
		size -= (size_t)written;
	}
}

static void draw(Progress *progress, int64_t now) {
	char line[LINE_MAX_BYTES];
	char out[LINE_MAX_BYTES + 16];
	size_t length = compose(progress, now, line);
	size_t columns = terminal_columns(progress->fd) - 1; /* the last column would wrap on some terminals */
	int shown = (int)(length < columns ? length : columns);
	int size = snprintf(out, sizeof out, "\r%.*s\033[K", shown, line);
	write_all(progress->fd, out, (size_t)size);
	progress->drawn = now;
	progress->is_shown = true;
}

void progress_set(Progress *progress, uint64_t done, uint64_t total) {
	if (!progress)
		return;
	progress->done = done;
	progress->total = total;
	if (!progress->is_terminal)
		return;
	int64_t now = progress->now();
	if (now - progress->drawn >= REDRAW_NS)
		draw(progress, now);
}

void progress_label(Progress *progress, const char *label) {
	if (progress)
		progress->label = label;
}

void progress_hide(Progress *progress) {
	if (!progress || !progress->is_shown)
		return;
	write_all(progress->fd, "\r\033[K", 4);
	progress->is_shown = false;
	progress->drawn = progress->now() - REDRAW_NS;
}

void progress_end(Progress *progress) {
	progress_hide(progress);
	free(progress);
}
