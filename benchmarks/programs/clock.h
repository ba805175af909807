// The time of a benchmark's own work: start-up, recorder's and program's, is left out.
#ifndef BENCHMARK_CLOCK_H
#define BENCHMARK_CLOCK_H

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct timespec clock_wall, clock_cpu;

static inline void clock_start(void) {
  clock_gettime(CLOCK_MONOTONIC, &clock_wall);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &clock_cpu);
}

static inline double clock_since(clockid_t which, const struct timespec *start) {
  struct timespec now;
  clock_gettime(which, &now);
  return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) * 1e-9;
}

// The greatest resident set since exec, in bytes. getrusage would count what was there before it.
static inline long clock_greatest_rss(void) {
  char line[256];
  long kilobytes = 0;
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) return 0;
  while (fgets(line, sizeof line, status) != NULL) {
    if (strncmp(line, "VmHWM:", 6) == 0) sscanf(line + 6, "%ld", &kilobytes);
  }
  fclose(status);
  return kilobytes * 1024;
}

// One line on stderr: seconds of wall clock and of CPU since clock_start, operations done, and the
// process's greatest resident set so far.
static inline void clock_report(double operations) {
  double wall = clock_since(CLOCK_MONOTONIC, &clock_wall);
  double cpu = clock_since(CLOCK_PROCESS_CPUTIME_ID, &clock_cpu);
  fprintf(stderr, "benchmark {\"wall\": %.6f, \"cpu\": %.6f, \"operations\": %.0f, \"rss\": %ld}\n",
          wall, cpu, operations, clock_greatest_rss());
}

#endif
