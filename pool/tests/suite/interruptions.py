"""Interrupts calls of the Python runtime as they begin and end. The argument is the directory of the runtime's files.

A timer cancels each call once, at any point of the call or after it. Prints `ok` to stderr at the
end.
"""

import random
import signal
import sys

from runtime_files import loaded

CALLS = 20_000

worker = loaded(sys.argv[1])
cancellation = worker.Cancellation(worker.Channel())


def cancel(*_):
    if cancellation.running is not None:
        cancellation.cancelled = cancellation.running
    cancellation.interrupt()


def work(number):
    for _ in range(number % 50):
        pass
    return number


guarded = cancellation.guard(work)
signal.signal(signal.SIGALRM, cancel)
interrupted = returned = 0
try:
    for number in range(CALLS):
        cancellation.running = number
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + random.random() * 2e-5)
        try:
            result = guarded(number)
        except worker.Cancelled:
            interrupted += 1
        else:
            assert result == number
            returned += 1
        # As the runtime does before it answers. From here on, nothing may be raised.
        cancellation.end()
except worker.Cancelled:
    sys.exit(f"Cancelled escaped from call {number}")
finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
assert returned + interrupted == CALLS
assert returned > 100 and interrupted > 100, (returned, interrupted)
print("ok", file=sys.stderr)
