"""The memory that a worker shares with its host."""

import contextlib
import os
import stat
import struct
import sys

# The smallest result that is sent in shared memory, in bytes.
LEAST_SHARED = 1 << 16
# What a host offers: process, descriptor, inode and size of an area.
OFFER = struct.Struct(">IIQQ")


class SharedMemory:
    """The memory that this process shares with the host, for large requests and results.

    It is an area for requests, one of the same size for results, and a word that says whether the
    first area is in use: while the function keeps a view of a request that it has answered.
    """

    def __init__(self, process, descriptor, inode, area):
        import mmap

        self.area = area
        file = os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        try:
            opened = os.fstat(file)
            # The process may have this id in another namespace only.
            if opened.st_ino != inode or not stat.S_ISREG(opened.st_mode):
                raise OSError(f"descriptor {descriptor} of process {process} is another file")
            self.requests = mmap.mmap(file, area, prot=mmap.PROT_READ)
            self.results = mmap.mmap(file, area + mmap.ALLOCATIONGRANULARITY, offset=area)
            # A process that the function forks has no results.
            self.results.madvise(mmap.MADV_DONTFORK)
            # The two keep a duplicate each. Code that writes to a wrong number must not hit it.
            for number in map(int, os.listdir("/dev/fd")):
                with contextlib.suppress(OSError):
                    if number != file and os.path.samestat(os.fstat(number), opened):
                        replace(number, os.open(os.devnull, os.O_RDWR), False)
        finally:
            os.close(file)
        self.in_use = False
        # Each view of the requests holds a reference, whatever holds the view.
        self.references = sys.getrefcount(self.requests)

    def request(self, body):
        offset, length = struct.unpack(">QQ", body)
        return memoryview(self.requests)[offset : offset + length]

    def place(self, result, request):
        """Returns the kind and the body of the frame that answers a call.

        `request` is the body of the call's frame if its request is in this memory, else None.
        """
        length = len(result)
        if not LEAST_SHARED <= length <= self.area:
            # A view may be of the request.
            return REPLY, bytes(result)
        place = struct.pack(">QQ", self.area, length)
        if request and type(result) is memoryview and result.obj is self.requests and request[8:] == place[8:]:
            # It is the request.
            return SHARED_REPLY, request
        self.results[:length] = result
        return SHARED_REPLY, place

    def settle(self):
        """Call this before each answer, when only the function's own code may hold its request."""
        in_use = sys.getrefcount(self.requests) > self.references
        if in_use != self.in_use:
            self.in_use = in_use
            self.results[self.area] = in_use


def open_shared_memory(hello):
    """Returns the memory that the host offers, or None if this process cannot use it."""
    try:
        return SharedMemory(*OFFER.unpack_from(hello, FLAGS_END))
    except Exception as error:
        say(f"ostler worker: no shared memory, all frames use the pipe: {error}\n".encode())
        return None
