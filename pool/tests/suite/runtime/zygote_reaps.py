"""Does a zygote signal a process that is not its child? See `rig.py`.

Prints `ok` to stderr at the end.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

from rig import loaded, until

Zygote = loaded(*sys.argv[1:]).Zygote


def reap(*_):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def reap_at_last(child):
    """As the host: asks again while the child is alive, which it may be for long on a busy machine."""
    while (answer := Zygote._reap(None, child)) == "alive":
        pass
    return answer


# A process that this one's child has started, and left.
script = "import subprocess; print(subprocess.Popen(['sleep', '1000'], stdout=-3, start_new_session=True).pid)"
stranger = int(subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True).stdout)
try:
    assert Zygote._reap(None, stranger) == "unknown"
    assert Zygote._status(None, stranger) == "unknown"
    os.kill(stranger, 0)
    with open(f"/proc/{stranger}/stat") as stat:
        assert stat.read().rpartition(")")[2].split()[0] != "Z"
finally:
    os.kill(stranger, 9)

# An exited child, then a running child.
for script, status in (("exit 3", "code 3"), ("sleep 1000", "unknown")):
    child = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    if status != "unknown":
        until(lambda: Zygote._status(None, child.pid) != "unknown")
    assert Zygote._status(None, child.pid) == status
    assert reap_at_last(child.pid) == "reaped"
    assert Zygote._reap(None, child.pid) == "unknown"
    child.returncode = 0

# A child that a signal handler reaps, at any moment.
signal.signal(signal.SIGALRM, reap)
signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
for _ in range(300):
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert reap_at_last(child) in ("reaped", "unknown")
signal.setitimer(signal.ITIMER_REAL, 0)

# A child that another process traces ends for its parent only when the tracer lets it go.
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
reader, writer = os.pipe()
tracer = os.fork()
if tracer == 0:
    seize = 0x4206
    os.write(writer, b"0" if ctypes.CDLL(None).ptrace(seize, child.pid, None, None) == 0 else b"1")
    time.sleep(1000)
    os._exit(0)
try:
    assert os.read(reader, 1) == b"0"
    assert Zygote._reap(None, child.pid) == "alive"
finally:
    os.kill(tracer, 9)
    os.waitpid(tracer, 0)
    # If an assertion failed, it may not have been signalled.
    os.kill(child.pid, 9)
assert reap_at_last(child.pid) == "reaped"
child.returncode = 0
print("ok", file=sys.stderr)
