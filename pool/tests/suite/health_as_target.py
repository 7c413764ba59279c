"""A module whose function of calls has the name of the probe."""


def health(body):
    return body
