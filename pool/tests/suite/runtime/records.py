"""Do log records reach the host with their level? See `host.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

from host import REPLY, SCRATCH, Worker
from rig import instead, raised, run_checks, worker as runtime


def records(said):
    """The records among the lines: level, logger, message and fields. Other lines are as they are."""
    found = []
    for line in said.split("\n")[:-1]:
        if not line.startswith("\x1eostler\x1f"):
            found.append(line)
            continue
        assert line.endswith("\x1e") and len(line.encode()) < 4096, len(line)
        parts = line[1:-1].split("\x1f")
        fields = dict(zip(parts[4::2], parts[5::2]))
        found.append((*parts[1:4], *([fields] if fields else [])))
    return found


def said_by(source, *requests):
    worker = Worker(source, "app:f")
    for request in requests:
        assert worker.call(request) == (REPLY, b""), request
    return records(worker.end())


def check_records_keep_their_level():
    source = """
import logging
log = logging.getLogger("app.part")
def f(request):
    log.setLevel(1)
    for level in (5, 10, 20, 30, 40, 50, 1000):
        log.log(level, "level %d", level)
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception("it failed")
    log.info("fields", extra={"user": 4, "text": "a\\x1eb\\nc\\\\d\\x1fe"})
    print("plain")
    return b""
"""
    found = said_by(source, b"")
    names = "trace", "debug", "info", "warn", "error", "error", "error"
    levels = 5, 10, 20, 30, 40, 50, 1000
    assert found[:7] == [(name, "app.part", f"level {level}") for name, level in zip(names, levels)]
    level, logger, message = found[7]
    assert (level, logger) == ("error", "root")
    assert message.startswith("it failed\\nTraceback (most recent call last):\\n  File ")
    assert message.endswith("ZeroDivisionError: division by zero")
    assert found[8:] == [
        ("info", "app.part", "fields", {"user": "4", "text": "a b\\nc\\\\d e"}),
        "plain",
    ], found[8:]


def check_basic_config_works_as_always():
    source = """
import logging
logging.getLogger()
logging.basicConfig(level=logging.INFO, format=%r)
def f(request):
    logging.info("in a call")
    logging.debug("too low")
    return b""
"""
    forms = ("%(levelname)s:%(name)s:%(message)s", "in a call"), ("[%(name)s] %(message)s", "[root] in a call")
    for form, message in forms:
        found = said_by(source % form, b"")
        assert found == [("info", "root", message)], found
    # Without a handler, a warning has its level, too.
    source = "import logging\nlogging.getLogger('a').warning('at import')\ndef f(request): return b''"
    assert said_by(source, b"") == [("warn", "a", "at import")]


def check_handlers_of_the_module_stay():
    source = """
import io, logging, sys
logging.getLogger().addHandler(logging.StreamHandler(memory := io.StringIO()))
# Formatting adds `asctime` to each record.
logging.getLogger().handlers[0].setFormatter(logging.Formatter("%(asctime)s"))
only = logging.StreamHandler(sys.stderr)
only.addFilter(lambda record: "yes" in record.getMessage())
only.setLevel(logging.ERROR)
logging.getLogger().addHandler(only)
class Own(logging.StreamHandler): pass
logging.getLogger().addHandler(Own(sys.stderr))
def f(request):
    for level in (logging.WARNING, logging.ERROR):
        for word in ("yes", "no"):
            logging.log(level, word)
    assert memory.getvalue().count("\\n") == 4
    return b""
"""
    found = said_by(source, b"")
    assert found == ["yes", "no", ("error", "root", "yes"), "yes", "no"], found


def check_a_late_import_of_logging_counts():
    source = """
def f(request):
    import logging
    logging.getLogger("a").warning("late")
    return b""
"""
    assert said_by(source, b"") == [("warn", "a", "late")]


def check_an_agent_may_have_imported_logging():
    (SCRATCH / "sitecustomize.py").write_text("import logging")
    source = "import logging\nlogging.getLogger('a').warning('at import')\ndef f(request): return b''"
    worker = Worker(source, "app:f", PYTHONPATH=str(SCRATCH))
    assert records(worker.end()) == [("warn", "a", "at import")]


def check_the_function_logs_without_logging():
    source = """
import ostler, sys
def f(request):
    ostler.log("info", "words", user=4, path="a b")
    ostler.log("WARNING", "words")
    ostler.log(45, "words")
    assert "logging" not in sys.modules
    return b""
