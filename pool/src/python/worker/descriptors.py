"""The descriptors of a worker: what it closes, and what it keeps from other code."""

import contextlib
import fcntl
import os
import stat

# Private descriptors get numbers from here on, above those of other files.
PRIVATE = 200


def take_descriptors():
    """Closes what this process has inherited besides 0, 1 and 2, and leaves other code no copy of 0 and 1.

    Other descriptors that the start of the interpreter has opened (`sitecustomize`, `.pth` files,
    agents) stay open. Python opens its own close-on-exec, so they are not inherited. A descriptor
    that is not close-on-exec was inherited if the parent has the same file open under the same
    number, and was opened by C code of this process if not.

    No number becomes free that code of this process may go on writing to.
    """
    parent = os.getppid()
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        # There is no /proc.
        descriptors = range(1024)
    for fd in descriptors:
        # Some numbers are not open, such as that of the listing.
        with contextlib.suppress(OSError):
            if fd <= 2:
                continue
            inheritable = os.get_inheritable(fd)
            if is_copy(fd, 0):
                replace(fd, os.open(os.devnull, os.O_RDONLY), inheritable)
            elif is_copy(fd, 1):
                replace(fd, os.dup(2), inheritable)
            elif inheritable:
                inherited = is_same_file(fd, parent)
                if inherited is None:
                    replace(fd, os.open(os.devnull, os.O_RDWR), False)
                elif inherited:
                    os.close(fd)


def replace(fd, by, inheritable):
    os.dup2(by, fd, inheritable)
    os.close(by)


def is_copy(fd, standard):
    """Whether a descriptor is the same pipe or socket as 0 or 1."""
    of_standard = os.fstat(standard)
    is_pipe = stat.S_ISFIFO(of_standard.st_mode) or stat.S_ISSOCK(of_standard.st_mode)
    return is_pipe and os.path.samestat(os.fstat(fd), of_standard)


def is_same_file(fd, process):
    """Whether another process has the same open file under this number. None if /proc cannot tell."""

    def opened(process):
        file = os.stat(f"/proc/{process}/fd/{fd}")
        if stat.S_ISFIFO(file.st_mode) or stat.S_ISSOCK(file.st_mode):
            return file.st_dev, file.st_ino
        # Each process may have opened it for itself, at another position or with other flags.
        with open(f"/proc/{process}/fdinfo/{fd}") as info:
            return file.st_dev, file.st_ino, info.read()

    try:
        return opened("self") == opened(process)
    except FileNotFoundError:
        return False if os.path.exists(f"/proc/{process}/fd") else None
    except OSError:
        return None


def private(fd):
    """Duplicates a descriptor for this file's code only. Subprocesses do not inherit it.

    Code that writes to a number after it has closed it hits the lowest free number, not this one.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE)
    except OSError:
        # The limit of open files is lower.
        return os.dup(fd)


def redirect_standard_streams():
    """From here on, 0 is empty and 1 is stderr.

    No print, no printf in a C extension and no subprocess can write into what 1 was.
    """
    replace(0, os.open(os.devnull, os.O_RDONLY), True)
    os.dup2(2, 1)
