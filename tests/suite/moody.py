"""The functions of `hostile`. The file MOOD says how a worker starts: `well`, `refuse` or `dawdle`."""

import os
import time

from hostile import health, run  # noqa: F401: the pool calls them


def setup():
    with open(os.environ["MOOD"]) as file:
        mood = file.read()
    if mood == "refuse":
        raise RuntimeError("in a bad mood")
    if mood == "misspelt":
        raise ImportError("in no mood")
    if mood == "dawdle":
        time.sleep(1000)
