"""Which descriptors does the runtime close at its start? The argument is the directory of the runtime's files.

A fork plays the worker: its descriptors are also those of its parent, except where it has opened
others. Prints `ok` to stderr at the end.
"""

import os
import resource
import socket
import sys

from runtime_files import loaded

worker = loaded(sys.argv[1])


def opened(path, inheritable):
    fd = os.open(path, os.O_RDONLY)
    os.set_inheritable(fd, inheritable)
    return fd


def targets(fds):
    found = []
    for fd in fds:
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            found.append("closed")
    return found


def replace(fd, path):
    """Opens a file under a number that is a file of the parent as well."""
    own = os.open(path, os.O_RDONLY)
    os.dup2(own, fd)
    os.close(own)


here = os.path.abspath(__file__)
file, private, other, again = opened(here, True), opened(here, False), opened("/dev/zero", True), opened(here, True)
os.read(again, 10)
pipe, end = os.pipe()
one, two = socket.socketpair()
other_pipe, other_end = os.pipe()
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, max(2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
high = os.dup2(file, 1500)
child = os.fork()
if child == 0:
    replace(other, here)
    # The parent has this file at another position.
    replace(again, here)
    # The parent's copy is close-on-exec: it was marked after the fork.
    os.set_inheritable(pipe, True)
    os.set_inheritable(one.fileno(), True)
    fds = [0, 1, 2, file, private, other, again, pipe, one.fileno(), high]
    before = targets(fds)
    # A pipe of its own, under a number that is another pipe of the parent, and a file that the
    # parent does not have open.
    own_pipe, own_end = os.pipe()
    os.dup2(own_pipe, other_pipe)
    os.close(own_pipe)
    own = [other_pipe, opened(here, True)]
    opened_here = targets(own)
    worker.take_descriptors()
    assert targets(fds) == [*before[:3], "closed", here, here, here, "closed", "closed", "closed"], targets(fds)
    assert targets(own) == opened_here, targets(own)
    # A parent that cannot be read.
    os.getppid = lambda: 0
    worker.take_descriptors()
    assert targets(fds[:5]) == [*before[:3], "closed", here], targets(fds)
    assert targets([other, again]) == [os.devnull] * 2, targets(fds)
    assert not os.get_inheritable(other)
    # A system without /proc.
    os.listdir = lambda path: os.open("/no/such/path", 0)
    os.set_inheritable(private, True)
    worker.take_descriptors()
    assert targets([0, 1, 2, private]) == [*before[:3], os.devnull], targets(fds)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("ok", file=sys.stderr)
