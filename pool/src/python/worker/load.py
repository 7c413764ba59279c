"""Loads the user's module, and says why it cannot be loaded."""

import importlib
import os
import sys

# The functions of a module that are no functions for calls.
HOOKS = "setup", "health", "end_session"
# So many names are shown of what a module has.
SHOWN = 10
# What no retry mends. In setup(), a missing attribute may be temporary: it may belong to a value that
# is None while a service is down.
FINAL_IN_SETUP = ImportError, SyntaxError, NameError
FINAL = *FINAL_IN_SETUP, AttributeError


class Loaded:
    """What a worker runs.

    `function` is the only one, or None if calls name one of `functions`.
    """

    def __init__(self, function, functions, health):
        self.function = function
        self.functions = functions
        self.health = health


def load(target):
    """Imports `module:function` or `module`.

    Returns a function that runs the module's setup(), and returns what a worker runs.
    """
    name, _, path = target.partition(":")
    module = importlib.import_module(name)
    if path:
        function, functions = module, {}
        for part in path.split("."):
            function = attribute(function, part, module)
    else:
        function, functions = None, functions_of(module)

    def set_up():
        setup = hook(module, "setup", function)
        if setup:
            settled(setup())
        end_session = hook(module, "end_session", function)
        if end_session and end_session not in current.session_ends:
            current.session_ends.append(end_session)
        health = hook(module, "health", function)
        module_is_loaded()
        return Loaded(function, functions, (lambda: settled(health())) if health else healthy)

    return set_up


def hook(module, name, function):
    """A function that the runtime calls. The function of the calls takes an argument, so it is none."""
    found = getattr(module, name, None)
    return found if callable(found) and (found is not function or name == "setup") else None


def healthy():
    pass


def attribute(owner, name, module):
    try:
        return getattr(owner, name)
    except AttributeError:
        raise AttributeError(missing(owner, name, module)) from None


def missing(owner, name, module):
    what = f"module {module.__name__!r}" if owner is module else repr(getattr(owner, "__qualname__", owner))
    where = getattr(module, "__file__", None)
    has = sorted(functions_of(module)) if owner is module else []
    listed = f"; it has {some(has)}" if has else ""
    return f"{what}{f' ({where})' if where else ''} has no function {name!r}{listed}"


def some(names):
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def functions_of(module):
    """The functions that calls may name: those in `__all__`, or the public ones that the module defines."""
    names = getattr(module, "__all__", None)
    own = names is None
    functions = {}
    for name in vars(module) if own else names:
        found = getattr(module, name)
        if not callable(found) or isinstance(found, type) or name in HOOKS or found in current.session_ends:
            continue
        if not own or not name.startswith("_") and getattr(found, "__module__", None) == module.__name__:
            functions[name] = found
    return functions


def explained(error, target):
    """The message of a failed start: what the user needs to mend it."""
    message = str(error)
    if not isinstance(error, ModuleNotFoundError) or message != f"No module named {error.name!r}":
        return message
    name = target.partition(":")[0]
    if name == error.name or name.startswith(f"{error.name}."):
        places = ", ".join(repr(place or os.getcwd()) for place in sys.path)
        return f"{message}: {sys.executable} looked in {places}. Add its directory with `Python::path`"
    return (
        f"{message}: {sys.executable} does not have it. Install it there, "
        "choose an environment with `Python::venv`, or add a directory with `Python::path`"
    )
