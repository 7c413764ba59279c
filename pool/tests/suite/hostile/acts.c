/* A worker that runs a program of process acts. The body of a request is the program:
 *
 *     NUMBER ACT ACT fork1{ ACT ACT } ACT
 *
 * `fork1{...}` and `orphan2{...}` start a process, which runs its own acts and then lives on: the
 * digits are its name. acts/program.rs lists the acts and says what each may leave behind. The
 * reply is the number.
 *
 * A process is named "aNUMBER.NAME". When it executes a program, its variable OSTLER_TEST_ACTS says
 * the same, because the name is lost then. */

#define _GNU_SOURCE
#define MOST 1024
#include "frames.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* After so many seconds a process ends by itself, so that a host that dies leaves nothing. */
enum { LIFE = 100 };

extern char **environ;

/* The process that has loaded this file: a zygote, if this one is forked. */
static pid_t loader;

__attribute__((constructor)) static void load(void) {
    loader = getpid();
}

static pid_t leader, parent, latest;
static const char *path, *number = "0", *self = "0";
/* The id of the leader's request, as text. */
static char request[16];

static void take_name(void) {
    char name[16];
    snprintf(name, sizeof name, "a%s.%s", number, self);
    prctl(PR_SET_NAME, name);
}

/* Executes this program again, or another one, with the current environment. */
static void execute(const char *program, char **args) {
    char of[64];
    char *host = getenv("OSTLER_TEST_ACTS");
    snprintf(of, sizeof of, "%d.%s.%s", host ? atoi(host) : 0, number, self);
    setenv("OSTLER_TEST_ACTS", of, 1);
    execve(program, args, environ);
    _exit(77);
}

/* Goes on with the rest of the text in this program, executed anew. */
static void again(const char *rest) {
    char ids[2][16];
    snprintf(ids[0], sizeof ids[0], "%d", leader);
    snprintf(ids[1], sizeof ids[1], "%d", parent);
    char *args[] = {(char *)path, "go", (char *)number, (char *)self, ids[0], ids[1], request, (char *)rest, NULL};
    execute(path, args);
}

static void *wait_for_ever(void *unused) {
    for (;;) pause();
    return unused;
}

/* The end of the block that begins here. */
static const char *end_of(const char *at) {
    for (int depth = 0; *at; at++) {
        if (*at == '{') depth++;
        if (*at == '}' && depth-- == 0) break;
    }
    return at;
}

static void run(const char *at);

/* Starts a process that runs the block and lives on. Returns the end of the block. */
static const char *start(const char *name, int is_orphan, const char *block) {
    pid_t me = getpid(), child = fork();
    if (child == 0) {
        if (is_orphan && fork() != 0) _exit(0);
        self = name;
        parent = is_orphan ? -1 : me;
        latest = 0;
        alarm(LIFE);
        take_name();
        run(block);
        wait_for_ever(NULL);
    }
    if (is_orphan) waitpid(child, NULL, 0);
    else latest = child;
    return end_of(block);
}

/* Overwrites the tag in the memory that /proc shows as the environment. */
static void scribble(void) {
    char *tag = getenv("OSTLER_TAG");
    if (tag) memset(tag, 'x', strlen(tag));
}

static void ignore_signals(void) {
    for (int number = 1; number < 32; number++)
        if (number != SIGALRM) signal(number, SIG_IGN);
}

/* Signals the latest child, unless it is gone, because its id may be another process's then. */
static void signal_latest(int number) {
    siginfo_t info;
    if (latest && waitid(P_PID, latest, &info, WEXITED | WNOHANG | WNOWAIT) == 0) kill(latest, number);
}

/* Forks and exits again and again. Not for ever, and not too fast: each link leaves a zombie. */
static void chain(void) {
    for (int links = 0; links < 300; links++) {
        usleep(2000);
        if (fork() > 0) _exit(0);
    }
}

