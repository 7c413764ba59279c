"""A module that counts the forks of its zygote. As `hostile.py`."""

import os

import hostile

forks = 0
siblings = 0


def forked():
    """Counts this fork, and the zygote's children, this one included, at the moment of the fork."""
    global forks, siblings
    forks += 1
    zygote = os.getppid()
    with open(f"/proc/{zygote}/task/{zygote}/children") as children:
        siblings = len(children.read().split())


def forked_another():
    global forks
    forks += 1


os.register_at_fork(after_in_child=forked, after_in_parent=forked_another)


def run(body):
    if body == b"forks":
        return f"{forks} {siblings}".encode()
    return hostile.run(body)
