"""The event loop of a worker: runs coroutines, one at a time, and cancels them."""

import contextlib
import functools
import weakref

# How long tasks that are left get at the end of the worker, in seconds.
TASKS_GRACE = 1.0


def settled(result):
    """The result of a function, or of its coroutine."""
    return run(result) if hasattr(result, "__await__") else result


def run(awaitable):
    return the_loop().run(awaitable)


@functools.lru_cache(None)
def the_loop():
    """Made when the first coroutine comes: most functions need none, and a fork must not share it."""
    return EventLoop()


def close_loop():
    """Ends what is left on the event loop."""
    if the_loop.cache_info().currsize:
        the_loop().close()
        the_loop.cache_clear()


class AsyncItems:
    """The items of an asynchronous generator, for code that is not asynchronous."""

    def __init__(self, items):
        self.items = items

    def __next__(self):
        try:
            return run(self.items.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self):
        aclose = getattr(self.items, "aclose", None)
        if callable(aclose):
            run(aclose())


class EventLoop:
    def __init__(self):
        import asyncio

        self.asyncio = asyncio
        # What a coroutine gets, whose libraries know asyncio's exception.
        self.cancelled = type("Cancelled", (Cancelled, asyncio.CancelledError), {"__module__": "builtins"})
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        # The task of the running coroutine. While it is set, only the task is interrupted: an
        # exception in the loop's own code would break the loop.
        self.task = None
        # Whether the task was cancelled, and the coroutine does not know it yet.
        self.asked = False

    def run(self, awaitable):
        """Runs an awaitable to its end, and returns or raises what it does."""
        outcome = []
        task = self.loop.create_task(self.settle(awaitable, outcome))
        cancellation = current.cancellation
        self.asked, self.task = False, task
        if cancellation:
            cancellation.event_loop = self
        try:
            with contextlib.suppress(self.asyncio.CancelledError):
                self.loop.run_until_complete(task)
        finally:
            if cancellation:
                cancellation.event_loop = None
            self.task = None
        # A task that was cancelled before its first step has none.
        value, error = outcome.pop() if outcome else (None, self.cancelled())
        if error is not None:
            try:
                raise error
            finally:
                # Its traceback keeps this frame.
                del error
        return value

    async def settle(self, awaitable, outcome):
        # The result of a task that is being cancelled is lost. An exception that is a value does not
        # end the loop, and its traceback has no frame of asyncio.
        try:
            outcome.append((await Interruptible(awaitable, self), None))
        except BaseException as error:
            outcome.append((None, error))

    def cancel(self):
        """Cancels the running task. Returns False if its code must be interrupted instead.

        Called by the handler of a signal, at any point of the main thread.
        """
        if self.asked and not self.task.done():
            # A coroutine that does not await learns nothing.
            stuck = self.asyncio.current_task(self.loop) is not None
            return not stuck or any(isinstance(error, self.asyncio.CancelledError) for error in handled_errors())
        if not self.task.done():
            self.asked = True
            self.task.cancel()
            # Ends the wait of the loop.
            self.loop.call_soon_threadsafe(int)
        return True

    def as_cancelled(self, error):
        """What the coroutine gets for this exception: `Cancelled` if the host has cancelled its call."""
        if self.asked and isinstance(error, self.asyncio.CancelledError):
            self.asked = False
            error = self.cancelled()
            current.cancellation.raised = weakref.ref(error)
        return error

    def close(self):
        tasks = self.asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(self.asyncio.wait(tasks, timeout=TASKS_GRACE))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.asyncio.set_event_loop(None)
        self.loop.close()


class Interruptible:
    """Awaits, and turns asyncio's exception for a cancelled task into `Cancelled`."""

    def __init__(self, awaitable, event_loop):
        self.awaitable = awaitable
        self.event_loop = event_loop

    def __await__(self):
        steps = waits_for(self.awaitable)
        value, thrown = None, None
        while True:
            try:
                if thrown is None:
                    awaited = steps.send(value)
                else:
                    awaited = steps.throw(thrown)
            except StopIteration as end:
                return end.value
            # If this frame held it, it would count as handled.
            value = thrown = None
            try:
                value = yield awaited
            except BaseException as error:
                thrown = self.event_loop.as_cancelled(error)


async def waits_for(awaitable):
    return await awaitable
