"""The forms of requests and results: bytes and JSON."""

import contextlib
import importlib
import json

# The options that name the form of requests and results. Without one, they are bytes.
FORMS = JSON, STDLIB_JSON = "--json", "--stdlib-json"


def codec(form):
    """Returns two functions: one reads a request, the other writes a result."""
    if form is None:
        return bytes, as_bytes
    standard = stdlib_codec()
    if form == JSON:
        # What is installed under this name may be older, or broken.
        with contextlib.suppress(Exception):
            return orjson_codec(importlib.import_module("orjson"), *standard)
    return standard


def shared_codec(read, write):
    """As the codec, for a host that offers shared memory, where requests may be views.

    Returns a third function: it writes the result of a call.
    """
    if read is bytes:
        return memoryview, as_bytes, as_view
    return lambda body: read(bytes(body)), write, write


def as_bytes(result):
    if type(result) is bytes:
        return result
    if not isinstance(result, (bytes, bytearray, memoryview)):
        raise TypeError(f"the function returned {type(result).__qualname__}: it must return bytes")
    return bytes(result)


def as_view(result):
    """As `as_bytes`, without a copy."""
    if type(result) is bytes or not isinstance(result, (bytes, bytearray, memoryview)):
        return as_bytes(result)
    view = memoryview(result)
    return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()


def stdlib_codec():
    decode = json.JSONDecoder(parse_constant=refuse_constant).decode
    options = {"ensure_ascii": False, "allow_nan": False, "separators": (",", ":"), "default": as_plain}
    encode = json.JSONEncoder(**options).encode

    def read(body):
        try:
            return decode(str(body, "utf-8"))
        except ValueError:
            pass
        # It is no JSON, has a NaN, contains half a surrogate pair, or begins with a byte order mark.
        return json.loads(body, parse_constant=refuse_constant)

    def write(result):
        try:
            return encode(result).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError):
            # The place is sought only now, because it costs a pass over everything.
            problem = first_problem(result)
            if problem is None:
                raise
        raise problem

    return read, write


def refuse_constant(name):
    raise ValueError(f"the request has {name}, which is not JSON: send null or a finite number")


# Shows each digit as 0.
ZEROS = bytes.maketrans(b"123456789", b"000000000")
# No number with fewer digits exceeds 64 bits.
MANY_DIGITS = b"0" * 19


def orjson_codec(orjson, read_standard, write_standard):
    """As `stdlib_codec`, several times faster. The values are the same.

    Where orjson may do something else, the standard codec does the work: orjson reads integers of
    more than 64 bits as floats, writes NaN as null, and refuses much of what `json` accepts.
    """
    loads, dumps = orjson.loads, orjson.dumps
    option = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

    def read(body):
        if MANY_DIGITS not in body.translate(ZEROS):
            try:
                return loads(body)
            except ValueError:
                pass
        return read_standard(body)

    def write(result):
        try:
            packed = dumps(result, as_plain, option)
            # NaN is not equal to what was written for it.
            if b"null" not in packed or loads(packed) == result:
                return packed
        except Exception:
            pass
        return write_standard(result)

    return read, write