/* Does what one word says. `rest` is what follows it. */
static void perform(const char *word, size_t count) {
    const char *rest = word + count;
#define IS(name) (count == sizeof(name) - 1 && strncmp(word, name, count) == 0)
    if (IS("setsid")) setsid();
    else if (IS("own")) setpgid(0, 0);
    else if (IS("join")) setpgid(0, leader);
    else if (IS("follow")) { if (latest) setpgid(0, latest); }
    else if (IS("close0")) close(0);
    else if (IS("close1")) close(1);
    else if (IS("close2")) close(2);
    else if (IS("closeall")) close_range(0, ~0U, 0);
    else if (IS("dup")) for (int file = 0; file < 3; file++) fcntl(file, F_DUPFD, 100);
    else if (IS("devnull")) { int file = open("/dev/null", O_RDWR); for (int to = 0; to < 3; to++) dup2(file, to); }
    else if (IS("ignore")) ignore_signals();
    else if (IS("nochild")) signal(SIGCHLD, SIG_IGN);
    else if (IS("term")) raise(SIGTERM);
    else if (IS("segv")) { signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }
    else if (IS("die")) raise(SIGKILL);
    else if (IS("exit")) _exit(3);
    else if (IS("stop")) raise(SIGSTOP);
    else if (IS("stopchild")) signal_latest(SIGSTOP);
    else if (IS("killchild")) signal_latest(SIGKILL);
    /* Not a zygote: the host takes 5 s to replace one that is stopped. */
    else if (IS("stopparent")) { if (getppid() == parent && parent != loader) kill(parent, SIGSTOP); }
    else if (IS("killparent")) { if (getppid() == parent) kill(parent, SIGKILL); }
    else if (IS("hup")) kill(0, SIGHUP);
    else if (IS("unset")) unsetenv("OSTLER_TAG");
    else if (IS("clear")) { char of[32]; snprintf(of, sizeof of, "%d", atoi(getenv("OSTLER_TEST_ACTS"))); clearenv(); setenv("OSTLER_TEST_ACTS", of, 1); }
    else if (IS("scribble")) scribble();
    else if (IS("exec")) again(rest);
    else if (IS("sleep")) execute("/bin/sleep", (char *[]){"sleep", "1000", NULL});
    else if (IS("user")) { if (setresuid(65533, 65533, 65533) != 0) return; }
    else if (IS("undump")) prctl(PR_SET_DUMPABLE, 0);
    else if (IS("trace")) { if (ptrace(PTRACE_SEIZE, leader, 0, 0) != 0) return; }
    else if (IS("thread")) { pthread_t other; pthread_create(&other, NULL, wait_for_ever, NULL); pthread_exit(NULL); }
    else if (IS("garble")) { if (write(1, "garbage!garbage!", 16) < 0) return; }
    else if (IS("write")) { static char noise[10000]; memset(noise, 'x', sizeof noise); if (write(2, noise, sizeof noise) < 0) return; }
    else if (IS("flood")) { static char noise[10000]; while (write(2, noise, sizeof noise) > 0) usleep(100); }
    else if (IS("chain")) chain();
    else if (strncmp(word, "execs", 5) == 0) {
        char text[MOST];
        int left = atoi(word + 5);
        if (left > 0) snprintf(text, sizeof text, "execs%d%s", left - 1, rest);
        if (left > 0) again(text);
    }
    else if (strncmp(word, "nap", 3) == 0) usleep(atoi(word + 3));
    else _exit(78);
}

/* Runs acts until the end of their block. */
static void run(const char *at) {
    for (;;) {
        at += strspn(at, " ");
        if (*at == 0 || *at == '}') return;
        size_t count = strcspn(at, " {}");
        if (at[count] == '{') {
            const char *digits = at + strcspn(at, "0123456789");
            const char *name = strndup(digits, at + count - digits);
            at = start(name, *at == 'o', at + count + 1) + 1;
        } else {
            perform(at, count);
            at += count;
        }
    }
}

static void serve_program(const char *text) {
    run(text);
    answer(REPLY, strtoul(request, NULL, 10), number, strlen(number));
}

/* Takes the number of the program, and returns its acts. */
static const char *begin(const char *body) {
    size_t digits = strcspn(body, " ");
    number = strndup(body, digits);
    /* A process that the kernel kills must not write a core file. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(LIFE);
    take_name();
    return body + digits;
}

static void act(const char *body, uint32_t id) {
    snprintf(request, sizeof request, "%u", id);
    serve_program(begin(body));
}

/* Runs a program in a worker that process_acts.py serves. `program` is this one as an executable. */
void act_here(const char *program, const char *body) {
    path = program;
    leader = getpid();
    /* The zygote, and not the host. */
    if (getppid() == loader) parent = loader;
    run(begin(body));
}

int main(int count, char **args) {
    path = args[0];
    leader = getpid();
    if (count == 8) {
        number = args[2], self = args[3], leader = atoi(args[4]), parent = atoi(args[5]);
        snprintf(request, sizeof request, "%s", args[6]);
        take_name();
        if (strcmp(self, "0") != 0) {
            run(args[7]);
            wait_for_ever(NULL);
        }
        serve_program(args[7]);
    }
    serve();
    return 0;
}