"""
    assert said_by(source, b"") == [
        ("info", "ostler", "words", {"user": "4", "path": "a b"}),
        ("warn", "ostler", "words"),
        ("error", "ostler", "words"),
    ]
    assert raised(ValueError, runtime.level_name, "loud") == "'loud' is no level: use debug, info, warning or error"
    names = [runtime.level_name(name) for name in ("Warn", "critical", "fatal", "exception", "trace")]
    assert names == ["warn", "error", "error", "error", "trace"]


def check_a_long_message_is_several_records():
    source = """
import ostler
def f(request):
    ostler.log("info", "\\n".join("line %d " % i + "x" * 100 for i in range(100)), a="b")
    ostler.log("info", "\\u00e9" * 5000)
    ostler.log("info", "\\\\" * 9000)
    ostler.log("info", "\\\\n" * 3000)
    ostler.log("info", "m", long="v" * 2000)
    return b""
"""
    found = said_by(source, b"")
    lines = [record for record in found if record[2].startswith("line")]
    assert len(lines) == 3 and all(record[3] == {"a": "b"} for record in lines)
    assert "\\n".join(record[2] for record in lines).split("\\n") == [f"line {i} " + "x" * 100 for i in range(100)]
    signs = [record[2] for record in found if record[2].startswith("\u00e9")]
    assert len(signs) == 3 and "".join(signs) == "\u00e9" * 5000
    # An escape is in one record: those of 9,000 backslashes, and of 3,000 backslashes before an n.
    slashes = [record[2] for record in found if not set(record[2]) - {"\\", "n"}]
    assert all(len(text.replace("n", "")) % 2 == 0 for text in slashes), [len(text) for text in slashes]
    assert "".join(slashes) == "\\\\" * 9000 + "\\\\n" * 3000
    # Fields that do not fit are in the message.
    assert found[-1] == ("info", "ostler", "m long=" + "v" * 2000)


def check_what_fits_exactly():
    source = """
import logging, ostler
def f(request):
    # 22 bytes are around the message, and 4096 are written at once.
    ostler.log("info", "x" * 4074)
    ostler.log("info", "x" * 4075)
    ostler.log("info", "m", long="v" * 994)
    ostler.log("info", "m", long="v" * 995)
    logging.getLogger("n" * 201).warning("m")
    return b""
"""
    assert said_by(source, b"") == [
        ("info", "ostler", "x" * 4074),
        ("info", "ostler", "x" * 4074),
        ("info", "ostler", "x"),
        ("info", "ostler", "m", {"long": "v" * 994}),
        ("info", "ostler", "m long=" + "v" * 995),
        ("warn", "n" * 200, "m"),
    ]


def check_where_a_message_is_cut():
    def cut(text):
        source = f"import ostler\ndef f(request): return ostler.log('info', {text}) or b''"
        return [message for _, _, message in said_by(source, b"")]

    # At the end of a line, unless the first piece would be empty.
    assert cut("'a\\n' + 'x' * 4074") == ["a", "x" * 4074]
    assert cut("'\\n' + 'x' * 4074") == ["\\n" + "x" * 4072, "xx"]
    assert "\\n".join(cut("'\\\\\\\\\\n' * 2000")) == "\\\\\\\\\\n" * 2000
    # Never within an escape.
    assert cut("'s' + '\\\\' * 3000") == ["s" + "\\" * 4072, "\\" * 1928]


def check_how_an_exception_is_shown():
    assert runtime.formatted(ValueError("\u00e9 max")) == "ValueError: \u00e9 max"
    error = ValueError()
    error.__cause__ = KeyError()
    cause = "\n\nThe above exception was the direct cause of the following exception:\n\n"
    assert runtime.formatted(error) == f"KeyError{cause}ValueError"
    with instead(own_frames_left_out=None):
        assert runtime.formatted(ValueError()) == "an exception that cannot be shown"


def check_a_record_that_cannot_be_shown_is_no_error():
    source = """
import logging, ostler
class Fails:
    def __str__(self): raise KeyError
class Exits:
    def __str__(self): raise SystemExit
def f(request):
    logging.warning("%s", Fails())
    ostler.log("info", "words", field=Fails())
    ostler.log("info", Fails())
    try:
        logging.warning("%s", Exits())
    except SystemExit:
        return b""
"""
    found = said_by(source, b"")
    assert found[0] == "--- Logging error ---", found
    assert found[-2:] == [("info", "ostler", "words", {"field": ""}), ("info", "ostler", "")], found


run_checks(globals())
