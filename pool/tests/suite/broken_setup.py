"""A module whose `setup` writes to stderr and fails."""

import sys


def setup():
    print("setting up", file=sys.stderr)
    raise OSError("no model")


def function(body):
    return body
