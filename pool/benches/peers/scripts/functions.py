"""The function that every Python pool runs."""


def echo(request):
    return request
