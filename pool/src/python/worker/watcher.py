"""The thread that ends a worker when its host is gone, and looks for cancels meanwhile."""

import os
import select
import threading
import time

# How often the watcher checks that the parent is still the process that started this one, in
# seconds.
PARENT_POLL = 1.0
# How often it checks for a cancel, if the host may send cancels, in seconds.
CANCEL_POLL = 0.05
# How long an idle worker may take to exit by itself once its host is gone, in seconds.
EXIT_GRACE = 1.0


class Host:
    """The process that started this one, or the zygote of this one."""

    def __init__(self):
        self.parent = self.pid = os.getppid()
        self.started = self.start_time()

    def forked(self):
        """Call this in a process forked after `Host()` was called."""
        self.parent = os.getppid()

    def is_alive(self):
        # A zygote ends when its host does. A forked worker may outlive the zygote, but not the host.
        return os.getppid() == self.parent or (self.parent != self.pid and self.start_time() == self.started)

    def start_time(self):
        """Tells the host from a later process with its id. None if it has ended or cannot be read."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in b"ZX" else fields[19]


class Watcher(threading.Thread):
    """Ends this process when its host is gone.

    Code that runs inside `with watcher` is not notified: the process exits at once. With a
    `cancellation`, this thread also checks for cancels.
    """

    def __init__(self, channel, host):
        super().__init__(name="ostler-watcher", daemon=True)
        self.channel = channel
        self.host = host
        self.busy = False
        # Whether the host has sent a shutdown: it then ends this process itself, while it lives.
        self.dismissed = False
        self.cancellation = None
        self.pause = CANCEL_POLL

    def __enter__(self):
        self.busy = True

    def __exit__(self, kind, error, trace):
        self.left(error)

    def left(self, error):
        """The user's code has returned, or raised this error."""
        if self.channel.output is None:
            # A copy of this process that the function has forked. It may exit as it likes.
            if not issubclass(type(error), ENDINGS):
                fail_as_copy(error)
            return
        self.busy = False
        if self.cancellation:
            self.cancellation.end()

    def run(self):
        poll = select.poll()
        # No event is requested: a hang-up is reported anyway, and a frame does not wake this
        # thread.
        poll.register(self.channel.input, 0)
        while not poll.poll(self.pause * 1000) and self.host.is_alive():
            if self.cancellation:
                self.cancellation.check()
        if not self.busy:
            # The main thread reads the end of the input too, and runs the exit handlers.
            time.sleep(EXIT_GRACE)
        while self.dismissed and self.host.is_alive():
            time.sleep(PARENT_POLL)
        os._exit(1)
