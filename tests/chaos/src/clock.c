/* Loaded before all else, gives a process another time of day: CLOCK_OFF seconds from the true one.

   Who waits until a time of day has read it from this clock, so the wait is told the true one: it lasts as long as ever. The
   monotonic clock stays as it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static time_t off(void) {
  const char *text = getenv("CLOCK_OFF");
  return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  int result = (int)syscall(SYS_clock_gettime, clock, out);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    out->tv_sec += off();
  return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  if (result == 0) {
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
  }
  return result;
}

time_t time(time_t *out) {
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out)
    *out = now.tv_sec;
  return now.tv_sec;
}

static struct timespec true_time(const struct timespec *until) {
  struct timespec time = *until;
  time.tv_sec -= off();
  return time;
}

int cnd_timedwait(cnd_t *restrict changed, mtx_t *restrict lock, const struct timespec *restrict until) {
  typedef int (*wait)(cnd_t *, mtx_t *, const struct timespec *);
  static wait real;
  if (!real)
    real = (wait)dlsym(RTLD_NEXT, "cnd_timedwait");
  struct timespec time = true_time(until);
  return real(changed, lock, &time);
}

int pthread_cond_timedwait(pthread_cond_t *restrict changed, pthread_mutex_t *restrict lock,
                           const struct timespec *restrict until) {
  typedef int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  static wait real;
  if (!real)
    real = (wait)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  struct timespec time = true_time(until);
  return real(changed, lock, &time);
}
