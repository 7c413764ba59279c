"""A module that cannot be forked once it was imported: its thread would be missing."""

import os
import threading
import time

threading.Thread(target=time.sleep, args=[1000], daemon=True).start()


def parent(_):
    return str(os.getppid()).encode()
