"""A function that an agent watches."""

import sitecustomize


def watched(body):
    """Opens a file at each call, as most functions do, and lets the agent write to its logs."""
    with open(__file__, "rb") as file:
        sitecustomize.log(body)
        assert file.read().startswith(b'"""A function')
    return body
