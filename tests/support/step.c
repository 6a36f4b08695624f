/* Loaded before everything else (LD_PRELOAD): a wall clock that a test steps, in all that it moves in a process. The file that
 * CLOCK_STEP names holds the step in milliseconds, as eight bytes. Waits until a wall-clock time see a step while they wait, as
 * the kernel has it; the monotonic clock is left alone.
 *
 * libfaketime does not do here: it asks the loader for functions that are missing, and the loader gives back the text of that
 * error, which it allocated itself, by the `free` of the process; that one is mimalloc's, and ends by a segmentation fault. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define SLICE 20000000LL

typedef int (*timed_wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

static volatile const int64_t *step;
static timed_wait real_timed_wait;
static int (*real_cnd_timedwait)(cnd_t *, mtx_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_STEP");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file >= 0) {
        void *at = mmap(0, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
        step = at == MAP_FAILED ? 0 : at;
        close(file);
    }
    real_timed_wait = (timed_wait)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    real_cnd_timedwait = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
}

static int64_t offset(void) { return step ? *step * 1000000LL : 0; }

static int64_t nanoseconds(const struct timespec *t) { return t->tv_sec * SECOND + t->tv_nsec; }

static struct timespec spec(int64_t ns) {
    struct timespec t = {ns / SECOND, ns % SECOND};
    return t;
}

static int64_t real_now(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return nanoseconds(&now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (failed == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) *now = spec(nanoseconds(now) + offset());
    return (int)failed;
}

int timespec_get(struct timespec *now, int base) {
    *now = spec(real_now() + offset());
    return base;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    int64_t ns = real_now() + offset();
    now->tv_sec = ns / SECOND;
    now->tv_usec = ns % SECOND / 1000;
    return 0;
}

time_t time(time_t *out) {
    time_t now = (real_now() + offset()) / SECOND;
    if (out) *out = now;
    return now;
}

/* When a wait until `until` is to look again, by the clock of the kernel; returns whether that is its end. */
static int next_look(const struct timespec *until, struct timespec *next) {
    int64_t now = real_now(), end = nanoseconds(until) - offset();
    *next = spec(end <= now + SLICE ? end : now + SLICE);
    return end <= now + SLICE;
}

static int is_over(const struct timespec *until) { return real_now() + offset() >= nanoseconds(until); }

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    /* So small a time is the monotonic clock's. */
    if (until->tv_sec < 1000000000) return real_timed_wait(condition, mutex, until);
    for (;;) {
        struct timespec next;
        int last = next_look(until, &next);
        int came = real_timed_wait(condition, mutex, &next);
        if (came != ETIMEDOUT || (last && is_over(until))) return came;
    }
}

/* The client library waits by this one. */
int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
    for (;;) {
        struct timespec next;
        int last = next_look(until, &next);
        int came = real_cnd_timedwait(condition, mutex, &next);
        if (came != thrd_timedout || (last && is_over(until))) return came;
    }
}
