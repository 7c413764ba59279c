"""A module whose setup fails, after it has said something."""

import sys


def setup():
    print("setting up", file=sys.stderr)
    raise OSError("no model")


def function(body):
    return body
