"""An agent that the start of the interpreter loads: it opens logs before any other code runs."""

import os
import socket

WRITE = os.O_WRONLY | os.O_CREAT | os.O_APPEND

logs, copies = [], []
if "AGENT_LOG" in os.environ:
    # As Python opens files, and as C code may: inherited by subprocesses.
    logs.append(os.open(os.environ["AGENT_LOG"] + ".python", WRITE))
    logs.append(os.open(os.environ["AGENT_LOG"] + ".c", WRITE))
    os.set_inheritable(logs[-1], True)
    # Copies of the standard streams, one as above and one as for a subprocess.
    copies = [os.dup(1), os.dup2(1, 50), os.dup2(0, 51)]
    reader, writer = socket.socketpair()
    writer.set_inheritable(True)


def log(body):
    for fd in logs + copies[:2]:
        os.write(fd, body + b"\n")
    assert os.read(copies[2], 1) == b""
    writer.send(body)
    assert reader.recv(100) == body
