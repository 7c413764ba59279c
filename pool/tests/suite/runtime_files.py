"""Loads the files of the Python runtime, as the bootstrap does."""

import pathlib
import types


def loaded(*paths):
    """The namespace of these files, and of those in these directories, as a module."""
    worker = types.ModuleType("ostler_worker")
    worker.OSTLER = (pathlib.Path(__file__).resolve().parents[2] / "python/ostler/__init__.py").read_text()
    for path in map(pathlib.Path, paths):
        for file in sorted(path.glob("*.py")) or [path]:
            exec(compile(file.read_text(), str(file), "exec"), vars(worker))
    return worker
