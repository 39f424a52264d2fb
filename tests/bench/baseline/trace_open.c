// SPDX-License-Identifier: Apache-2.0
// What an engineer would write by hand on libbpf: the same eBPF object as the gadget trace_open, one JSON line a record
// with the fields that the gadget shows, in the same words.
//
//   trace_open OBJECT TID poll|batch
//   trace_open OBJECT TID load CMD ARGS...    attach, run the command, and end
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct event {
	unsigned long long timestamp;
	char comm[16];
	unsigned pid, tid;
	unsigned long long mntns, cgroup;
	unsigned uid, gid;
	char pcomm[16];
	unsigned ppid, pad;
	unsigned error;
	int fd;
	unsigned flags, mode;
	char fname[];
};

static const struct {
	unsigned bit;
	const char *name;
} flags[] = {
	{ 0100, "O_CREAT" },       { 0200, "O_EXCL" },	   { 0400, "O_NOCTTY" },     { 01000, "O_TRUNC" },
	{ 02000, "O_APPEND" },     { 04000, "O_NONBLOCK" }, { 010000, "O_DSYNC" },    { 020000, "O_ASYNC" },
	{ 040000, "O_DIRECT" },    { 0100000, "O_LARGEFILE" }, { 0200000, "O_DIRECTORY" }, { 0400000, "O_NOFOLLOW" },
	{ 01000000, "O_NOATIME" }, { 02000000, "O_CLOEXEC" }, { 010000000, "O_PATH" },
};

static volatile sig_atomic_t stop;
static unsigned long rows;
static long long wall_offset;

static void on_signal(int signal)
{
	stop = 1;
}

static void text(const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar_unlocked('\\');
		if ((unsigned char)*s < 0x20)
			printf("\\u%04x", *s);
		else
			putchar_unlocked(*s);
	}
}

static int on_record(void *context, void *data, size_t size)
{
	static long long second = -1;
	static char date[32];
	const struct event *e = data;
	long long wall = e->timestamp + wall_offset;
	static const char *const access[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };
	size_t i;

	if (wall / 1000000000 != second) {
		struct tm tm;
		time_t t = second = wall / 1000000000;

		gmtime_r(&t, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	}
	printf("{\"timestamp\":\"%s.%09lldZ\",\"comm\":\"", date, wall % 1000000000);
	text(e->comm);
	printf("\",\"pid\":%u,", e->pid);
	if (e->error)
		printf("\"fd\":null,\"error\":\"%s\",", strerrorname_np(e->error));
	else
		printf("\"fd\":%d,\"error\":null,", e->fd);
	printf("\"flags\":\"%s", access[e->flags & 3]);
	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (e->flags & flags[i].bit)
			printf("|%s", flags[i].name);
	fputs("\",\"path\":\"", stdout);
	text(e->fname);
	fputs("\"}\n", stdout);
	rows++;
	return 0;
}

static int set(struct bpf_object *object, const char *name, unsigned value)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC), i;
	const struct btf_type *section = btf__type_by_id(btf, id);
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");
	size_t size;
	char *image = (char *)bpf_map__initial_value(map, &size);

	for (i = 0; section && image && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *v = btf_var_secinfos(section) + i;

		if (strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, v->type)->name_off), name) == 0) {
			memcpy(image + v->offset, &value, sizeof(value));
			return 0;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	struct bpf_program *program;
	struct ring_buffer *ring;
	struct timespec boot, wall;
	int batch;

	if (argc < 4)
		return 2;
	batch = strcmp(argv[3], "batch") == 0;
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	setvbuf(stdout, NULL, _IOFBF, 65536);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	wall_offset = (wall.tv_sec - boot.tv_sec) * 1000000000LL + wall.tv_nsec - boot.tv_nsec;

	object = bpf_object__open_file(argv[1], NULL);
	if (!object || set(object, "gadget_filter_tid", atoi(argv[2])) || bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object)
		if (bpf_program__autoload(program) && !bpf_program__attach(program))
			return 1;
	if (strcmp(argv[3], "load") == 0) {
		pid_t child = argc > 4 ? vfork() : -1;

		if (child == 0) {
			execv(argv[4], argv + 4);
			_exit(127);
		}
		if (child > 0)
			waitpid(child, NULL, 0);
		return 0;
	}
	ring = ring_buffer__new(bpf_map__fd(bpf_object__find_map_by_name(object, "events")), on_record, NULL, NULL);
	if (!ring)
		return 1;
	while (!stop) {
		if (batch) {
			usleep(20000);
			ring_buffer__consume(ring);
		} else {
			ring_buffer__poll(ring, 100);
		}
		fflush(stdout);
	}
	ring_buffer__consume(ring);
	fflush(stdout);
	fprintf(stderr, "%lu\n", rows);
	return 0;
}
