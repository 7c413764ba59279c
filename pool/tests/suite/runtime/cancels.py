"""Does a cancel interrupt its request, and nothing else? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import contextlib
import gc
import signal
import threading
import time

from rig import CALL, Failed, Instead, Pipes, fail, frame, instead, raised, run_checks, unread, worker

CANCEL = 6


def cancelling(*frames, running=7, seen=7, armed=True):
    """A cancellation at a moment, its pipes, and the signals that it sends."""
    pipes = Pipes()
    pipes.send(*frames)
    cancellation = worker.Cancellation(pipes.channel)
    cancellation.running, cancellation.seen, cancellation.armed = running, seen, armed
    sent = []

    def pthread_kill(thread, number):
        assert (thread, number) == (threading.main_thread().ident, signal.SIGURG)
        # The sender holds the lock.
        assert cancellation.lock.locked()
        sent.append(number)

    def check():
        with instead(signal=Instead(signal, pthread_kill=pthread_kill), fail=fail):
            cancellation.check()

    return cancellation, check, sent, pipes


def check_nothing_is_interrupted_at_first():
    cancellation = worker.Cancellation(Pipes().channel)
    state = (cancellation.running, cancellation.cancelled, cancellation.raised, cancellation.seen)
    assert state == (None, None, None, None)
    assert (cancellation.armed, cancellation.due) == (False, 0.0)


def check_a_cancel_is_sent():
    cancellation, check, sent, pipes = cancelling(frame(CANCEL, 7, b""), frame(CALL, 8, b""))
    check()
    assert cancellation.cancelled == 7 and len(sent) == 1
    # It is repeated until it is raised, and reads no more.
    check()
    assert len(sent) == 2 and unread(pipes.channel.input) == 9
    cancellation.armed = False
    check()
    cancellation.armed, cancellation.due = True, time.monotonic() + 1000
    check()
    assert len(sent) == 2
    cancellation.due = time.monotonic()
    check()
    assert len(sent) == 3
    assert signal.getsignal(signal.SIGURG) == cancellation.interrupt


def check_no_other_frame_is_taken():
    # No request runs, or it is new since the last check.
    for running, seen in ((None, None), (None, 7), (7, None), (7, 6)):
        cancellation, check, sent, pipes = cancelling(frame(CANCEL, 7, b""), running=running, seen=seen)
        check()
        assert (cancellation.seen, cancellation.cancelled, sent) == (running, None, [])
        assert unread(pipes.channel.input) == 9
    # A late cancel of the last request.
    cancellation, check, sent, _ = cancelling(frame(CANCEL, 6, b""))
    check()
    assert (cancellation.cancelled, sent) == (None, [])
    # No frame, and the end of the input.
    cancellation, check, sent, pipes = cancelling()
    check()
    pipes.end()
    check()
    assert (cancellation.cancelled, sent) == (None, [])
    _, check, _, _ = cancelling(frame(CALL, 8, b""))
    assert raised(Failed, check) == "the host sent a frame of kind 2 during request 7"


def check_the_end_of_a_request_forgets_its_cancel():
    locked = []

    @contextlib.contextmanager
    def lock():
        locked.append(1)
        yield

    cancellation, *_ = cancelling()
    cancellation.lock = lock()
    cancellation.cancelled, cancellation.due, cancellation.raised = 7, 5.0, lambda: None
    cancellation.end()
    state = (cancellation.running, cancellation.cancelled, cancellation.armed, cancellation.due, cancellation.raised)
    assert state == (None, None, False, 0.0, None)
    # The other thread may be reading.
    assert locked == [1]


def check_a_function_is_guarded():
    cancellation, *_ = cancelling(armed=False)
    guarded = cancellation.guard(lambda one, other: (one, other, cancellation.armed))
    assert guarded(1, 2) == (1, 2, True) and not cancellation.armed
    raised(ZeroDivisionError, cancellation.guard(lambda: 1 / 0))
    assert not cancellation.armed
    # A cancel that came before the function was called.
    cancellation.cancelled = 7
    before = time.monotonic()
    assert raised(worker.Cancelled, guarded, 1, 2) == "the host no longer needs the result"
    assert before + 0.2 <= cancellation.due <= time.monotonic() + 0.2
    assert cancellation.raised() is None and not cancellation.armed


def check_only_a_cancelled_function_is_interrupted():
    for armed, cancelled, due in ((False, 7, 0.0), (True, None, 0.0), (True, 7, time.monotonic() + 1000)):
        cancellation, *_ = cancelling(armed=armed)
        cancellation.cancelled, cancellation.due = cancelled, due
        cancellation.interrupt()
        assert cancellation.due == due
    cancellation, *_ = cancelling()
    cancellation.cancelled = 0
    with instead(CANCEL_PAUSE=1000):
        raised(worker.Cancelled, cancellation.interrupt, signal.SIGURG, None)
        # Not twice in a short time.
        cancellation.interrupt()


def check_a_signal_does_not_interrupt_its_handler():
    looked = []

    def is_handled():
        looked.append(1)
        cancellation.interrupt()
        return True

    cancellation, *_ = cancelling()
    cancellation.cancelled, cancellation.is_handled = 7, is_handled
    cancellation.interrupt()
    assert looked == [1]


def check_a_handler_is_not_interrupted():
    cancellation, *_ = cancelling()
    cancellation.cancelled = 7
    assert not cancellation.is_handled()
    try:
        cancellation.throw()
    except worker.Cancelled:
        assert cancellation.is_handled()
        cancellation.due = 0.0
        before = time.monotonic()
        cancellation.interrupt()
        assert before + 0.2 <= cancellation.due <= time.monotonic() + 0.2
        try:
            raise KeyError
        except KeyError:
            assert cancellation.is_handled()
    gc.collect()
    assert cancellation.raised() is None and not cancellation.is_handled()


def check_a_suspended_handler_holds_its_exception():
    def handles():
        with contextlib.suppress(worker.Cancelled):
            try:
                cancellation.throw()
            except worker.Cancelled:
                try:
                    raise KeyError
                except KeyError:
                    yield

    cancellation, *_ = cancelling()
    generator = handles()
    next(generator)
    assert cancellation.is_handled()
    kept = [cancellation.raised()]
    generator.close()
    # A list holds it, and does not handle it.
    assert kept[0] is cancellation.raised() and not cancellation.is_handled()


def check_what_was_raised_meanwhile_holds_it():
    def handles(depth):
        try:
            if depth:
                yield from handles(depth - 1)
            else:
                cancellation.throw()
        except (worker.Cancelled, KeyError):
            raise KeyError from None

    def waits(depth):
        with contextlib.suppress(KeyError):
            try:
                yield from handles(depth)
            except KeyError:
                yield

    for depth in (0, 1):
        cancellation, *_ = cancelling()
        generator = waits(depth)
        next(generator)
        # Only the last exception refers to it, directly or through another exception.
        assert cancellation.is_handled(), depth
        generator.close()
        gc.collect()
        assert not cancellation.is_handled()


run_checks(globals())
