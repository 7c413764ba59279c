"""What a Python function learns of its call, and tells its host, in a worker of ostler.

Each worker provides this module: `import ostler` needs no install there. A copy of this directory
serves editors and type checkers, and tests of your functions outside a worker, where there is no call
and every question is answered with None or False.
"""

from __future__ import annotations

import os
import sys
from typing import Callable, TypeVar

__all__ = [
    "Cancelled",
    "cancelled",
    "deadline",
    "log",
    "on_session_end",
    "position",
    "session",
    "traceparent",
]

_F = TypeVar("_F", bound=Callable[[str], object])

# What the worker knows. None outside a worker.
_current = sys.modules.get("_ostler_worker")


class Cancelled(BaseException):
    """Raised in the running function when its caller no longer needs the result.

    Not an Exception, so `except Exception` does not catch it. In a coroutine, it is an
    `asyncio.CancelledError` as well.
    """


if _current:
    Cancelled = _current.Cancelled  # type: ignore


def session() -> str | None:
    """The name of the session that the running call belongs to, or whose end is being handled."""
    return _current.session if _current else None


def deadline() -> float | None:
    """How many seconds are left until the host stops waiting for the answer, or for its next part.

    0.0 if none are left. None if the host has not said how long it waits.
    """
    return _current.deadline() if _current else None


def position() -> int | None:
    """The worker's number among those of its pool, from 0: its replacement gets the same."""
    text = os.environ.get("OSTLER_POSITION", "")
    return int(text) if text.isdigit() else None


def traceparent() -> str | None:
    """The W3C trace context of the running call, as in the header `traceparent`."""
    return _current.traceparent if _current else None


def cancelled() -> bool:
    """Whether the caller of the running call no longer needs the result.

    The function gets `Cancelled` as well. Other threads may ask here.
    """
    return _current.cancelled() if _current else False


def log(level: str | int, message: str, **fields: object) -> None:
    """Writes a record to the log of the host, with its level: `debug`, `info`, `warning` or `error`.

    The level may be a number of `logging`, too. The records of `logging` reach the host without this
    function.
    """
    if _current:
        _current.log(_current.level_name(level), "ostler", message, fields)
        return
    import logging

    number = level if isinstance(level, int) else getattr(logging, level.upper(), logging.INFO)
    said = " ".join([message, *(f"{name}={value}" for name, value in fields.items())])
    logging.getLogger("ostler").log(number, "%s", said)


def on_session_end(function: _F) -> _F:
    """Decorates a function that is called with the name of each session that has ended on this worker.

    It runs between two calls. An exception is logged.
    """
    if _current and function not in _current.session_ends:
        _current.session_ends.append(function)
    return function
