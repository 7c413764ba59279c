"""A module that starts a thread at its import. It cannot be forked: a fork has one thread."""

import os
import threading
import time

threading.Thread(target=time.sleep, args=[1000], daemon=True).start()


def parent(_):
    return str(os.getppid()).encode()
