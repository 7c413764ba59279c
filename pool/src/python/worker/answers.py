"""What answers a call, a stream and a batch with a function."""

import functools
import time
from itertools import repeat

# The flag of the code of an `async def` without a `yield`.
CO_COROUTINE = 0x80
# What `next` returns at the end of an iterator.
END = object()


def answers(function, read, write, write_call, most, guard, longest):
    """Returns three functions of a request's body, which answer a call, a stream and a batch.

    `read` and `write` are a codec, and `write_call` writes the result of a call. `most` is the
    largest body of a reply or part, in bytes. `longest` is None, or the longest list of requests
    that the function takes.
    """
    # Anything else that returns a coroutine takes a longer way.
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & CO_COROUTINE:
        coroutine = function

        def function(value):
            return run(coroutine(value))

    if longest:
        of_list = checked(function)

        def function(value):
            return unwrap(*of_list([value]))

    def pack(result, write=write):
        try:
            packed = write(result)
        except TypeError:
            if hasattr(result, "__next__") or hasattr(result, "__anext__"):
                raise TypeError(f"the function returned a {type(result).__qualname__}: use a stream") from None
            if not hasattr(result, "__await__"):
                raise
            packed = None
        if packed is None:
            # Here, what the coroutine raises has no other exception as its context.
            return pack(run(result), write)
        if len(packed) > most:
            raise ValueError(f"the reply has {len(packed)} bytes, at most {most} are allowed")
        return packed

    def call(body):
        return pack(function(read(body)), write_call)

    def one_of_many(body):
        return pack(function(read(body)))

    begin, advance, settle = guard(lambda body: function(read(body))), guard(next), guard(settled)

    def stream(body, send):
        result = begin(body)
        if not hasattr(result, "__next__"):
            result = settle(result)
            if hasattr(result, "__anext__"):
                result = AsyncItems(result)
            elif not hasattr(result, "__next__"):
                result = iter((result,))
        try:
            while (item := advance(result, END)) is not END:
                packed = write(item)
                if len(packed) > most:
                    raise ValueError(f"the part has {len(packed)} bytes, at most {most} are allowed")
                send(packed)
                current.began = time.monotonic()
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
    return guard(call), stream, functools.partial(answer_batch, requests, each, guard(pack), most)


def named_answers(functions, answers_of):
    """As `answers`, for a module: the details of each request name its function."""

    @functools.lru_cache(None)
    def of(name):
        if name is None:
            raise LookupError(f"the call names no function of the module: it has {some(sorted(functions))}")
        if name not in functions:
            raise LookupError(f"the module has no function {name!r}: it has {some(sorted(functions))}")
        return answers_of(functions[name])

    def call(body):
        return of(current.function)[0](body)

    def stream(body, send):
        return of(current.function)[1](body, send)

    def batch(channel, watcher, request, body):
        return of(current.function)[2](channel, watcher, request, body)

    return call, stream, batch


def checked(function):
    """Wraps a function of a list: checks its results, and marks those that are exceptions."""

    def of_list(values):
        results = settled(function(values))
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
