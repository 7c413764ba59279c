"""A module whose target function is named `health`."""


def health(body):
    return body
