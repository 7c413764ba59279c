"""The zygote: loads the function once, then forks a worker for each request of the host.

Requests and answers are lines on a socket: see `process/zygote/control.rs` in the host's source.
This file runs in the namespace of those in `worker/`.
"""

import contextlib
import errno
import fcntl
import gc
import os
import re
import select
import signal
import socket
import sys
import threading
import time

SIGNALS = signal.valid_signals()
# The pause between two checks whether a process or a thread has ended, in seconds.
POLL = 0.001
# How many checks a killed child gets before the answer is that it is alive. The host asks again.
REAP_POLLS = 50
# How many checks threads get that are about to end.
THREAD_POLLS = 1000


class Zygote:
    """The process that forks the workers."""

    def __init__(self):
        self.control = socket.socket(fileno=private(0))
        redirect_standard_streams()
        self.host = Host()
        self.tag = Tag()
        # What the module has set for SIGCHLD.
        self.on_child = None

    def load(self, target):
        # While the module loads, a hang-up of the socket raises SIGIO, which ends this process
        # whatever it is doing. Afterwards, serve() reads the end of the socket.
        fcntl.fcntl(self.control, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(self.control, fcntl.F_GETFL)
        fcntl.fcntl(self.control, fcntl.F_SETFL, flags | os.O_ASYNC)
        loaded = load(target)()
        # A fork must not share its descriptors.
        close_loop()
        # A collection in a worker would write to every object, and so copy what the workers share.
        gc.collect()
        gc.freeze()
        fcntl.fcntl(self.control, fcntl.F_SETFL, flags)
        # If SIGCHLD is ignored, exited children are reaped without this process, and a handler of
        # the module may reap every child. Both are undone here; the workers get them back.
        self.on_child = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        refuse_threads()
        self.tag.find()
        return loaded

    def serve(self):
        """Serves the host until it is gone.

        Returns True in each forked worker, and False in the zygote.
        """
        self.control.sendall(b"ready\n")
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        # The socket does not end with a host that has forked: its copies hold the other end too.
        while self.host.is_alive():
            if not poll.poll(PARENT_POLL * 1000):
                continue
            line, descriptors, _, _ = socket.recv_fds(self.control, 1024, 3)
            if not line:
                break
            while not line.endswith(b"\n") and (more := self.control.recv(1 << 16)):
                line += more
            verb, _, argument = line.decode().strip().partition(" ")
            if verb == "fork":
                child = None
                try:
                    if len(descriptors) < 3:
                        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                    child = os.fork()
                except OSError as error:
                    answer = f"failed {error}"
                if child == 0:
                    self._become_worker(descriptors, argument)
                    return True
                if child:
                    # Both processes call it, so the child leads its group whichever of them runs
                    # first.
                    os.setpgid(child, child)
                    answer = f"forked {child}"
                for descriptor in descriptors:
                    os.close(descriptor)
            else:
                answer = {"status": self._status, "reap": self._reap}[verb](int(argument))
            self.control.sendall(answer.encode() + b"\n")
        return False

    def _become_worker(self, descriptors, argument):
        tag, _, env = argument.partition(" ")
        self.tag.replace(tag)
        for variable in filter(None, bytes.fromhex(env).split(b"\0")):
            name, _, value = variable.partition(b"=")
            os.environb[name] = value
        os.setpgid(0, 0)
        self.control.close()
        self.host.forked()
        if self.on_child is not None:
            signal.signal(signal.SIGCHLD, self.on_child)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            # The module may have closed some of 0 to 2.
            if descriptor > 2:
                os.close(descriptor)

    def _status(self, child):
        try:
            ended = exit_of(child)
        except ChildProcessError:
            ended = None
        if ended is None:
            return "unknown"
        word = "code" if ended.si_code == os.CLD_EXITED else "signal"
        return f"{word} {ended.si_status}"

    def _reap(self, child):
        # A signal handler of the module must not reap it between the check and the kill.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            exit_of(child)
            # It may have left its own group.
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(child, signal.SIGKILL)
        except ChildProcessError:
            # Code of the module has reaped it, so its id may be another process's.
            return "unknown"
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for _ in range(REAP_POLLS):
            with contextlib.suppress(ChildProcessError):
                if not os.waitpid(child, os.WNOHANG)[0]:
                    time.sleep(POLL)
                    continue
            return "reaped"
        return "alive"


def exit_of(child):
    """How a child has ended, or None while it runs. Raises ChildProcessError if it was reaped."""
    # WNOWAIT leaves it a zombie, so its id is not reused.
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG)


def refuse_threads():
    """Exits if this process has threads that a fork would lose.

    A C library may have threads that it ends at each fork and starts again when it needs them, as
    OpenBLAS does. So the first fork is made here: threads that are still there after it are refused.
    """
    if count_threads() == 1:
        return
    child = os.fork()
    if child == 0:
        os._exit(0)
    forking = True
    for _ in range(THREAD_POLLS):
        forking = forking and not os.waitpid(child, os.WNOHANG)[0]
        # A thread that has been joined may take a moment to end.
        if not forking and count_threads() == 1:
            return
        time.sleep(POLL)
    if forking:
        # Another thread held a lock that the fork needs.
        os.kill(child, signal.SIGKILL)
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    native = count_threads() - 1 - len(names)
    if native > 0:
        names.append(f"{native} that Python does not know")
    fail(
        f"the zygote cannot fork: import or setup() started threads, which a fork loses: {', '.join(names)}. "
        "Start them in the first call; for those of numeric libraries, set OMP_NUM_THREADS=1 or the like"
    )


def count_threads():
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


class Tag:
    """The value of OSTLER_TAG, by which the host finds what a worker has left behind.

    A fork keeps the initial environment, which /proc/<pid>/environ shows, and with it the zygote's
    tag. Its part after the last colon is as long as that of any worker, so a worker can overwrite
    it in its memory.
    """

    def __init__(self):
        value = os.environb[b"OSTLER_TAG"]
        self.pools, _, self.own = value.rpartition(b":")
        # The addresses of `own` in the initial environment.
        self.places = []

    def find(self):
        """Finds the tag in the initial environment, and checks that it can be overwritten."""
        sought = self.pools[self.pools.rfind(b";") + 1 :] + b":" + self.own
        try:
            with open("/proc/self/environ", "rb") as file:
                environ = file.read()
            with open("/proc/self/stat", "rb") as file:
                # The address at which the environment begins is field 50; the first one here is 3.
                begin = int(file.read().rpartition(b")")[2].split()[47])
            ends = (match.end() for match in re.finditer(re.escape(sought), environ))
            self.places = [begin + end - len(self.own) for end in ends]
            self._write(self.own)
            problem = None if self.places else "it is not in /proc/self/environ"
        except OSError as error:
            self.places = []
            problem = str(error)
        if problem:
            print(
                f"ostler worker: cannot replace the zygote's OSTLER_TAG: {problem}. "
                "Daemons that workers fork without another program end with the pool, not with their worker",
                file=sys.stderr,
                flush=True,
            )

    def replace(self, tag):
        """Makes it the tag of a worker, in this process and in what it starts."""
        own = tag.rpartition(":")[2].encode()
        os.environb[b"OSTLER_TAG"] = self.pools + b":" + own
        with contextlib.suppress(OSError):
            self._write(own.ljust(len(self.own), b"."))

    def _write(self, text):
        if self.places:
            memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
            try:
                for place in self.places:
                    os.pwrite(memory, text, place)
            finally:
                os.close(memory)
