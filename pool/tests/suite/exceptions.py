"""Functions that raise what a worker must answer, or end with. Takes and returns JSON."""

import asyncio
import builtins
import sys

kept = []
checks = 0
sick = False


def health():
    if sick:
        raise asyncio.CancelledError("unwell")


def run(words):
    """Calls the function that the request names, with the rest of the request."""
    verb, *rest = words.split()
    return globals()[verb](*rest)


def remember(word):
    kept.append(word)
    return kept


def sicken():
    global sick
    sick = True


class Unusual(BaseException):
    pass


class NoText(Exception):
    """An exception whose text raises."""

    def __str__(self):
        raise Unusual("str")

    __repr__ = __str__


class NoCause(Exception):
    """An exception whose traceback cannot be formatted."""

    @property
    def __cause__(self):
        raise GeneratorExit

    @property
    def __traceback__(self):
        raise GeneratorExit


class Nameless(type):
    def __getattribute__(cls, name):
        raise asyncio.CancelledError(name)


class NoName(Exception, metaclass=Nameless):
    pass


class StrangeModule(Exception):
    __module__ = None


class Text(str):
    """A string that refuses to be encoded."""

    def encode(self, *_):
        raise Unusual


class OddText(Exception):
    def __str__(self):
        return Text("odd")


def cancelled():
    raise asyncio.CancelledError("enough")


def in_a_task():
    async def give_up():
        asyncio.current_task().cancel()
        await asyncio.sleep(1000)

    asyncio.run(give_up())


def generator_exit():
    raise GeneratorExit


def unusual():
    raise Unusual("words")


def has_groups():
    return sys.version_info >= (3, 11)


def group():
    raise builtins.BaseExceptionGroup("several", [SystemExit(3), KeyboardInterrupt()])


def deep():
    return deep()


def chain():
    """An exception with a chain of 100,000 causes."""
    error = ValueError("first")
    for _ in range(100_000):
        after = ValueError("later")
        after.__cause__ = error
        error = after
    raise error


def raise_class(name):
    raise globals()[name]("words")


def long_name(before, count, character):
    raise type("N" * int(before) + character * int(count), (Exception,), {})("the message")


class Disguised:
    """A value that raises when it is looked at."""

    @property
    def __class__(self):
        raise asyncio.CancelledError("class")

    def __getattr__(self, name):
        raise GeneratorExit(name)


def disguised():
    return Disguised()


class Restless:
    def __init__(self, close=None):
        self.close = close or (lambda: None)

    def __iter__(self):
        return self

    def __next__(self):
        raise Unusual("next")


def restless():
    return Restless()


def closes_badly():
    return Restless(close=generator_exit)


def first_item():
    raise asyncio.CancelledError("first")
    yield


def later_item():
    yield "a part"
    raise GeneratorExit("later")


def leave(code):
    sys.exit(int(code))


def interrupt():
    raise KeyboardInterrupt


class Leaves(Exception):
    """An exception whose text ends the worker."""

    def __str__(self):
        raise SystemExit(7)


class Interrupts(Exception):
    """An exception whose text interrupts the worker."""

    def __str__(self):
        raise KeyboardInterrupt
