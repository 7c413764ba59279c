"""The module `ostler`, which a worker provides to the code that it runs."""

import importlib.machinery
import sys


class Finder:
    """Finds `import ostler`, whatever becomes of `sys.path`, and watches for `import logging`.

    A module or package `ostler` that Python finds otherwise comes first. A mere directory, which it
    would take for a namespace, does not.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in ("ostler", "logging"):
            return None
        spec = found_elsewhere(name, path, target)
        if name == "ostler":
            return spec or importlib.machinery.ModuleSpec(name, Finder, origin="<ostler>")
        if spec:
            then(spec.loader, logging_is_imported)
        return spec

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        exec(compile(OSTLER, "<ostler>", "exec"), vars(module))


def found_elsewhere(name, path, target):
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if finder is not Finder and find_spec:
            spec = find_spec(name, path, target)
            if spec and spec.loader and spec.origin:
                return spec
    return None


def then(loader, function):
    """Calls a function with the module that a loader has run."""
    run = loader.exec_module

    def exec_module(module):
        run(module)
        function(module)

    loader.exec_module = exec_module


def provide_module():
    current.Cancelled = Cancelled
    current.log, current.level_name = log, level_name
    sys.modules["_ostler_worker"] = current
    sys.meta_path.insert(0, Finder)
    if "logging" in sys.modules:
        # An agent has imported it, at the start of the interpreter.
        logging_is_imported(sys.modules["logging"])
