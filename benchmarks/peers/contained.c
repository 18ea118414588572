/* The limit of the question `spawn` with containment: the machine's own time for a job that leaves no process behind.
 *
 *   contained JOBS WIDTH DIRECTORY
 *
 * It works like `runtime.process.guard`, without Python: WIDTH shims, each a subreaper with one job at a time. A shim
 * reads a number from its socket, makes a directory, a dump of the environment and a log, starts the job in
 * a session of its own, waits for signals and commands, kills the job's processes until none is left, and reports the
 * start and the end of the job on a pipe that all shims share.
 *
 * Returns 0 if every process did. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *const arguments[] = {"/bin/true", NULL};

struct answer {
    int shim, job, ended, status;
};

static void check(long result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

/* ------------------------------------------------------------------ a shim */

static void dump_environment(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fdopen(fd, "w");

    check(file ? 0 : -1, path);
    for (char **variable = environ; *variable; variable++)
        fprintf(file, "%s\n", *variable);
    check(fclose(file), path);
}

static int make(const char *parent, int job, char *log, size_t room)
{
    char directory[4096], beside[4096 + 16];
    int fd;

    snprintf(directory, sizeof directory, "%s/job%d", parent, job);
    snprintf(beside, sizeof beside, "%s/env_vars", directory);
    snprintf(log, room, "%s/job.log", directory);
    check(mkdir(directory, 0777), directory);
    dump_environment(beside);
    fd = open(log, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    check(fd, log);
    check(chdir(directory), directory);
    return fd;
}

static pid_t start(int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, output, 2);
    errno = posix_spawn(&pid, arguments[0], &actions, &attributes, arguments, environ);
    check(errno ? -1 : 0, "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return pid;
}

/* Reap all children that have exited; return whether a child is left. */
static int reap(pid_t root, int *status)
{
    struct rusage usage;
    siginfo_t found;
    int how;

    for (;;) {
        found.si_pid = 0;
        if (waitid(P_ALL, 0, &found, WEXITED | WNOHANG | WNOWAIT) < 0)
            return 0;
        if (found.si_pid == 0)
            return 1;
        if (found.si_pid == root)
            kill(-root, SIGKILL);
        check(wait4(found.si_pid, &how, 0, &usage), "wait4");
        if (found.si_pid == root)
            *status = how;
    }
}

static void serve(int number, int commands, int answers, const char *parent)
{
    struct signalfd_siginfo signals[16];
    struct answer answer = {.shim = number};
    struct pollfd events[2] = {{.fd = commands, .events = POLLIN}, {.events = POLLIN}};
    struct stat found;
    sigset_t children;
    char log[4096 + 16];
    int output;
    pid_t root;

    check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl");
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    check(sigprocmask(SIG_BLOCK, &children, NULL), "sigprocmask");
    events[1].fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    check(events[1].fd, "signalfd");
    for (;;) {
        check(poll(events, 2, -1), "poll");
        if (events[1].revents && read(events[1].fd, signals, sizeof signals) < 0 && errno != EAGAIN)
            check(-1, "signalfd");
        if (!events[0].revents)
            continue;
        if (read(commands, &answer.job, sizeof answer.job) != sizeof answer.job)
            exit(0);
        output = make(parent, answer.job, log, sizeof log);
        root = start(output);
        check(close(output), "close");
        answer.ended = 0;
        check(write(answers, &answer, sizeof answer), "answer");
        do {
            check(poll(events, 2, -1), "poll");
            if (read(events[1].fd, signals, sizeof signals) < 0 && errno != EAGAIN)
                check(-1, "signalfd");
        } while (reap(root, &answer.status));
        check(lstat(log, &found), log);
        answer.ended = 1;
        check(write(answers, &answer, sizeof answer), "answer");
        check(chdir("/"), "/");
    }
}

/* ------------------------------------------------------------------ the runtime */

/* Fork a shim, which keeps none of the others' sockets: they would not see the end by theirs. */
static void fork_shim(int *shims, int number, const int answers[2], const char *parent)
{
    int pair[2];
    pid_t pid;

    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
    shims[number] = pair[0];
    pid = fork();
    check(pid, "fork");
    if (pid == 0) {
        close(answers[0]);
        for (int other = 0; other <= number; other++)
            close(shims[other]);
        serve(number, pair[1], answers[1], parent);
    }
    close(pair[1]);
}

int main(int count, char **words)
{
    struct answer news[64];
    int jobs, width, begun, ended = 0, answers[2], status;
    int *shims;

    if (count < 4)
        return 2;
    jobs = atoi(words[1]);
    width = atoi(words[2]);
    shims = calloc(width, sizeof *shims);
    check(shims ? 0 : -1, "calloc");
    check(pipe2(answers, O_CLOEXEC), "pipe");
    for (int number = 0; number < width; number++)
        fork_shim(shims, number, answers, words[3]);
    close(answers[1]);
    for (begun = 0; begun < width && begun < jobs; begun++)
        check(write(shims[begun], &begun, sizeof begun), "command");
    while (ended < jobs) {
        long size = read(answers[0], news, sizeof news);
        check(size ? size : -1, "answers");
        for (struct answer *one = news; one < news + size / sizeof *news; one++) {
            if (!one->ended)
                continue;
            if (one->status != 0) {
                fprintf(stderr, "a process ended with status %d\n", one->status);
                return 1;
            }
            ended++;
            if (begun < jobs) {
                check(write(shims[one->shim], &begun, sizeof begun), "command");
                begun++;
            }
        }
    }
    for (int number = 0; number < width; number++)
        close(shims[number]);
    while (wait(&status) > 0)
        if (status != 0)
            return 1;
    return 0;
}
