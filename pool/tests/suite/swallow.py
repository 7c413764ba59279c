"""Functions that swallow the exception of a cancel, or take their time to handle it."""

import asyncio
import contextlib
import threading
import time
import weakref

# What the last request did, in order.
kept = []
# The file that tells the test that the function blocks.
blocks = ""
# Longer than the pause after which a lost cancel is raised again, in seconds.
LONG = 0.6


def run(body):
    global blocks
    verb, _, blocks = body.decode().partition(" ")
    if verb == "recall":
        return " ".join(kept).encode()
    kept.clear()
    return globals()[verb]()


def tell():
    """Creates the file that the request names, the first time."""
    global blocks
    path, blocks = blocks, ""
    if path:
        open(path, "x").close()


def block(name):
    """Blocks until a cancel is raised here."""
    try:
        tell()
        time.sleep(1000)
    finally:
        kept.append(name)


class Watched:
    pass


class Slow:
    def __del__(self):
        block("del")


def in_del():
    Slow()
    block("function")


def in_a_weak_callback():
    target = Watched()
    reference = weakref.ref(target, lambda _: block("callback"))
    del target
    assert reference() is None
    block("function")


def in_a_task():
    """A task that nothing awaits, and that is kept."""

    async def main():
        async def swallow():
            block("task")

        tasks = [asyncio.create_task(swallow())]
        try:
            while True:
                await asyncio.sleep(0.001)
        finally:
            assert tasks[0].done()
            kept.append("main")

    asyncio.run(main())


def in_a_loop_callback():
    async def main():
        asyncio.get_running_loop().call_soon(block, "callback")
        try:
            await asyncio.sleep(1000)
        finally:
            kept.append("main")

    asyncio.run(main())


def suppressed():
    for _ in range(3):
        with contextlib.suppress(BaseException):
            block("suppressed")
    return b"suppressed"


def kept_and_ignored():
    errors = []
    for _ in range(2):
        try:
            block("kept")
        except BaseException as error:
            errors.append(error)
    block("function")


def always_swallowed():
    while True:
        with contextlib.suppress(BaseException):
            block("swallowed")


def slowly(name):
    time.sleep(LONG)
    kept.append(name)


def in_finally():
    try:
        block("blocked")
    finally:
        slowly("cleaned")


def in_except():
    """Cleans up in a handler within a handler, and returns."""
    try:
        block("blocked")
    except BaseException:
        try:
            raise KeyError("meanwhile")
        except KeyError:
            slowly("cleaned")
    return b"returned"


def in_with():
    @contextlib.contextmanager
    def managed():
        try:
            yield
        finally:
            slowly("cleaned")

    with managed():
        block("blocked")


def in_a_coroutine():
    """The loop waits while the coroutine that was interrupted cleans up."""

    async def main():
        try:
            block("blocked")
        finally:
            await asyncio.sleep(LONG)
            kept.append("cleaned")

    asyncio.run(main())


def in_nested_coroutines():
    async def main():
        try:
            block("blocked")
        except BaseException:
            try:
                raise KeyError("meanwhile")
            except KeyError:
                await asyncio.sleep(LONG)
                kept.append("cleaned")

    asyncio.run(main())


def in_the_loop():
    """The cancel finds the loop waiting. It closes itself by cancelling its tasks."""

    async def main():
        try:
            kept.append("blocked")
            tell()
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(LONG)
            kept.append("cleaned")

    asyncio.run(main())


def in_a_thread():
    """The handler waits for a thread that cleans up."""
    try:
        block("blocked")
    finally:
        thread = threading.Thread(target=slowly, args=["cleaned"])
        thread.start()
        thread.join()
