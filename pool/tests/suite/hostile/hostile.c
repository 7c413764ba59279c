/* A worker that misbehaves as Python cannot: it crashes with a segmentation fault, is traced, ends
 * its first thread, or writes to stderr without end.
 *
 *     hostile START MARKER
 *
 * As hostile.py: the worker that creates MARKER starts as START says, and later ones are good. Each
 * request is a verb. */

#include "frames.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Forks a process of the same group that traces this one, and waits until it does. */
static void be_traced_by_a_child(void) {
    int traced[2];
    if (pipe(traced) < 0) _exit(77);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    pid_t parent = getpid();
    if (fork() == 0) {
        if (ptrace(PTRACE_SEIZE, parent, 0, 0) < 0) _exit(77);
        if (write(traced[1], "!", 1) < 0) _exit(77);
        for (;;) pause();
    }
    close(traced[1]);
    char done;
    if (read(traced[0], &done, 1) < 1) _exit(77);
    close(traced[0]);
}

static void *serve_on(void *unused) {
    (void)unused;
    serve();
    return NULL;
}

static void act(const char *verb, uint32_t id) {
    char body[64];
    if (strcmp(verb, "pid") == 0) {
        answer(REPLY, id, body, snprintf(body, sizeof body, "%d", getpid()));
    } else if (strcmp(verb, "segfault") == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        *(volatile int *)NULL = 1;
    } else if (strcmp(verb, "flood_for_ever") == 0) {
        static char noise[1 << 16];
        memset(noise, 'x', sizeof noise);
        /* Two more processes write, so that the pipe fills faster than it is read. */
        for (int more = 0; more < 2; more++)
            if (fork() == 0) break;
        while (write(2, noise, sizeof noise) > 0) {}
    } else if (strcmp(verb, "be_traced") == 0) {
        be_traced_by_a_child();
        answer(REPLY, id, "traced", 6);
    } else if (strcmp(verb, "end_first_thread") == 0) {
        pthread_t other;
        answer(REPLY, id, "ended", 5);
        if (pthread_create(&other, NULL, serve_on, NULL) != 0) _exit(77);
        pthread_exit(NULL);
    } else {
        _exit(99);
    }
}

int main(int count, char **args) {
    if (count != 3) return 64;
    int flags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC;
    int marker = strcmp(args[1], "good") == 0 ? -1 : open(args[2], flags, 0600);
    if (marker >= 0) {
        dprintf(marker, "%d", getpid());
        close(marker);
        if (strcmp(args[1], "traced") == 0) {
            /* From here on the host traces this process, without knowing it. */
            ptrace(PTRACE_TRACEME, 0, 0, 0);
            raise(SIGSTOP);
        }
    }
    serve();
}
