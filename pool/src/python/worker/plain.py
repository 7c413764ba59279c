"""Values that are not JSON: what is written for them, or what the user should return instead."""

import enum
import math
import sys

# What to return instead of a value of this type or of a subclass.
INSTEAD = {
    "builtins.bytes": "base64.b64encode(value).decode(), or leave out .json()",
    "builtins.bytearray": "base64.b64encode(value).decode(), or leave out .json()",
    "builtins.memoryview": "base64.b64encode(value).decode(), or leave out .json()",
    "builtins.set": "sorted(value) or list(value)",
    "builtins.frozenset": "sorted(value) or list(value)",
    "builtins.complex": "[value.real, value.imag]",
    "builtins.generator": "list(value), or use a stream",
    "datetime.timedelta": "value.total_seconds()",
    "decimal.Decimal": "str(value) or float(value)",
    "fractions.Fraction": "str(value) or float(value)",
    "numpy.timedelta64": "value / numpy.timedelta64(1, 's')",
}
# What to call on a value that has a method of this name, in the order in which they are looked for.
METHODS = "model_dump", "to_dict", "tolist", "__iter__"
# The most values that are looked through for the place of a problem, and the deepest ones.
MAX_SEARCH = 100_000
MAX_DEPTH = 1_000
# The key of what stands for a value.
WITHIN = object()


def as_plain(value):
    """What is written for a value that `json` does not know."""
    if isinstance(value, enum.Enum):
        return value.value
    modules = sys.modules
    if "dataclasses" in modules and modules["dataclasses"].is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in modules["dataclasses"].fields(value)}
    # What has not been imported has no values.
    if "datetime" in modules:
        datetime = modules["datetime"]
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
    if "pathlib" in modules and isinstance(value, modules["pathlib"].PurePath):
        return str(value)
    if "uuid" in modules and isinstance(value, modules["uuid"].UUID):
        return str(value)
    numpy = modules.get("numpy")
    if numpy and isinstance(value, (getattr(numpy, "ndarray", ()), getattr(numpy, "generic", ()))):
        return of_numpy(value)
    raise TypeError(refused(value, ""))


def of_numpy(value):
    kind = value.dtype.kind
    if kind == "M":
        # `tolist` makes numbers of some.
        return value.astype(str).tolist()
    if kind == "m":
        raise TypeError(refused(value, ""))
    plain = value.tolist()
    # A number with more bits than a float is its own plain value.
    return float(plain) if type(plain) is type(value) else plain


def refused(value, place):
    kind = type(value)
    for base in kind.__mro__:
        instead = INSTEAD.get(f"{base.__module__}.{base.__qualname__}")
        if instead:
            break
    else:
        method = next((name for name in METHODS if hasattr(kind, name)), None)
        instead = "a dict of its fields, or what else stands for it"
        if method:
            instead = "list(value)" if method == "__iter__" else f"value.{method}()"
    return f"a value of type {qualified_name(kind)}{place} is not JSON serializable: return {instead}"


def first_problem(result):
    """The error for the first value that is not JSON, with its place. None if there is another problem."""
    # The keys that lead to a value, and what is left at each level.
    keys, levels = [], [iter((("", result),))]
    for _ in range(MAX_SEARCH):
        key, value = next(levels[-1], (None, END))
        if value is END:
            levels.pop()
            if not keys:
                break
            keys.pop()
            continue
        keys.append(key)
        problem, inner = looked_at(value, keys)
        if problem:
            return problem
        if inner is None or len(keys) > MAX_DEPTH:
            keys.pop()
        else:
            levels.append(inner)
    return None


def looked_at(value, keys):
    """Returns what is wrong with a value, and what to look at inside it."""
    if isinstance(value, dict):
        return None, iter(value.items())
    if isinstance(value, (list, tuple)):
        return None, enumerate(value)
    if value is None or isinstance(value, (str, int)):
        return None, None
    place = "".join(f"[{key!r}]" for key in keys[1:] if key is not WITHIN)
    place = f" at {place}" if place else ""
    if isinstance(value, float):
        if math.isfinite(value):
            return None, None
        problem = f"the result has {float(value)}{place}, which is not JSON: return None or a finite number"
        return ValueError(problem), None
    try:
        plain = as_plain(value)
    except TypeError:
        return TypeError(refused(value, place)), None
    return None, iter(((WITHIN, plain),))
