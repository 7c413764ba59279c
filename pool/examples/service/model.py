"""A model of measurements: how unusual is each of them?

It uses numpy if the interpreter has it, and plain Python otherwise, with the same results.
"""

import math

import ostler

try:
    import numpy
except ImportError:
    numpy = None
    print("numpy is not installed: the model uses plain Python, which is slower")

# What each session has seen: count, mean, and sum of squared deviations. A session's calls all run
# in one worker, one at a time, so its state can be a plain dictionary.
seen = {}


def score(values):
    """The z-score of each value."""
    if not values:
        raise ValueError("there are no values")
    if numpy is not None:
        values = numpy.asarray(values, dtype=float)
        return (values - values.mean()) / (values.std() or 1.0)
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / (spread or 1.0) for value in values]


def observe(values):
    """Adds values to what the session has seen, and tells their mean and standard deviation."""
    session = ostler.session()
    count, mean, squares = seen.get(session, (0, 0.0, 0.0))
    for value in values:
        count += 1
        before = value - mean
        mean += before / count
        squares += before * (value - mean)
    seen[session] = count, mean, squares
    return {"count": count, "mean": mean, "deviation": math.sqrt(squares / count) if count else 0.0}


def end_session(name):
    """ostler calls this when a session has ended."""
    seen.pop(name, None)


def forecast(request):
    """Streams a smoothed continuation of the values, one step at a time."""
    level = request["values"][-1]
    mean = math.fsum(request["values"]) / len(request["values"])
    for step in range(request["steps"]):
        level += (mean - level) / 2
        yield {"step": step + 1, "value": level}
