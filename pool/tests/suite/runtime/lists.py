"""Does a function of a list get the requests that came together? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

from rig import (
    CALL,
    ERROR,
    PART,
    REPLY,
    STREAM,
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


def errors(answers):
    """The type and the message of each error, and None for each reply."""
    return [texts(body)[:2] if kind == ERROR else None for kind, _, body in answers]


def check_a_batch_is_split_into_lists():
    lists = []

    def function(bodies):
        lists.append(bodies)
        return tuple(body + b"!" for body in bodies)

    writes, _ = served(function, batch(b"a", b"", b"c", b"d", b"e"), frame(CALL, 10, b"on"), longest=2)
    assert lists == [[b"a", b""], [b"c", b"d"], [b"e"], [b"on"]]
    assert writes == [(False, replies(b"a!", b"!", b"c!", b"d!", b"e!")), (False, replies(b"on!", id=10))]
    writes, _ = served(lambda values: values[::-1], batch(b"1", b"null", b'"x"'), form="--json", longest=9)
    assert writes == [(False, replies(b'"x"', b"null", b"1"))]


def check_a_stream_is_a_list_of_one():
    writes, _ = served(lambda bodies: [iter(bodies * 2)], frame(STREAM, 9, b"ab"), longest=2)
    assert [answer for _, answers in writes for answer in answers] == [(PART, 9, b"ab")] * 2 + [(REPLY, 9, b"")]


def check_an_exception_is_the_error_of_its_list():
    def function(bodies):
        if b"bad" in bodies:
            raise KeyError(len(bodies))
        return bodies

    ((_, answers),), _ = served(function, batch(b"a", b"b", b"bad", b"d", b"e"), longest=2)
    assert errors(answers) == [None, None, ["KeyError", "2"], ["KeyError", "2"], None]
    # Each traceback is that of the function.
    traces = [texts(body)[2] for kind, _, body in answers if kind == ERROR]
    assert traces[0] == traces[1] and traces[0].count("  File ") == 1
    (_, answers), (_, called) = served(function, batch(b"bad"), frame(CALL, 10, b"bad"), longest=2)[0]
    assert errors(answers) == errors(called) == [["KeyError", "1"]]


def check_a_result_may_be_an_error_of_one_request():
    def function(bodies):
        return [ValueError("empty") if not body else body for body in bodies]

    frames = batch(b"a", b"", b"c"), frame(CALL, 10, b""), frame(STREAM, 11, b"")
    (_, answers), (_, called), (_, streamed) = served(function, *frames, longest=9)[0]
    assert errors(answers) == [None, ["ValueError", "empty"], None]
    assert errors(called) == errors(streamed) == [["ValueError", "empty"]]


def check_the_traceback_of_an_error_is_that_of_its_cause():
    error = ValueError("one for all")

    def fail():
        raise error

    def function(bodies):
        try:
            fail()
        except ValueError:
            return [error] * len(bodies)

    ((_, answers),), _ = served(function, batch(*[b"x"] * 3), longest=9)
    traces = [texts(body)[2] for _, _, body in answers]
    assert traces == traces[:1] * 3 and traces[0].count("  File ") == 2 and "in fail" in traces[0]


def check_an_unreadable_request_or_result_concerns_no_other():
    lists = []

    def function(values):
        lists.append(values)
        return [{"set": {1}}.get(value, value) for value in values]

    requests = b"1", b"{", b'"set"', b"4", b"]"
    ((_, answers),), _ = served(function, batch(*requests), form="--stdlib-json", longest=4)
    assert lists == [[1, "set", 4]]
    kinds = [error and error[0] for error in errors(answers)]
    assert kinds == [None, "json.decoder.JSONDecodeError", "TypeError", None, "json.decoder.JSONDecodeError"]
    ((_, answers),), _ = served(lambda _: ["text", b"x" * 4001, b"x" * 4000], batch(b"", b"", b""), longest=3)
    assert errors(answers) == [
        ["TypeError", "the function returned str: it must return bytes"],
        ["ValueError", "the reply has 4001 bytes, at most 4000 are allowed"],
        None,
    ]


def check_the_results_must_be_as_many():
    for results, kind, message in (
        ([b"a"], "ValueError", "the function returned 1 results for 2 requests"),
        ([b"a"] * 3, "ValueError", "the function returned 3 results for 2 requests"),
        (b"ab", "TypeError", "the function returned a bytes: it must return a list"),
        ({1: 2, 3: 4}, "TypeError", "the function returned a dict: it must return a list"),
        (None, "TypeError", "the function returned a NoneType: it must return a list"),
    ):
        ((_, answers),), _ = served(lambda _, results=results: results, batch(b"a", b"b"), longest=2)
        assert errors(answers) == [[kind, message]] * 2


def check_an_exit_keeps_the_answers_before_it():
    def function(bodies):
        if b"exit" in bodies:
            raise SystemExit(3)
        return bodies

    writes, end = served(function, batch(b"a", b"b", b"c", b"exit", b"e"), longest=2)
    assert end is SystemExit
    assert writes == [(True, replies(b"a", b"b"))]


def check_a_copy_that_leaves_the_function_ends():
    def function(bodies):
        served.channel.close()
        return bodies

    with instead(say=lambda _: None):
        writes, end = served(function, batch(b"a", b"b"), longest=2)
    assert writes == [] and end is Failed


def check_a_cancel_ends_the_batch():
    cancellation = worker.Cancellation(Pipes().channel)
    lists = []

    def function(bodies):
        lists.append(bodies)
        assert cancellation.armed
        if b"cancel" in bodies:
            cancellation.cancelled = 9
            cancellation.throw()
        if b"late" in bodies:
            # It is cancelled just as it ends.
            cancellation.cancelled = 9
        return bodies

    for stops in b"cancel", b"late":
        lists.clear()
        frames = batch(b"a", b"b", b"c", stops, b"e")
        options = {"guard": cancellation.guard, "cancellation": cancellation}
        ((busy, answers),), _ = served(function, frames, longest=2, **options)
        assert lists == [[b"a", b"b"], [b"c", stops]] and not busy
        assert errors(answers) == [None, None] + [["Cancelled", "the host no longer needs the result"]] * 3
        assert (cancellation.running, cancellation.armed, cancellation.cancelled) == (None, False, None)


run_checks(globals())
