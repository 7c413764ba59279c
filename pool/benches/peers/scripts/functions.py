"""The functions that the Python pools run."""

import time


def echo(request):
    return request


def copy(request):
    return bytes(memoryview(request))


def glance(request):
    return b"%d" % sum(memoryview(request)[::4096])


def model(requests):
    time.sleep(0.001 + 0.00005 * len(requests))
    return requests


def model_of_one(request):
    return model([request])[0]


def sleep(request):
    time.sleep(0.001)
    return request
