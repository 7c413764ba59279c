"""The functions of `hostile`, by workers that start as the file MOOD says: well, unless it holds `refuse` or `dawdle`."""

import os
import time

from hostile import health, run  # noqa: F401: what the pool is told to call


def setup():
    with open(os.environ["MOOD"]) as file:
        mood = file.read()
    if mood == "refuse":
        raise RuntimeError("in a bad mood")
    if mood == "dawdle":
        time.sleep(1000)
