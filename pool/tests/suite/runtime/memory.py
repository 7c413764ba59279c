"""Does a worker share memory with the host correctly? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import contextlib
import mmap
import os
import struct

from rig import REPLY, raised, run_checks, worker

SHARED_REPLY = 133
AREA = 1 << 18


def area():
    """A descriptor of a file for two areas and a word, and a view of the file."""
    file = os.memfd_create("area")
    os.ftruncate(file, 2 * AREA + mmap.ALLOCATIONGRANULARITY)
    return file, mmap.mmap(file, 0)


def opened(file):
    return worker.SharedMemory(os.getpid(), file, os.fstat(file).st_ino, AREA)


def check_only_the_offered_file_is_opened():
    file, _ = area()
    null = os.open(os.devnull, os.O_RDWR)
    for file, inode in ((file, os.fstat(file).st_ino + 1), (null, os.fstat(null).st_ino)):
        problem = raised(OSError, worker.SharedMemory, os.getpid(), file, inode, AREA)
        assert problem == f"descriptor {file} of process {os.getpid()} is another file", problem


def check_other_code_has_no_descriptor_of_it():
    file, _ = area()
    os.set_inheritable(file, True)
    offered = os.fstat(file)
    opened(file)
    assert os.path.samestat(os.fstat(file), os.stat(os.devnull)) and not os.get_inheritable(file)
    for name in os.listdir("/proc/self/fd"):
        # `listdir` has closed its own descriptor.
        with contextlib.suppress(FileNotFoundError):
            assert not os.path.samestat(os.stat(f"/proc/self/fd/{name}"), offered)


def check_a_fork_has_no_results():
    before = maps_without_forks()
    memory = opened(area()[0])
    assert maps_without_forks() == before + 1 and memory.area == AREA


def maps_without_forks():
    with open("/proc/self/smaps") as maps:
        return sum(line.startswith("VmFlags:") and " dc" in line for line in maps)


def check_where_results_are():
    file, host = area()
    memory = opened(file)
    host[16 : 16 + AREA // 2] = b"r" * (AREA // 2)
    host[15] = host[16 + AREA // 2] = ord("x")
    body = struct.pack(">QQ", 16, AREA // 2)
    request = memory.request(body)
    assert bytes(request) == b"r" * (AREA // 2)
    # The request itself stays where it is.
    assert memory.place(request, body) == (SHARED_REPLY, body)

    def is_copied(result, body):
        host[AREA : 2 * AREA] = bytes(AREA)
        assert memory.place(result, body) == (SHARED_REPLY, struct.pack(">QQ", AREA, len(result)))
        assert host[AREA : 2 * AREA] == bytes(result).ljust(AREA, b"\0")

    # Part of the request.
    is_copied(request[1:], body)
    # Another buffer of the same length.
    is_copied(memoryview(bytearray(b"o" * (AREA // 2))), body)
    # The body of an earlier call, returned by a call whose own body came through the pipe.
    is_copied(request, None)
    # The length decides whether a result is in the memory or in the frame.
    for length in (worker.LEAST_SHARED - 1, AREA + 1):
        assert memory.place(bytearray(length), None) == (REPLY, bytes(length))
    for length in (worker.LEAST_SHARED, AREA):
        is_copied(b"b" * length, body)


def check_the_host_learns_whether_a_request_is_in_use():
    file, host = area()
    memory = opened(file)
    kept = memory.request(struct.pack(">QQ", 0, 8))[4:]
    memory.settle()
    assert host[2 * AREA] == 1
    del kept
    memory.settle()
    assert host[2 * AREA] == 0


run_checks(globals())
