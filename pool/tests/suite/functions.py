"""The functions of `functions.rs`."""

import asyncio
import logging
import os

import ostler

documents = {}
ended = []


async def setup():
    await asyncio.sleep(0)
    logging.getLogger(__name__).warning("loaded")


def edit(line):
    """Appends a line to the document of the session."""
    document = documents.setdefault(ostler.session(), [])
    document.append(line)
    return document


def end_session(name):
    documents.pop(name)
    ended.append(name)


def told(_):
    left = ostler.deadline()
    return {
        "session": ostler.session(),
        "seconds": None if left is None else round(left),
        "position": ostler.position(),
        "trace": ostler.traceparent(),
        "cancelled": ostler.cancelled(),
        "ended": ended,
    }


async def numbers(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield number


async def waits(signal):
    open(signal, "x").close()
    try:
        await asyncio.sleep(1000)
    finally:
        os.unlink(signal)


def lookup(key):
    return {}[key]


def logs(_):
    ostler.log("error", "two\nlines", user=4)
    logging.getLogger("app").warning("slow", extra={"seconds": 5})
    print("plain")
