"""Log records on stderr, which the host tells from other output and logs with their level."""

import sys
import traceback

# A record is a line: RECORD, a level, the name of the logger and the message, and then names and values
# in turn, separated by FIELD. It ends with END_OF_RECORD, so the host knows that it is whole.
RECORD, FIELD, END_OF_RECORD = "\x1eostler\x1f", "\x1f", "\x1e\n"
# So much is written at once, in bytes: no other output gets into it. POSIX has no smaller pipe.
PIPE_BUFFER = 4096
# The longest name, and the longest list of fields, in bytes.
MAX_NAME, MAX_FIELDS = 200, 1000
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\x1e": " ", "\x1f": " "})
LEVELS = "trace", "debug", "info", "warn", "error"


def level_name(level):
    """The host's name of a level, which is a number or a name of Python's `logging`."""
    if isinstance(level, int):
        return LEVELS[min(max(level // 10, 0), 4)]
    name = {"warning": "warn", "critical": "error", "fatal": "error", "exception": "error"}.get(
        level.lower(), level.lower()
    )
    if name not in LEVELS:
        raise ValueError(f"{level!r} is no level: use debug, info, warning or error")
    return name


def log(level, logger, message, fields):
    """Writes a record, or several if the message is long."""
    head = RECORD + level + FIELD
    head = head.encode() + cut(escaped(logger), MAX_NAME) + FIELD.encode()
    extra = b""
    for name, value in fields.items():
        extra += FIELD.encode() + escaped(name) + FIELD.encode() + as_text(lambda: str(value).translate(ESCAPES), "")
    if len(extra) > MAX_FIELDS:
        # Not all of them fit, and a part of one would be taken for all of it.
        message, extra = f"{message} {' '.join(f'{name}={value}' for name, value in fields.items())}", b""
    end = extra + END_OF_RECORD.encode()
    text, room = escaped(message), PIPE_BUFFER - len(head) - len(end)
    while len(text) > room:
        piece = beginning(text, room)
        text = text[len(piece) :].removeprefix(b"\\n")
        say(head + piece + end)
    say(head + text + end)


def beginning(text, most):
    """The first bytes of an escaped text, `most` at most: up to the end of a line, if there is one."""
    piece = cut(text, most)
    # Without the pairs, a backslash begins the end of a line, or is half of an escape that was cut.
    single = piece.replace(b"\\\\", b"  ")
    line = single.rfind(b"\\n")
    if line > 0:
        return piece[:line]
    return piece[:-1] if single.endswith(b"\\") else piece


def escaped(text):
    return as_text(lambda: str(text).translate(ESCAPES), "")


def report(what, error):
    """Logs an exception that is no caller's."""
    log("error", "ostler", f"{what} raised\n{formatted(error)}", {})


def formatted(error):
    return str(
        as_text(
            lambda: "".join(traceback.format_exception(type(error), error, own_frames_left_out(error.__traceback__))),
            "an exception that cannot be shown",
        ),
        "utf-8",
    ).rstrip("\n")


def handler_class(logging):
    # What every record has. The rest is what `extra=` has added.
    usual = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    class Handler(logging.Handler):
        """Sends the records of `logging` to the host."""

        def emit(self, record):
            try:
                fields = {name: value for name, value in vars(record).items() if name not in usual}
                log(level_name(record.levelno), record.name, self.format(record), fields)
            except Exception:
                self.handleError(record)

    return Handler


def logging_is_imported(logging):
    """Records that no handler of the module takes keep their level, also during its import.

    The root logger gets no handler yet: with one, `logging.basicConfig` would do nothing.
    """
    logging.lastResort = handler_class(logging)(logging.WARNING)


def module_is_loaded():
    """Lets the root logger write records in place of lines on stderr, and gives it a handler if it has none."""
    logging = sys.modules.get("logging")
    if not logging:
        return
    root, kind = logging.getLogger(), type(logging.lastResort)
    for place, old in enumerate(root.handlers):
        if type(old) is logging.StreamHandler and old.stream in (sys.stderr, sys.stdout):
            new = kind(old.level)
            for each in old.filters:
                new.addFilter(each)
            # The host adds time, level and name itself.
            if old.formatter and old.formatter._fmt != logging.BASIC_FORMAT:
                new.setFormatter(old.formatter)
            root.handlers[place] = new
    if not root.handlers:
        root.addHandler(kind())
