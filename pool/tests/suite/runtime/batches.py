"""Are batches served as the runtime says? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

from rig import (
    CALL,
    ERROR,
    REPLY,
    Failed,
    Pipes,
    batch,
    frame,
    instead,
    replies,
    run_checks,
    served,
    texts,
    worker,
)

def check_answers_are_in_order_and_written_at_once():
    writes, _ = served(lambda body: body + b"!", batch(b"one", b"", b"three"), frame(CALL, 10, b"on"))
    # The last ones are written once the worker is no longer busy.
    assert writes == [(False, replies(b"one!", b"!", b"three!")), (False, replies(b"on!", id=10))]
    writes, _ = served(lambda value: [value, None], batch(b"1", b"{}"), form="--json")
    assert writes == [(False, replies(b"[1,null]", b"[{},null]"))]


def check_a_failed_request_is_an_error_of_its_own():
    def function(body):
        if body == b"twice":
            raise KeyError(body)
        # It ends no loop of the runtime.
        if body == b"stop":
            raise StopIteration
        return {b"text": "text", b"long": b"x" * 4001, b"most": b"x" * 4000}.get(body, body)

    bodies = (b"one", b"twice", b"stop", b"text", b"long", b"most", b"twice", b"end")
    ((_, answers),) = served(function, batch(*bodies))[0]
    assert [kind for kind, _, _ in answers] == [REPLY, ERROR, ERROR, ERROR, ERROR, REPLY, ERROR, REPLY]
    assert all(id == 9 for _, id, _ in answers)
    errors = [texts(body)[:2] for kind, _, body in answers if kind == ERROR]
    assert errors == [
        ["KeyError", "b'twice'"],
        ["StopIteration", ""],
        ["TypeError", "the function returned str: it must return bytes"],
        ["ValueError", "the reply has 4001 bytes, at most 4000 are allowed"],
        ["KeyError", "b'twice'"],
    ]
    # The traceback begins with the function.
    assert texts(answers[1][2])[2].count("  File ") == 1
    assert (answers[5][2], answers[7][2]) == (b"x" * 4000, b"end")
    ((_, answers),) = served(lambda value: value["a"], batch(b"{", b'{"a": 1}'), form="--json")[0]
    assert [kind for kind, _, _ in answers] == [ERROR, REPLY]


def check_a_result_is_taken_as_it_is_returned():
    buffer = bytearray(1)

    def function(body):
        buffer[0] = body[0]
        return buffer if body[0] % 2 else memoryview(buffer)

    assert served(function, batch(b"a", b"b", b"c"))[0] == [(False, replies(b"a", b"b", b"c"))]


def check_answers_do_not_wait_for_slow_requests():
    clock = [0.0]

    def function(body):
        clock[0] += 0.004
        return body

    writes, _ = served(function, batch(*[b"x"] * 7), now=lambda: clock[0])
    # Each request takes 4 ms, and the pause is 10 ms long.
    assert [(busy, len(answers)) for busy, answers in writes] == [(True, 3), (True, 3), (False, 1)]


def check_the_buffer_is_bounded():
    with instead(BATCH_BUFFER=1000):
        writes, _ = served(bytes, batch(*[b"x" * 400] * 8))
        assert [len(answers) for _, answers in writes] == [3, 3, 2]

        def fails(body):
            raise KeyError("x" * 400)

        writes, _ = served(fails, batch(*[b"x"] * 5))
    assert [len(answers) for _, answers in writes] == [2, 2, 1]


def check_what_was_answered_before_an_exit_is_sent():
    def function(body):
        if body == b"exit":
            raise SystemExit
        return body

    writes, end = served(function, batch(b"one", b"two", b"exit", b"three"))
    assert (writes, end) == ([(True, replies(b"one", b"two"))], SystemExit)


def check_a_copy_answers_nothing():
    for result in (b"copy", "copy", KeyError, SystemExit):
        ran = []

        def function(body):
            ran.append(body)
            if body == b"fork":
                # What a process that the function has forked finds.
                served.channel.close()
                if isinstance(result, type):
                    raise result
                return result
            return body

        with instead(say=lambda _: None):
            writes, end = served(function, batch(b"one", b"fork", b"two"))
        assert writes == [] and end is (SystemExit if result is SystemExit else Failed)
        assert ran == [b"one", b"fork"]


class Told(Exception):
    """Tells whether it may be interrupted while it is described."""

    def __str__(self):
        return str(Told.cancellation.armed)


def check_a_cancel_ends_the_batch():
    Told.cancellation = cancellation = worker.Cancellation(Pipes().channel)

    def function(body):
        ran.append(body)
        assert cancellation.running == 9 and cancellation.armed
        if body == b"fail":
            raise KeyError(body)
        if body == b"late":
            # It is cancelled just as it ends.
            cancellation.cancelled = 9
        if body == b"cancel":
            cancellation.cancelled = 9
            cancellation.throw()
        if body == b"told":
            cancellation.cancelled = 9
            raise Told
        return body

    def stuck(function):
        """As the guard, if the signal comes just before it disarms the cancellation."""

        def guarded(body):
            cancellation.armed = True
            return function(body)

        return guarded

    cases = (
        (b"late", [b"fail", b"one", b"late"], "Cancelled", "the host no longer needs the result"),
        (b"cancel", [b"fail", b"one", b"cancel"], "Cancelled", "the host no longer needs the result"),
        (b"told", [b"fail", b"one", b"told"], "__main__.Told", "False"),
    )
    for stops, runs, kind, message in cases:
        ran = []
        frames = batch(b"fail", b"one", stops, b"two", b"three")
        guard = stuck if stops == b"told" else cancellation.guard
        ((busy, answers),), _ = served(function, frames, guard=guard, cancellation=cancellation)
        assert ran == runs and not busy
        assert [kind for kind, _, _ in answers[:2]] == [ERROR, REPLY]
        ended = answers[3:] if stops == b"late" else answers[2:]
        assert len(answers) == 5
        assert [texts(body)[:2] for _, _, body in ended] == [[kind, message]] * len(ended)
        assert (cancellation.running, cancellation.armed, cancellation.cancelled) == (None, False, None)


run_checks(globals())
