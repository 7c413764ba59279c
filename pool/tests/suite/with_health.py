"""A module whose `health` counts its calls, and fails when it was told to."""

failure = b""
checks = 0


def health():
    global checks
    checks += 1
    if failure:
        raise OSError(failure.decode())


def set_failure(body):
    """Sets what `health` raises from now on. Returns how often it was called."""
    global failure
    failure = body
    return str(checks).encode()
