/* The limit of the question `spawn`: what the machine itself takes for a process that does nothing.
 *
 *   spawn JOBS WIDTH            posix_spawn and waitpid, and nothing else
 *   spawn JOBS WIDTH DIRECTORY  also a directory and a log for each: what any runtime of jobs has to do
 *
 * Returns 0 if every process has. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static char *const arguments[] = {"/bin/true", NULL};

static void check(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "%s: %s\n", what, strerror(error));
        exit(1);
    }
}

static void start(void)
{
    pid_t pid;
    check(posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ), "posix_spawn");
}

static void start_in(const char *parent, int number)
{
    char directory[4096], log[4096 + 16];
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int fd;

    snprintf(directory, sizeof directory, "%s/job%d", parent, number);
    snprintf(log, sizeof log, "%s/job.log", directory);
    check(mkdir(directory, 0777) ? errno : 0, directory);
    fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    check(fd < 0 ? errno : 0, log);
    check(posix_spawn_file_actions_init(&actions), "actions");
    check(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), "actions");
    check(posix_spawn_file_actions_adddup2(&actions, fd, 1), "actions");
    check(posix_spawn_file_actions_adddup2(&actions, fd, 2), "actions");
    check(posix_spawn_file_actions_addchdir_np(&actions, directory), "actions");
    check(posix_spawn(&pid, arguments[0], &actions, NULL, arguments, environ), "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    close(fd);
}

int main(int count, char **words)
{
    int jobs, width, begun = 0, ended = 0, status;

    if (count < 3)
        return 2;
    jobs = atoi(words[1]);
    width = atoi(words[2]);
    while (ended < jobs) {
        while (begun < jobs && begun - ended < width) {
            if (count > 3)
                start_in(words[3], begun);
            else
                start();
            begun++;
        }
        check(wait(&status) < 0 ? errno : 0, "wait");
        if (status != 0) {
            fprintf(stderr, "a process ended with status %d\n", status);
            return 1;
        }
        ended++;
    }
    return 0;
}
