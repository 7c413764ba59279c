"""Does a worker provide the module `ostler`? See `host.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import os
import pathlib
import subprocess
import sys

from host import CALL, PACKAGE, READY, REPLY, SESSION, Worker
from rig import run_checks


def check_it_is_found_whatever_becomes_of_the_path():
    source = """
import sys
sys.path[:] = [entry for entry in sys.path if 'site' not in entry and 'app' not in entry]
# A finder without `find_spec`, as Python allowed before 3.12.
sys.meta_path.append(object())
def f(request):
    import ostler, inspect
    return f"{ostler.session()} {ostler} {inspect.getsource(ostler.session).count('def ')}".encode()
"""
    worker = Worker(source, "app:f")
    assert worker.call(b"", (SESSION, b"one")) == (REPLY, b"one <module 'ostler' (<ostler>)> 1")
    worker.end()


def check_a_package_of_this_name_comes_first():
    """A directory that is no package does not."""
    source = """
import os
if os.environ.get("WITH") == "package":
    os.mkdir("ostler")
    open("ostler/__init__.py", "w").write("session = lambda: 'of the package'")
elif os.environ.get("WITH") == "directory":
    os.mkdir("ostler")
import ostler
def f(request):
    return str(ostler.session()).encode()
"""
    for has, said in (("package", b"of the package"), ("directory", b"one"), ("nothing", b"one")):
        worker = Worker(source, "app:f", WITH=has)
        assert worker.call(b"", (SESSION, b"one")) == (REPLY, said), has
        worker.end()


def check_a_copy_of_it_works_in_a_worker():
    source = "import ostler\ndef f(request): return str((ostler.session(), ostler.__file__)).encode()"
    worker = Worker(source, "app:f", PYTHONPATH=str(PACKAGE))
    session, file = eval(worker.call(b"", (SESSION, b"one"))[1])
    assert session == "one" and pathlib.Path(file).samefile(PACKAGE / "ostler/__init__.py")
    worker.end()


def check_it_works_outside_a_worker():
    script = """
import logging, ostler
assert (ostler.session(), ostler.deadline(), ostler.position(), ostler.traceparent()) == (None,) * 4
assert ostler.cancelled() is False
assert issubclass(ostler.Cancelled, BaseException) and not issubclass(ostler.Cancelled, Exception)
@ostler.on_session_end
def ended(name): return name
assert ended("x") == "x"
logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")
ostler.log("warning", "100 %", user=4)
ostler.log(logging.INFO, "words")
ostler.log("trace", "words")
"""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("OSTLER_POSITION", None)
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (
        0,
        "WARNING ostler 100 % user=4\nINFO ostler words\nINFO ostler words\n",
    ), ran


def check_all_its_names_are_there():
    source = """
import ostler
def f(request):
    return repr(sorted(name for name in ostler.__all__ if hasattr(ostler, name))).encode()
"""
    worker = Worker(source, "app:f")
    assert worker.ready[0] == READY
    worker.ask(CALL)
    names = eval(worker.read()[1])
    assert names == sorted(
        ["Cancelled", "cancelled", "deadline", "log", "on_session_end", "position", "session", "traceparent"]
    )
    worker.end()


def check_its_exception_is_the_one_that_is_raised():
    source = """
import ostler, time
def f(request):
    if request: return repr(said).encode()
    said.clear()
    try:
        while True: time.sleep(0.001)
    except ostler.Cancelled as error:
        said.extend((type(error).__name__, ostler.cancelled()))
        raise
said = []
"""
    worker = Worker(source, "app:f")
    worker.ask(CALL)
    worker.cancel()
    worker.read()
    assert worker.call(b"x") == (REPLY, b"['Cancelled', True]")
    worker.end()


run_checks(globals())
