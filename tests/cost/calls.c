// SPDX-License-Identifier: Apache-2.0
// The traced side of cost.sh: one pinned thread that makes calls of one kind, in bursts with rests between them, so
// that no reader falls behind.
//
//   calls open|exec|exec-failed|connection|other    prints the nanoseconds of CPU time of one call: of 100 bursts that which nine in
//                                   ten exceed, because what else runs only adds
//
// CPU time, its children's included, because a wait for a child lets others run.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BURSTS 100

static char **own;

static void open_missing(void)
{
	syscall(SYS_openat, AT_FDCWD, "/usr/lib/x86_64-linux-gnu/libnone.so.6", O_RDONLY | O_CLOEXEC, 0);
}

static void other_call(void)
{
	syscall(SYS_getppid);
}

static void exec_missing(void)
{
	char *words[] = {"/usr/local/bin/none", "-v", NULL};

	execv(words[0], words);
}

static void exec_self(void)
{
	char *words[] = {own[0], "nothing", NULL};
	pid_t child = vfork();

	if (child == 0) {
		execv("/proc/self/exe", words);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

// A connection to itself, from connect to the end of both sides. A reset, so that nothing waits for late packets.
static void connection(void)
{
	static struct sockaddr_in to = {.sin_family = AF_INET};
	static const struct linger reset = {.l_onoff = 1};
	static int listener = -1;
	socklen_t size = sizeof(to);
	int client, server;

	if (listener < 0) {
		to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listener, (struct sockaddr *)&to, size) || listen(listener, 16) ||
		    getsockname(listener, (struct sockaddr *)&to, &size))
			exit(1);
	}
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(client, (struct sockaddr *)&to, sizeof(to)))
		exit(1);
	server = accept(listener, NULL, NULL);
	setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(client);
	close(server);
}

static double spent(void)
{
	struct timespec own;
	struct rusage children;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	return own.tv_sec * 1e9 + own.tv_nsec +
	       (children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1e9 +
	       (children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1e3;
}

static int larger(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*call)(void);
		int burst;
	} kinds[] = {{"open", open_missing, 1000}, {"exec-failed", exec_missing, 1000}, {"exec", exec_self, 10},
		     {"connection", connection, 100}, {"other", other_call, 20000}};
	enum { KINDS = sizeof(kinds) / sizeof(*kinds) };
	double bursts[BURSTS];
	cpu_set_t one;
	size_t kind;

	own = argv;
	if (argc == 2 && !strcmp(argv[1], "nothing"))
		return 0;
	for (kind = 0; kind < KINDS; kind++)
		if (argc == 2 && !strcmp(argv[1], kinds[kind].name))
			break;
	if (kind == KINDS) {
		fprintf(stderr, "calls open|exec|exec-failed|connection|other\n");
		return 2;
	}
	CPU_ZERO(&one);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) > 1, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (int i = 0; i < BURSTS; i++) {
		double begin = spent();

		for (int n = 0; n < kinds[kind].burst; n++)
			kinds[kind].call();
		bursts[i] = (spent() - begin) / kinds[kind].burst;
		usleep(5000);
	}
	qsort(bursts, BURSTS, sizeof(*bursts), larger);
	fprintf(stderr, "ns a call: %.0f\n", bursts[BURSTS / 10]);
	return 0;
}
