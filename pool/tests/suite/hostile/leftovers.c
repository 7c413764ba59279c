/* A worker that leaves processes behind. Each request is a verb, and the reply the id of the process
 * that was left. By then the process does what the verb says. */

#define _GNU_SOURCE
#include "frames.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static pid_t worker;
static const char *program;

static void *wait_for_ever(void *unused) {
    for (;;) pause();
    return unused;
}

static void check(int is_true) {
    if (!is_true) _exit(77);
}

static void write_number(int file, long number) {
    char text[32];
    int size = snprintf(text, sizeof text, "%ld", number);
    check(write(file, text, size) == size);
    close(file);
}

/* What a left process does, once it is where the verb wants it. It then closes `ready`. */
static void live(const char *verb, int ready) {
    char number[32], pipe_number[32];
    if (strcmp(verb, "tracer") == 0) {
        check(ptrace(PTRACE_SEIZE, worker, 0, 0) == 0);
    } else if (strcmp(verb, "hidden") == 0) {
        check(prctl(PR_SET_DUMPABLE, 0) == 0);
    } else if (strcmp(verb, "foreign") == 0) {
        check(setresuid(65533, 65533, 65533) == 0);
    } else if (strcmp(verb, "threadless") == 0) {
        pthread_t other;
        check(pthread_create(&other, NULL, wait_for_ever, NULL) == 0);
        write_number(ready, getpid());
        pthread_exit(NULL);
    } else if (strcmp(verb, "joiner") == 0) {
        /* Without the tag of the worker. */
        char *nothing[] = {NULL};
        snprintf(number, sizeof number, "%d", worker);
        snprintf(pipe_number, sizeof pipe_number, "%d", ready);
        execle(program, program, "join", number, pipe_number, NULL, nothing);
        _exit(77);
    } else if (strcmp(verb, "nameless") == 0) {
        char *nothing[] = {NULL};
        snprintf(pipe_number, sizeof pipe_number, "%d", ready);
        execle(program, program, "wait", "0", pipe_number, NULL, nothing);
        _exit(77);
    } else if (strcmp(verb, "root") == 0) {
        snprintf(pipe_number, sizeof pipe_number, "%d", ready);
        execl(getenv("SETUID_PROGRAM"), "root", "root", "0", pipe_number, NULL);
        _exit(77);
    }
    write_number(ready, getpid());
    wait_for_ever(NULL);
}

static void act(const char *verb, uint32_t id) {
    int ready[2];
    if (strcmp(verb, "become") == 0) check(setresuid(65533, 65533, 65533) == 0);
    check(pipe(ready) == 0);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    int stays = strcmp(verb, "joiner") == 0 || strcmp(verb, "root") == 0 || strcmp(verb, "nameless") == 0;
    pid_t child = fork();
    if (child == 0) {
        close(ready[0]);
        /* Its own group in the same session, so that it can come back, or a session of its own and
         * another parent. */
        if (strcmp(verb, "joiner") == 0) check(setpgid(0, 0) == 0);
        if (!stays) {
            check(setsid() > 0);
            if (fork() > 0) _exit(0);
        }
        live(verb, ready[1]);
    }
    close(ready[1]);
    if (!stays) waitpid(child, NULL, 0);
    char pid[32];
    ssize_t size = read(ready[0], pid, sizeof pid);
    close(ready[0]);
    check(size > 0);
    answer(REPLY, id, pid, size);
}

/* Joins the group again once its leader is a zombie, and so after the group was signalled. */
static void join(pid_t leader, int ready) {
    char path[64], line[512];
    write_number(ready, getpid());
    snprintf(path, sizeof path, "/proc/%d/stat", leader);
    for (;;) {
        FILE *file = fopen(path, "r");
        if (!file) _exit(0);
        size_t size = fread(line, 1, sizeof line - 1, file);
        line[size] = 0;
        fclose(file);
        char *state = strrchr(line, ')');
        if (state && state[2] == 'Z') break;
        usleep(100);
    }
    if (setpgid(0, leader) == 0) wait_for_ever(NULL);
}

int main(int count, char **args) {
    worker = getpid();
    program = args[0];
    /* A signal that is delivered to a traced process stops it, and the tracer here does not let it
     * go on. This one comes when the child that started the tracer ends. */
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    if (count == 4 && strcmp(args[1], "join") == 0) {
        join(atoi(args[2]), atoi(args[3]));
    } else if (count == 4 && strcmp(args[1], "wait") == 0) {
        write_number(atoi(args[3]), getpid());
        wait_for_ever(NULL);
    } else if (count == 3 && strcmp(args[1], "trace") == 0) {
        /* It is no worker's, so nothing else ends it if the test fails. */
        alarm(60);
        check(ptrace(PTRACE_SEIZE, atoi(args[2]), 0, 0) == 0);
        write_number(1, getpid());
        wait_for_ever(NULL);
    } else if (count == 4 && strcmp(args[1], "root") == 0) {
        check(setresuid(0, 0, 0) == 0);
        /* The test's user cannot kill it. The test ends long before that if it passes. */
        alarm(600);
        write_number(atoi(args[3]), getpid());
        wait_for_ever(NULL);
    } else {
        serve();
    }
    return 0;
}
