// SPDX-License-Identifier: Apache-2.0
// The traced side of the benches: one pinned thread that opens a file that is not there.
//
//   storm RATE COUNT    RATE opens a second, 0: as fast as they go; COUNT in all
//
// Says "ready", waits for a line on its input, and ends with the nanoseconds that one call took from begin to end
// of the whole storm.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	double rate = argc > 1 ? atof(argv[1]) : 0, begin;
	long count = argc > 2 ? atol(argv[2]) : 0, i;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(1, &one);
	sched_setaffinity(0, sizeof(one), &one);
	printf("ready\n");
	fflush(stdout);
	if (getchar() < 0)
		return 1;
	begin = now();
	for (i = 0; i < count; i++) {
		if (rate > 0)
			while (now() < begin + i * 1e9 / rate)
				;
		syscall(SYS_openat, AT_FDCWD, "/usr/lib/x86_64-linux-gnu/libnone.so.6", O_RDONLY | O_CLOEXEC, 0);
	}
	printf("%.3f\n", (now() - begin) / (count ? count : 1));
	return 0;
}
