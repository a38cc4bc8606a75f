/* What a test does to one process: its clock of the day is another one, and writes and flushes of its files fail or
 * stand still. The first bytes of the file FAULTS_PAGE say what holds now; FAULTS_BELOW is the directory of the files.
 * Rust's standard library and LMDB are clients of the C library, so that their calls can be intercepted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct page {
    volatile int64_t seconds; /* added to the clock of the day */
    volatile char fails, stands_still;
};

static struct page *page;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULTS_PAGE");
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof *page, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) page = mapped;
    close(fd);
}

#define NEXT(name) ({ static void *next; if (!next) next = dlsym(RTLD_NEXT, name); next; })

static int is_below(int fd) {
    const char *below = getenv("FAULTS_BELOW");
    char link[64], path[PATH_MAX];
    if (!below) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

/* Waits as long as the disk stands still; then whether the call fails. */
static int fails(int fd) {
    if (!page || !(page->fails || page->stands_still) || !is_below(fd)) return 0;
    while (page->stands_still) usleep(1000);
    if (!page->fails) return 0;
    errno = EIO;
    return 1;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (fails(fd)) return -1;
    return ((ssize_t (*)(int, const void *, size_t))NEXT("write"))(fd, bytes, length);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    if (fails(fd)) return -1;
    return ((ssize_t (*)(int, const void *, size_t, off_t))NEXT("pwrite"))(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    if (fails(fd)) return -1;
    return ((ssize_t (*)(int, const void *, size_t, off64_t))NEXT("pwrite64"))(fd, bytes, length, at);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    if (fails(fd)) return -1;
    return ((ssize_t (*)(int, const struct iovec *, int, off_t))NEXT("pwritev"))(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    if (fails(fd)) return -1;
    return ((ssize_t (*)(int, const struct iovec *, int, off64_t))NEXT("pwritev64"))(fd, parts, count, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (fails(fd)) return -1;
    return ((ssize_t (*)(int, const struct iovec *, int))NEXT("writev"))(fd, parts, count);
}
int fdatasync(int fd) { return fails(fd) ? -1 : ((int (*)(int))NEXT("fdatasync"))(fd); }
int fsync(int fd) { return fails(fd) ? -1 : ((int (*)(int))NEXT("fsync"))(fd); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = ((int (*)(clockid_t, struct timespec *))NEXT("clock_gettime"))(clock, now);
    if (page && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += page->seconds;
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int result = ((int (*)(struct timeval *, void *))NEXT("gettimeofday"))(now, zone);
    if (page) now->tv_sec += page->seconds;
    return result;
}
time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
