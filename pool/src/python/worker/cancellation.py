"""How a cancel interrupts the function of a call."""

import gc
import math
import select
import signal
import sys
import threading
import time
import types
import weakref

# How long after it left the last handler of `Cancelled` a function is interrupted again, in seconds.
CANCEL_PAUSE = 0.2
# The deepest nesting of handlers that is looked through: of those that run, and of suspended ones,
# where each level takes a search of all objects.
MAX_NESTED = 100
MAX_HELD = 3
SUSPENDABLE = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


class Cancelled(BaseException):
    """The host has cancelled the request.

    Not an Exception, so `except Exception` does not catch it.
    """

    # Errors show the bare name, because there is no module to import it from.
    __module__ = "builtins"

    def __init__(self):
        super().__init__("the host no longer needs the result")


class Cancellation:
    """Interrupts the main thread when the host cancels its request.

    The watcher's thread reads the cancel and sends a signal to the main thread, whose handler
    raises `Cancelled`. Two rules keep the threads apart:

    - The watcher's thread reads from the channel only under the lock, and only while a request is
      `running`. The main thread clears `running` under the lock before it answers and reads on, so
      the watcher's thread never reads the next request.
    - The handler raises only while it is `armed`. It is armed only inside a `guard`, so only callers
      of a guarded function must expect `Cancelled`. If it raises just before the guard disarms it,
      it stays armed, but raises no more: the exception is on its way to `serve`, which handles it.
    """

    def __init__(self, channel):
        self.channel = channel
        self.lock = threading.Lock()
        self.running = None
        # The running request, once it is cancelled.
        self.cancelled = None
        self.armed = False
        # A weak reference to the last `Cancelled` of the running request. If nothing holds the
        # exception any more, nothing handles it.
        self.raised = None
        # When to raise the next one, at the earliest.
        self.due = 0.0
        # The event loop, while it runs the function's coroutine.
        self.event_loop = None
        # The request that was running at the last check.
        self.seen = None
        self.input = select.poll()
        self.input.register(channel.input, select.POLLIN)
        self.main = threading.get_ident()
        # SIGURG is ignored by default, and unlikely to be used by other code.
        signal.signal(signal.SIGURG, self.interrupt)

    def end(self):
        with self.lock:
            self.running = self.cancelled = self.raised = None
            self.armed = False
            self.due = 0.0

    def guard(self, function):
        def guarded(*arguments):
            try:
                self.armed = True
                if self.cancelled is not None:
                    self.throw()
                return function(*arguments)
            finally:
                self.armed = False

        return guarded

    def throw(self):
        error = Cancelled()
        self.raised = weakref.ref(error)
        self.due = time.monotonic() + CANCEL_PAUSE
        try:
            raise error
        finally:
            # Its traceback keeps this frame. The frame must not keep it in turn, or it would live
            # on, with the variables of the user's frames, after it was handled.
            del error

    def interrupt(self, *_):
        """The handler of the signal. Runs in the main thread, between two steps of its code."""
        if self.armed and self.cancelled is not None and time.monotonic() >= self.due:
            # Another signal may interrupt this function.
            self.due = math.inf
            if not self.is_handled() and not (self.event_loop and self.event_loop.cancel()):
                self.throw()
            self.due = time.monotonic() + CANCEL_PAUSE

    def is_handled(self):
        """Whether the function is handling the last `Cancelled`."""
        error = self.raised and self.raised()
        if error is None:
            return False
        return any(handled is error for handled in handled_errors()) or is_held(error)

    def check(self):
        with self.lock:
            # A request that is new since the last check is skipped: most calls end before a cancel.
            before, self.seen = self.seen, self.running
            if self.running is None or self.running != before:
                return
            if self.cancelled is None and self.input.poll(0):
                frame = self.channel.read()
                if frame is None:
                    return
                kind, request, _ = frame
                if kind != CANCEL:
                    fail(f"the host sent a frame of kind {kind} during request {self.running}")
                if request == self.running:
                    self.cancelled = request
            if self.cancelled is not None and self.armed and time.monotonic() >= self.due:
                # Repeated at each check until it is raised: a signal that arrives just before a
                # system call does not interrupt the call.
                signal.pthread_kill(self.main, signal.SIGURG)


def unguarded(function):
    return function


def handled_errors():
    """What the interrupted code handles, then what was being handled when that was raised."""
    errors, handled = [], sys.exc_info()[1]
    while handled is not None and len(errors) < MAX_NESTED:
        errors.append(handled)
        handled = handled.__context__
    return errors


def is_held(error):
    """Whether a suspended coroutine or generator holds the exception, or one raised meanwhile.

    What else may hold it, such as a task or a list, does not handle it.
    """
    held = [error]
    for _ in range(MAX_HELD):
        holders = gc.get_referrers(*held)
        if any(isinstance(holder, SUSPENDABLE) for holder in holders):
            return True
        held = [holder for holder in holders if isinstance(holder, BaseException)]
        if not held:
            break
    return False
