// SPDX-License-Identifier: Apache-2.0
// Small helpers of the benches `ring` and `start`:
//
//   ring poll OBJECT TID    reads the ring of ring.bpf.c as everybody does with libbpf; says "ready", ends with SIGTERM
//                           and says how many records it saw and what CPU time its thread used, in nanoseconds
//   ring storm COUNT        says "ready", waits for a line, calls getppid COUNT times, says the nanoseconds of one
//   ring now FILE           writes the monotonic clock into FILE, in nanoseconds
//   ring lone COUNT         says "ready", waits for a line, opens a file that is not there every 30 to 70 ms
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;
static unsigned long records;

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void on_signal(int signal)
{
	stop = 1;
}

static int on_record(void *context, void *data, size_t size)
{
	records++;
	return 0;
}

static int ready(void)
{
	printf("ready\n");
	fflush(stdout);
	return getchar() < 0;
}

/* The headers have variables of their own beside it. */
static int set(struct bpf_object *object, const char *name, unsigned value)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC), i;
	const struct btf_type *section = btf__type_by_id(btf, id);
	size_t size;
	char *image = (char *)bpf_map__initial_value(bpf_object__find_map_by_name(object, ".rodata"), &size);

	for (i = 0; section && image && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *v = btf_var_secinfos(section) + i;

		if (strcmp(btf__name_by_offset(btf, btf__type_by_id(btf, v->type)->name_off), name) == 0) {
			memcpy(image + v->offset, &value, sizeof(value));
			return 0;
		}
	}
	return -1;
}

static int poll_ring(const char *path, unsigned tid)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	struct ring_buffer *ring;
	double begin;

	if (!object || set(object, "traced_tid", tid) || bpf_object__load(object))
		return 1;
	bpf_object__for_each_program(program, object)
		if (!bpf_program__attach(program))
			return 1;
	ring = ring_buffer__new(bpf_map__fd(bpf_object__find_map_by_name(object, "records")), on_record, NULL, NULL);
	if (!ring)
		return 1;
	signal(SIGTERM, on_signal);
	pin(0);
	printf("ready\n");
	fflush(stdout);
	begin = now(CLOCK_THREAD_CPUTIME_ID);
	while (!stop)
		ring_buffer__poll(ring, 100);
	ring_buffer__consume(ring);
	printf("%lu %.0f\n", records, now(CLOCK_THREAD_CPUTIME_ID) - begin);
	return 0;
}

static int storm(long count)
{
	double begin;
	long i;

	pin(1);
	if (ready())
		return 1;
	begin = now(CLOCK_MONOTONIC);
	for (i = 0; i < count; i++)
		syscall(SYS_getppid);
	printf("%.3f\n", (now(CLOCK_MONOTONIC) - begin) / count);
	return 0;
}

static int lone(long count)
{
	long i;

	if (ready())
		return 1;
	srand(1);
	for (i = 0; i < count; i++) {
		usleep(30000 + rand() % 40000);
		syscall(SYS_openat, AT_FDCWD, "/usr/lib/libnone.so.6", O_RDONLY, 0);
	}
	return 0;
}

static int write_now(const char *path)
{
	double at = now(CLOCK_MONOTONIC);
	FILE *file = fopen(path, "w");

	if (!file)
		return 1;
	fprintf(file, "%.0f\n", at);
	return fclose(file) != 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "poll") == 0)
		return poll_ring(argv[2], atoi(argv[3]));
	if (argc > 2 && strcmp(argv[1], "storm") == 0)
		return storm(atol(argv[2]));
	if (argc > 2 && strcmp(argv[1], "now") == 0)
		return write_now(argv[2]);
	if (argc > 2 && strcmp(argv[1], "lone") == 0)
		return lone(atol(argv[2]));
	return 2;
}
