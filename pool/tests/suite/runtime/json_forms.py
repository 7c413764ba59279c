"""Is JSON the same with `orjson` as without it? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import base64
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import math
import pathlib
import sys
import types
import typing
import uuid

from rig import instead, run_checks, worker


class Stand:
    """Stands in for orjson: does everything that orjson does otherwise than `json`."""

    OPT_PASSTHROUGH_DATACLASS, OPT_PASSTHROUGH_DATETIME, OPT_PASSTHROUGH_SUBCLASS = 1, 2, 4

    def __init__(self):
        self.done = []

    def loads(self, text):
        def refuse(*_):
            raise ValueError("refused")

        def integer(digits):
            value = int(digits)
            return value if -(1 << 63) <= value < 1 << 64 else float(value)

        def real(digits):
            return float(digits) if math.isfinite(float(digits)) else refuse()

        decoded = text.decode()
        value = json.loads(decoded, parse_constant=refuse, parse_int=integer, parse_float=real)
        json.dumps(value, ensure_ascii=False).encode()
        self.done.append("loads")
        return value

    def dumps(self, value, default, option):
        assert (default, option) == (worker.as_plain, 7)
        packed = json.dumps(self.plain(value), separators=(",", ":"), ensure_ascii=False).encode()
        self.done.append("dumps")
        return packed

    def plain(self, value):
        kind = type(value)
        if isinstance(value, enum.Enum):
            return self.plain(value.value)
        if kind is uuid.UUID:
            return str(value)
        if kind is float:
            return value if math.isfinite(value) else None
        if kind is int and -(1 << 63) <= value < 1 << 64 or value is None or kind in (bool, str):
            return value
        if kind in (list, tuple):
            return [self.plain(item) for item in value]
        if kind is dict and all(type(key) is str for key in value):
            return {key: self.plain(item) for key, item in value.items()}
        return self.plain(worker.as_plain(value))


def implementations():
    """The stand-in, and orjson itself if it is installed."""
    stand = Stand()
    yield stand
    try:
        import orjson
    except ImportError:
        return
    yield orjson


def outcome(function, argument):
    """What a function does: each type and value, or the error."""
    try:
        return repr(function(argument))
    except Exception as error:
        return type(error).__qualname__, str(error)


def with_short_exponents(text):
    """As orjson spells numbers: 1e16 and 1e-7, where `json` has 1e+16 and 1e-07."""
    return text.replace("e+", "e").replace("e-0", "e-")


class Text(str):
    pass


class Number(enum.IntEnum):
    ONE = 1


class Shade(enum.Enum):
    DARK = ["dark", math.nan]
    LIGHT = "light"


@dataclasses.dataclass
class Record:
    field: int = 1


class Unequal(list):
    def __eq__(self, other):
        raise KeyError


@dataclasses.dataclass
class Nested:
    record: Record
    path: object
    kind: typing.ClassVar = "no field"


Pair = collections.namedtuple("Pair", "a b")
DEEP = [None]
for _ in range(300):
    DEEP = [DEEP]
CIRCLE = []
CIRCLE.append(CIRCLE)
VALUES = [
    *(None, True, False, 0, -0.0, 0.1, 1e16, 1e-7, 5e-324, 1.7976931348623157e308),
    *(math.nan, math.inf, -math.inf, [math.nan], [None, math.nan], {"null": math.inf}, [None], (None,), "null"),
    *(2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400),
    *({"a": 1}, {1: 2}, {True: 1, None: 2}, {1.5: 1}, {(1, 2): 3}, {Text("k"): 1}, {math.nan: 1}),
    *(Text("x"), Number.ONE, Shade.LIGHT, Shade.DARK, [Shade.LIGHT, None], {Shade.LIGHT: 1}),
    *(uuid.UUID(int=7), [uuid.UUID(int=7), None], datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1)),
    *(datetime.time(1, 2, 3), datetime.datetime(2020, 1, 1, 1, 1, 1, 5, datetime.timezone.utc), datetime.timedelta(1)),
    *(pathlib.Path("/a/b"), pathlib.PureWindowsPath("c"), Nested(Record(math.nan), pathlib.Path("x")), [Record(None)]),
    *(Record(), Record, Pair(1, 2), (1, 2), {1, 2}, range(3), decimal.Decimal(1), object, iter([1])),
    *(b"x", bytearray(b"x"), memoryview(b"x"), Unequal([None]), [Unequal([None])]),
    *("\ud800", "\udc80 and \U0001f600", "\0\x7f\u2028\"\\/é", collections.OrderedDict(a=1), DEEP, CIRCLE),
]
TEXTS = [
    *(b"1", b" [1, 2.50, -0, -0.0, 1E5] ", b'{"a": 1, "a": {"b": null}}', b"true", b'"\\u0000\\ud83d\\ude00"'),
    *(b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809", b"[12345678901234567890123]"),
    *(b"1000000000000000000", b"9999999999999999999", b"-9999999999999999999", b"99999999999999999990"),
    *(b"0.12345678901234567890123", b"1e400", b"-1e400", b"1e-400", b"NaN", b"[Infinity]", b"-Infinity"),
    *(b'"\\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b"\xef\xbb\xbf1", "[1]".encode("utf-16"), "1".encode("utf-32-le")),
    *(b"", b"01", b"[1,]", b"'a'", b'"\x01"', b"[1] x", b"1\xa0", b"\x0b1", b"nul", b"{1: 2}"),
    *(b"[" * 300 + b"]" * 300, b"9" * 5000),
]

# What `json` reads and JSON does not have.
NO_NUMBERS = [b"NaN", b"[Infinity]", b"-Infinity"]


def check_values_are_read_and_written_alike():
    standard_read, standard_write = worker.stdlib_codec()
    for implementation in implementations():
        read, write = worker.orjson_codec(implementation, standard_read, standard_write)
        for text in TEXTS:
            assert outcome(read, text) == outcome(standard_read, text), text[:80]
            if text not in NO_NUMBERS:
                assert outcome(read, text) == outcome(json.loads, text), text[:80]
        for value in VALUES:
            found, expected = outcome(write, value), outcome(standard_write, value)
            if isinstance(expected, str):
                found, expected = with_short_exponents(found), with_short_exponents(expected)
            assert found == expected, (value, found, expected)


def check_a_request_has_no_nan():
    read, _ = worker.stdlib_codec()
    for text, name in zip(NO_NUMBERS, ("NaN", "Infinity", "-Infinity")):
        problem = f"the request has {name}, which is not JSON: send null or a finite number"
        assert outcome(read, text) == ("ValueError", problem)


def check_the_standard_codec_is_json():
    """What `json` writes, the codec writes alike, and what `json` refuses is refused, in other words."""
    _, write = worker.stdlib_codec()
    options = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":"), "default": worker.as_plain}
    for value in VALUES:
        expected = outcome(lambda value: json.dumps(value, **options).encode("utf-8", "surrogatepass"), value)
        found = outcome(write, value)
        if isinstance(expected, tuple):
            found, expected = found[0], expected[0]
        assert found == expected, (found, expected)


def check_what_is_written_for_values():
    _, write = worker.stdlib_codec()
    utc = datetime.timezone.utc
    for value, text in (
        ([Shade.LIGHT, uuid.UUID(int=7)], '["light","00000000-0000-0000-0000-000000000007"]'),
        (Nested(Record(2), pathlib.PurePosixPath("/a/b")), '{"record":{"field":2},"path":"/a/b"}'),
        (datetime.datetime(2020, 1, 2, 3, 4, 5, 600, utc), '"2020-01-02T03:04:05.000600+00:00"'),
        (datetime.datetime(2020, 1, 2, 3, 4), '"2020-01-02T03:04:00"'),
        ([datetime.date(2020, 1, 2), datetime.time(3, 4)], '["2020-01-02","03:04:00"]'),
    ):
        assert write(value).decode() == text, write(value)


def refused(value):
    return outcome(worker.stdlib_codec()[1], value)


def check_an_error_says_where_and_what_to_do():
    class Model:
        def model_dump(self):
            pass

    for value, kind, problem in (
        (decimal.Decimal(1), "TypeError", "decimal.Decimal is not JSON serializable: return str(value) or float("),
        ({"a": [1, {2}]}, "TypeError", "set at ['a'][1] is not JSON serializable: return sorted(value) or list(value)"),
        (Record([b""]), "TypeError", "bytes at ['field'][0] is not JSON serializable: "),
        ({1: Model()}, "TypeError", "Model at [1] is not JSON serializable: return value.model_dump()"),
        ([range(2)], "TypeError", "range at [0] is not JSON serializable: return list(value)"),
        ([object()], "TypeError", "object at [0] is not JSON serializable: return a dict of its fields"),
        ([datetime.timedelta(1)], "TypeError", "datetime.timedelta at [0] is not JSON serializable: return value.t"),
        (math.nan, "ValueError", "the result has nan, which is not JSON: return None or a finite number"),
        ([1, {"x": -math.inf}], "ValueError", "the result has -inf at [1]['x'], which is not JSON: return None or"),
        ({"a": (1.5, [math.nan])}, "ValueError", "the result has nan at ['a'][1][0], which"),
    ):
        found = refused(value)
        assert found[0] == kind and problem in found[1], found
    assert refused(object())[1].endswith(": return a dict of its fields, or what else stands for it")
    # A dataclass is not its own instance.
    assert refused([Record])[1].startswith("a value of type type at [0] is not JSON")
    # The search goes on after nested values.
    assert refused([[1], {"a": [2]}, {2}])[1].startswith("a value of type set at [2] is")

    class Day(datetime.date):
        def isoformat(self):
            raise ValueError("no day")

    assert refused([Day(2020, 1, 2)]) == ("ValueError", "no day")
    # Other problems are those of `json`.
    assert refused(CIRCLE) == ("ValueError", "Circular reference detected")
    assert refused({(1, 2): 3})[1].startswith("keys must be str, int")


class Frame:
    def to_dict(self):
        return {}


class Array:
    def tolist(self):
        return []


def check_what_an_error_suggests_is_json():
    values = b"a", bytearray(b"a"), memoryview(b"a"), {1}, frozenset({1}), 1j, (n for n in [1]), Frame(), Array()
    others = dict.fromkeys((bytes, bytearray, memoryview), "leave out .json()")
    others[types.GeneratorType] = "use a stream"
    for value in (*values, range(1), datetime.timedelta(1), decimal.Decimal(1), fractions.Fraction(1, 2)):
        _, _, suggested = refused(value)[1].partition(": return ")
        suggested, _, other = suggested.partition(", or ")
        assert other == others.get(type(value), "")
        assert suggested.startswith("sorted(") == isinstance(value, (set, frozenset))
        for expression in suggested.split(" or "):
            json.dumps(eval(expression, {"base64": base64, "value": value}))


def check_a_place_is_not_sought_for_ever():
    with instead(MAX_SEARCH=10):
        assert worker.first_problem([0] * 20 + [math.nan]) is None
        assert worker.first_problem([math.nan]) is not None
    with instead(MAX_DEPTH=2):
        assert worker.first_problem([[math.nan]]) is not None
        assert worker.first_problem([[[math.nan]]]) is None
    with instead(MAX_SEARCH=0):
        assert refused({1})[1] == "a value of type set is not JSON serializable: return sorted(value) or list(value)"


def numpy_or_a_stand():
    """numpy, or what the codec uses of it."""
    try:
        import numpy

        return numpy
    except ImportError:
        pass

    class generic:
        def __init__(self, plain, kind="i"):
            self.plain, self.dtype = plain, types.SimpleNamespace(kind=kind)

        def tolist(self):
            return self.plain

    class ndarray:
        def __init__(self, plain):
            self.plain, self.dtype = plain, types.SimpleNamespace(kind="i")

        def tolist(self):
            return self.plain

    class timedelta64(generic):
        __module__, __qualname__ = "numpy", "timedelta64"

    class datetime64(generic):
        def tolist(self):
            return 0

        def astype(self, _):
            return generic(self.plain)

    class longdouble(generic):
        def tolist(self):
            return self

        def __float__(self):
            return 1.5

    numpy = types.SimpleNamespace(generic=generic, ndarray=ndarray, array=ndarray)
    numpy.float32, numpy.bool_, numpy.longdouble = generic, generic, lambda _: longdouble(1.5)
    numpy.datetime64 = lambda text, _: datetime64(text, "M")
    numpy.timedelta64 = lambda number, _: timedelta64(number, "m")
    return numpy


def check_arrays_and_their_scalars_are_written():
    numpy = numpy_or_a_stand()
    _, write = worker.stdlib_codec()
    before, sys.modules["numpy"] = sys.modules.get("numpy"), numpy
    try:
        for value, text in (
            (numpy.array([[1, 2], [3, 4]]), "[[1,2],[3,4]]"),
            ({"a": numpy.float32(0.5), "b": numpy.bool_(True)}, '{"a":0.5,"b":true}'),
            ([numpy.longdouble(1.5)], "[1.5]"),
        ):
            assert write(value).decode() == text, write(value)
        assert write(numpy.datetime64("2020-01-02T03:04:05.000000006", "ns")) == b'"2020-01-02T03:04:05.000000006"'
        found = outcome(write, [numpy.timedelta64(1, "s")])[1]
        assert found.endswith("[0] is not JSON serializable: return value / numpy.timedelta64(1, 's')"), found
        with instead(MAX_SEARCH=0):
            assert "64 is not JSON serializable: return" in outcome(write, numpy.timedelta64(1, "s"))[1]
        assert outcome(write, object())[0] == "TypeError"
        found = outcome(write, {"x": numpy.array([1.5, math.nan])})
        problem = "the result has nan at ['x'][1], which is not JSON: return None or a finite number"
        assert found == ("ValueError", problem)
        # numpy is still being imported.
        sys.modules["numpy"] = types.ModuleType("numpy")
        assert outcome(write, object())[0] == "TypeError"
    finally:
        if before is None:
            del sys.modules["numpy"]


def check_no_value_needs_a_module():
    _, write = worker.stdlib_codec()
    with instead(sys=types.SimpleNamespace(modules={})):
        kind, problem = outcome(write, object())
        assert kind == "TypeError" and problem.startswith("a value of type object is not JSON serializable")


def check_orjson_does_the_common_work():
    stand = Stand()
    read, write = worker.orjson_codec(stand, None, None)
    assert read(b'[{"a": 123456789012345678, "b": [null, 1.5]}]') == [{"a": 123456789012345678, "b": [None, 1.5]}]
    assert write([{"a": 1, "b": [None, 1.5]}]) == b'[{"a":1,"b":[null,1.5]}]'
    assert stand.done == ["loads", "dumps", "loads"]


def check_which_codec_is_chosen():
    stand = Stand()
    for module, form, uses in (
        (stand, "--json", True),
        (stand, "--stdlib-json", False),
        (types.SimpleNamespace(loads=stand.loads), "--json", False),
        (None, "--json", False),
    ):
        stand.done.clear()
        before, sys.modules["orjson"] = sys.modules.get("orjson"), module
        try:
            read, write = worker.codec(form)
        finally:
            if before:
                sys.modules["orjson"] = before
            else:
                del sys.modules["orjson"]
        assert (read(b"[1]"), write([1])) == ([1], b"[1]")
        assert stand.done == ["loads", "dumps"] * uses, (module, form)

    def fails(_):
        raise OSError

    with instead(importlib=types.SimpleNamespace(import_module=fails)):
        assert worker.codec("--json")[1]([1]) == b"[1]"
    assert worker.codec(None) == (bytes, worker.as_bytes)


run_checks(globals())
