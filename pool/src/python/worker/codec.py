"""The forms of requests and results: bytes and JSON."""

import contextlib
import enum
import importlib
import json
import sys

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
    decode = json.JSONDecoder().decode
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=as_plain).encode

    def read(body):
        try:
            return decode(str(body, "utf-8"))
        except ValueError:
            pass
        # It is no JSON, or contains half a surrogate pair, or begins with a byte order mark.
        return json.loads(body)

    def write(result):
        return encode(result).encode("utf-8", "surrogatepass")

    return read, write


def as_plain(value):
    """What `json` does not write, and `orjson` does."""
    if isinstance(value, enum.Enum):
        return value.value
    if "uuid" in sys.modules and isinstance(value, sys.modules["uuid"].UUID):
        return str(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


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
            packed = dumps(result, None, option)
            # NaN is not equal to what was written for it.
            if b"null" not in packed or loads(packed) == result:
                return packed
        except Exception:
            pass
        return write_standard(result)

    return read, write
