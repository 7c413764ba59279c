/* Loaded into a host, it forks the host without exec when the host removes the directory
 * "/ostler/fork": for the host the removal succeeds, for the forked copy it fails. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int rmdir(const char *path)
{
    if (strcmp(path, "/ostler/fork") != 0)
        return (int)syscall(SYS_rmdir, path);
    if (fork() != 0)
        return 0;
    errno = ENOENT;
    return -1;
}
