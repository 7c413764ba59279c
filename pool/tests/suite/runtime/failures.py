"""Do errors say where, and what to do? See `host.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import sys

from host import SCRATCH, Worker, error
from rig import run_checks

PLACE, IS_FINAL = 1, 2
SOURCE = """
import json, ostler

def lookup(request):
    return {}["absent"]

def calls(request):
    return lookup(request)

def library(request):
    return json.loads("{")

def of_the_runtime(request):
    return 5

class Big(Exception):
    def __str__(self): return "m" * 5000

def big(request):
    raise Big

nested = eval("lambda request: 1 / 0")
__all__ = ["lookup", "calls", "library", "of_the_runtime", "big", "nested"]
"""


def check_the_place_is_the_innermost_line_of_the_user():
    worker = Worker(SOURCE)
    for name, expected in (
        ("lookup", ("KeyError", "'absent'", "app.py:5, in lookup")),
        ("calls", ("KeyError", "'absent'", "app.py:5, in lookup")),
        ("library", ("json.decoder.JSONDecodeError", None, "app.py:11, in library")),
        ("nested", ("ZeroDivisionError", None, "<string>:1, in <lambda>")),
    ):
        kind, message, entries, _ = error(worker.named(name))
        assert entries == {PLACE: expected[2]}, (name, entries)
        assert kind == expected[0] and expected[1] in (None, message), (name, kind, message)
    # No line of the user.
    assert error(worker.named("of_the_runtime"))[2] == {}
    worker.end()
    # The place cannot be determined.
    worker = Worker("import os\ndef f(request):\n    os.path.basename = None\n    raise KeyError", "app:f")
    assert error(worker.call())[2] == {}
    worker.end()
    # A host that does not know of it.
    worker = Worker(SOURCE, "app:lookup", flags=0)
    assert error(worker.call())[2] == {}
    worker.end()


def check_a_package_is_no_line_of_the_user():
    for name in ("site-packages", "dist-packages"):
        directory = SCRATCH / name
        directory.mkdir()
        (directory / "package.py").write_text("def fails(): raise KeyError")
        source = "import package\ndef f(request): package.fails()"
        worker = Worker(source, "app:f", PYTHONPATH=str(directory))
        assert error(worker.call())[2] == {PLACE: "app.py:2, in f"}
        worker.end()


def refused(target, source="", **environment):
    kind, message, entries, _ = error(Worker(source, target, **environment).ready)
    return kind, message, entries


def check_a_failed_import_says_where_was_looked():
    kind, message, entries = refused("modle:f", PYTHONPATH="/no/such")
    assert (kind, entries) == ("ModuleNotFoundError", {IS_FINAL: ""})
    begin = f"No module named 'modle': {sys.executable} looked in '"
    assert message.startswith(begin) and message.endswith("'. Add its directory with `Python::path`"), message
    # The working directory is named, and what was added to the path.
    assert str(SCRATCH.resolve()) in message[len(begin) :].split("'")[0] and "', '/no/such', '" in message, message
    assert "\n" not in message
    kind, message, _ = refused("os.path.no:f")
    assert kind == "ModuleNotFoundError" and "looked in" not in message, message
    kind, message, _ = refused("none.such:f")
    assert message.startswith(f"No module named 'none': {sys.executable} looked in"), message
    # Something else that the module needs.
    kind, message, entries = refused("app:f", "import no_such_package.part")
    assert entries == {PLACE: "app.py:1, in <module>", IS_FINAL: ""}
    assert message == (
        f"No module named 'no_such_package': {sys.executable} does not have it. Install it there, choose an "
        "environment with `Python::venv`, or add a directory with `Python::path`"
    )
    kind, message, _ = refused("app:f", "from os import nothing")
    assert kind == "ImportError" and message.startswith("cannot import name 'nothing' from 'os'"), message


def check_a_wrong_function_says_what_there_is():
    kind, message, entries = refused("app:lok", "def look(r): pass\ndef up(r): pass")
    assert (kind, entries) == ("AttributeError", {IS_FINAL: ""})
    assert message.startswith("module 'app' (/") and message.endswith("/app.py) has no function 'lok'; it has look, up")
    _, message, _ = refused("app:lok", "\n".join(f"def f{number:02}(r): pass" for number in range(12)))
    assert message.endswith("it has f00, f01, f02, f03, f04, f05, f06, f07, f08, f09 and 2 more"), message
    _, message, _ = refused("builtins:no")
    assert message.startswith("module 'builtins' has no function 'no'; it has abs, "), message
    _, message, _ = refused("app:five.no", "five = 5")
    assert message.startswith("5 (") and message.endswith("has no function 'no'"), message
    kind, message, _ = refused("app:f", "def __getattr__(name): raise OSError(name)")
    assert (kind, message) == ("OSError", "f")
    _, message, _ = refused("app:Class.no", "class Class: pass")
    assert message.startswith("'Class' (") and message.endswith("has no function 'no'"), message


def check_which_failures_are_final():
    for source, kind, place, is_final in (
        ("def f(:", "SyntaxError", None, True),
        ("  def f(): pass", "IndentationError", None, True),
        ("import os\nos.nothing", "AttributeError", "app.py:2, in <module>", True),
        ("nothing", "NameError", "app.py:1, in <module>", True),
        ("1 / 0", "ZeroDivisionError", "app.py:1, in <module>", False),
        ("def f(): pass\ndef setup():\n    open('/no/such')", "FileNotFoundError", "app.py:3, in setup", False),
        ("def f(): pass\ndef setup():\n    import nothing", "ModuleNotFoundError", "app.py:3, in setup", True),
        ("def f(): pass\ndef setup():\n    None.value", "AttributeError", "app.py:3, in setup", False),
    ):
        found, message, entries = refused("app:f", source)
        assert (found, entries.get(PLACE), IS_FINAL in entries) == (kind, place, is_final), (source, entries)
        if kind == "SyntaxError":
            assert message == "invalid syntax (app.py, line 1)", message


def check_errors_fit_with_their_entries():
    worker = Worker(SOURCE, max_frame=1024)
    kind, message, entries, trace = error(worker.named("big"))
    assert entries == {PLACE: "app.py:20, in big"}
    assert kind == "app.Big" and set(message) == {"m"} and trace == ""
    assert worker.length == 1024, worker.length
    # So does a long place.
    long = "g" * 500
    worker = Worker(f"def {long}(request): raise KeyError\nf = {long}", "app:f", max_frame=1024)
    _, _, entries, _ = error(worker.call())
    assert entries[PLACE] == f"app.py:1, in {long}"[:200]
    worker.end()


run_checks(globals())
