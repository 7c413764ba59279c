"""The functions that the Python pools run."""

import time


def echo(request):
    return request


def sleep(request):
    time.sleep(0.001)
    return request
