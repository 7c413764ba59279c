"""What answers a call, a stream and a batch with a function."""

import functools
from itertools import repeat

# What `next` returns at the end of an iterator.
END = object()


def answers(function, read, write, write_call, most, guard, longest):
    """Returns three functions of a request's body, which answer a call, a stream and a batch.

    `read` and `write` are a codec, and `write_call` writes the result of a call. `most` is the
    largest body of a reply or part, in bytes. `longest` is None, or the longest list of requests
    that the function takes.
    """
    if longest:
        of_list = checked(function)

        def function(value):
            return unwrap(*of_list([value]))

    def pack(result, write=write):
        try:
            packed = write(result)
        except TypeError:
            if hasattr(result, "__next__"):
                raise TypeError(f"the function returned a {type(result).__qualname__}: use a stream") from None
            raise
        if len(packed) > most:
            raise ValueError(f"the reply has {len(packed)} bytes, at most {most} are allowed")
        return packed

    def call(body):
        return pack(function(read(body)), write_call)

    def one_of_many(body):
        return pack(function(read(body)))

    begin, advance = guard(lambda body: function(read(body))), guard(next)

    def stream(body, send):
        result = begin(body)
        if not hasattr(result, "__next__"):
            result = iter((result,))
        try:
            while (item := advance(result, END)) is not END:
                packed = write(item)
                if len(packed) > most:
                    raise ValueError(f"the part has {len(packed)} bytes, at most {most} are allowed")
                send(packed)
        finally:
            close = getattr(result, "close", None)
            if callable(close):
                close()

    if longest:
        each = guard(lambda outcome: pack(unwrap(outcome)))
        requests = functools.partial(outcomes, guard(of_list), guard(read), longest)
    else:
        # What reads and writes bytes may be left out.
        each = guard(function if read is bytes else one_of_many)
        requests = iter
    return guard(call), stream, functools.partial(answer_batch, requests, each, pack, most)


def checked(function):
    """Wraps a function of a list: checks its results, and marks those that are exceptions."""

    def of_list(values):
        results = function(values)
        if not isinstance(results, (list, tuple)):
            raise TypeError(f"the function returned a {type(results).__qualname__}: it must return a list")
        if len(results) != len(values):
            raise ValueError(f"the function returned {len(results)} results for {len(values)} requests")
        return [Raised(result) if isinstance(result, Exception) else result for result in results]

    return of_list


class Raised:
    """An exception that stands for a result."""

    def __init__(self, error):
        self.error = error
        # It is raised for each request, and each time its traceback gets longer.
        self.trace = error.__traceback__


def unwrap(outcome):
    """Returns a result, or raises what stands for one."""
    if isinstance(outcome, Raised):
        raise outcome.error.with_traceback(outcome.trace)
    return outcome


def outcomes(of_list, read, longest, bodies):
    """Yields an outcome for each request. Runs the function for lists of up to `longest` requests."""

    def attempt(function, argument):
        try:
            return function(argument)
        except BaseException as error:
            return Raised(error)

    for start in range(0, len(bodies), longest):
        values = [attempt(read, body) for body in bodies[start : start + longest]]
        readable = [value for value in values if not isinstance(value, Raised)]
        results = attempt(of_list, readable) if readable else ()
        results = repeat(results) if isinstance(results, Raised) else iter(results)
        for value in values:
            yield value if isinstance(value, Raised) else next(results)
