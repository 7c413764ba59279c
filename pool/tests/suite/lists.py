"""Functions of a list of requests."""


def double(numbers):
    """Doubles each number, and tells how long the list is."""
    return [(2 * number, len(numbers)) for number in numbers]


def parse(texts):
    """Returns each text, if it is a number."""
    if b"all" in texts:
        raise KeyError("all")
    return [text if text.isdigit() else ValueError(text.decode()) for text in texts]
