"""The worker of the example `top`: does what its client asks for."""

import os
import time


def work(request):
    """Take some milliseconds, half of them busy; then reply, raise or exit."""
    seconds = request["ms"] / 1000
    end = time.monotonic() + seconds / 2
    time.sleep(seconds / 2)
    while time.monotonic() < end + seconds / 2:
        pass
    if request["act"] == "raise":
        raise ValueError("asked to raise")
    if request["act"] == "exit":
        os._exit(3)
    return request["ms"]
