"""A module that knows how it is, and can be told how to be."""

ailment = b""
asked = 0


def health():
    global asked
    asked += 1
    if ailment:
        raise OSError(ailment.decode())


def ail(body):
    """What `health` raises from here on; returns how often it has been asked."""
    global ailment
    ailment = body
    return str(asked).encode()
