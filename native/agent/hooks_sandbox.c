// A sandbox of the program's own (seccomp) may kill it for system calls that it does not expect, which the
// recorder's are: better none.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "hooks.h"

void ht_sandbox_ahead(long number, long argument) {
  bool enters = number == SYS_prctl ? argument == PR_SET_SECCOMP
                                    : (unsigned long)argument <= SECCOMP_SET_MODE_FILTER;
  if (enters) ht_turn_off_now(HT_OFF_SANDBOX);
}

HT_EXPORT int prctl(int option, ...) {
  va_list more;
  va_start(more, option);
  unsigned long a = va_arg(more, unsigned long), b = va_arg(more, unsigned long),
                c = va_arg(more, unsigned long), d = va_arg(more, unsigned long);
  va_end(more);
  ht_sandbox_ahead(SYS_prctl, option);
  long result = ht_syscall(SYS_prctl, option, (long)a, (long)b, (long)c, (long)d, 0);
  if (result >= 0) return (int)result;
  errno = (int)-result;
  return -1;
}
