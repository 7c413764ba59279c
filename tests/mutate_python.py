#!/usr/bin/env python3
"""Changes the Python runtime of the workers in one place at a time, and checks that a test fails.

    tests/mutate_python.py [--jobs N] [PART ...]    all mutants, or those whose name contains a PART
    tests/mutate_python.py --list [PART ...]        only their names

The suite of the pool is compiled once and contains the runtime as it is. In front of `python3` in
PATH, each mutant has a script that runs its own files instead of those that the host sends.
`mutants_python.toml` lists the mutants that no test can tell from the original, with the reasons.
The exit code is 0 if no other mutant survives.
"""

import argparse
import ast
import collections
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNTIME = ROOT / "pool/src/python"
MODULE = ROOT / "pool/python/ostler/__init__.py"
PATHS = [*sorted(RUNTIME.glob("worker/*.py")), RUNTIME / "zygote.py", RUNTIME / "bootstrap.py"]
FILES = [str(path.relative_to(RUNTIME)) for path in PATHS]
ORIGINALS = {file: (RUNTIME / file).read_text() for file in FILES}

# The tests of each stage: names or parts of them, as the suite takes them. A mutant runs the next
# stage if it has survived the last, so the quick ones come first: those of its own file.
OWN = {
    "answers": ["runtime::ba", "runtime::ca", "runtime::fu"],
    "batches": ["runtime::ba"],
    "bootstrap": ["runtime::the_bootstrap"],
    "cancellation": ["runtime::ca"],
    "channel": ["runtime::fr", "runtime::failures"],
    "codec": ["runtime::ca", "runtime::j"],
    "current": ["runtime::details"],
    "descriptors": ["runtime::fr", "python::an_agent", "python::only_inherited"],
    "event_loop": ["runtime::coroutines"],
    "load": ["runtime::ca", "runtime::details", "runtime::failures"],
    "logs": ["runtime::details", "runtime::log"],
    "main": ["runtime::ca", "runtime::details", "runtime::failures"],
    "plain": ["runtime::j"],
    "protocol": ["runtime::ca"],
    "provided": ["runtime::log", "runtime::the_module"],
    "shared_memory": ["runtime::shared_memory", "shared::"],
    "watcher": ["runtime::fr"],
}
PARTS = ["python::only_inherited", "runtime::b", "runtime::ca", "runtime::fr", "runtime::fu", "runtime::j", "runtime::the_bootstrap"]
WORKERS = ["runtime::coroutines", "runtime::details", "runtime::failures", "runtime::log", "runtime::the_module"]
POOL = [
    "environment::a_worker_holds",
    "exceptions::every_exception_ends",
    "protocol::the_python_runtime",
    "python::",
    "streams::a_generator",
    "streams::a_part",
    "shared::",
    "runtime::z",
]
REST = [
    "exceptions::",
    "forks::",
    "health::an_unhealthy",
    "hosts_die::no_worker_that_holds",
    "interrupts::",
    "python_acts::",
    "streams::a_fast",
    "zygote_dies::",
]
ZYGOTE = ["runtime::z"]
ZYGOTE_POOL = ["zygote::", "zygote_modules::"]
ZYGOTE_REST = ["zygote_dies::"]


def stages(mutant):
    if mutant.file == "zygote.py":
        return ZYGOTE, ZYGOTE_POOL, ZYGOTE_REST
    return OWN[pathlib.Path(mutant.file).stem], PARTS, WORKERS, POOL, REST


# A stage that takes this many times as long as with the original hangs. At least 10 seconds.
PATIENCE = 4

# What stands for bootstrap.py while another file is changed: reads what the host sends, and runs
# the files of this directory instead.
STAND_IN = """
import glob, linecache, os, sys
size = int(sys.argv[1])
while size: size -= len(os.read(0, size))
worker = {{'__name__': 'ostler_worker', 'OSTLER': open({module!r}).read()}}
files = glob.glob({directory!r} + '/worker/*.py')
for file in files + [{directory!r} + '/zygote.py'] * ('--zygote' in sys.argv):
    source = open(file).read()
    name = '<ostler_worker/' + os.path.basename(file) + '>'
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, 'exec'), worker)
sys.exit(worker['main'](*sys.argv[2:]))
"""

# Stands for `python3`. Tests that import a file of the runtime get the changed one.
INTERPRETER = """#!/bin/sh
for argument; do
    shift
    case $argument in
    '# Runs the worker runtime'*) argument={bootstrap} ;;
    'import sys; print(sys.executable)') argument='print("{directory}/python3")' ;;
    {runtime}/worker | {runtime}/*.py) argument={directory}/${{argument##*/}} ;;
    esac
    set -- "$@" "$argument"
done
exec {python} "$@"
"""

# What a condition becomes: its opposite, and what differs from it only at the limit.
COMPARISONS = {
    ast.Eq: ["!="],
    ast.NotEq: ["=="],
    ast.Lt: ["<=", ">="],
    ast.LtE: ["<", ">"],
    ast.Gt: [">=", "<="],
    ast.GtE: [">", "<"],
    ast.Is: ["is not"],
    ast.IsNot: ["is"],
    ast.In: ["not in"],
    ast.NotIn: ["in"],
}
OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "*"}
OPERATORS |= {ast.BitOr: "&", ast.BitAnd: "|", ast.LShift: ">>", ast.RShift: "<<"}
DROPPED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete)

Mutant = collections.namedtuple("Mutant", "name file text")


class Mutator(ast.NodeVisitor):
    """Collects the mutants of one file."""

    def __init__(self, file):
        self.file = file
        self.text = ORIGINALS[file]
        lines = self.text.splitlines(True)
        self.starts = [0, *itertools.accumulate(len(line) for line in lines)]
        assert self.text.isascii(), "offsets in the syntax tree are bytes"
        self.scope = []
        self.names = collections.Counter()
        self.found = []
        self.visit(ast.parse(self.text))

    def at(self, line, column):
        return self.starts[line - 1] + column

    def span(self, node):
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def source(self, node):
        begin, end = self.span(node)
        return self.text[begin:end]

    def add(self, what, begin, end, by):
        """Adds the mutant in which the text between two offsets is replaced."""
        if by == self.text[begin:end]:
            return
        line = self.text.rfind("\n", 0, begin) + 1
        shown = self.text[line:].partition("\n")[0].strip()
        name = f"{self.file.rpartition('/')[2]} {'.'.join(self.scope) or '-'}: {what} in `{shown}`"
        self.names[name] += 1
        if self.names[name] > 1:
            name += f" ({self.names[name]})"
        self.found.append(Mutant(name, self.file, self.text[:begin] + by + self.text[end:]))

    def replace(self, node, what, by):
        self.add(what, *self.span(node), by)

    def visit(self, node):
        named = isinstance(node, (ast.FunctionDef, ast.ClassDef))
        if named:
            self.scope.append(node.name)
        for kind in type(node).__mro__:
            mutate = getattr(self, f"mutate_{kind.__name__}", None)
            if mutate:
                mutate(node)
        if isinstance(node, DROPPED) and not isinstance(getattr(node, "value", None), ast.Constant | ast.Yield):
            self.replace(node, "drop the statement", "pass")
        # Text in an f-string has no position of its own, and a comment does nothing.
        is_comment = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_comment and not isinstance(node, ast.JoinedStr):
            self.generic_visit(node)
        if named:
            self.scope.pop()

    def negate(self, test):
        simple = isinstance(test, ast.Compare) or isinstance(test, ast.UnaryOp)
        if not simple:
            self.replace(test, "negate the condition", f"(not ({self.source(test)}))")

    def mutate_If(self, node):
        self.negate(node.test)

    mutate_While = mutate_IfExp = mutate_If

    def mutate_comprehension(self, node):
        for test in node.ifs:
            self.negate(test)

    def mutate_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            self.replace(node, "drop `not`", f"({self.source(node.operand)})")

    def mutate_Compare(self, node):
        operands = [node.left, *node.comparators]
        for left, op, right in zip(operands, node.ops, operands[1:]):
            for by in COMPARISONS[type(op)]:
                self.add(f"compare by `{by}`", self.span(left)[1], self.span(right)[0], f" {by} ")

    def mutate_BoolOp(self, node):
        values = [f"({self.source(value)})" for value in node.values]
        word = " or " if isinstance(node.op, ast.And) else " and "
        self.replace(node, f"combine by `{word.strip()}`", f"({word.join(values)})")
        kept = " and " if isinstance(node.op, ast.And) else " or "
        for number, value in enumerate(node.values):
            others = values[:number] + values[number + 1 :]
            self.replace(node, f"drop `{self.source(value)}`", f"({kept.join(others)})")

    def mutate_BinOp(self, node):
        if type(node.op) in OPERATORS:
            by = OPERATORS[type(node.op)]
            left, right = self.source(node.left), self.source(node.right)
            self.replace(node, f"calculate by `{by}`", f"(({left}) {by} ({right}))")

    def mutate_AugAssign(self, node):
        if type(node.op) in OPERATORS:
            by = OPERATORS[type(node.op)]
            target, value = self.source(node.target), self.source(node.value)
            self.replace(node, f"calculate by `{by}`", f"{target} = {target} {by} {value}")

    def mutate_Constant(self, node):
        value = node.value
        if isinstance(value, bool):
            by = not value
        elif isinstance(value, int):
            by = value + 1
        elif isinstance(value, float):
            by = value * 10
        elif isinstance(value, (str, bytes)) and "\n" not in self.source(node):
            by = value + type(value)(b"x") if isinstance(value, bytes) else value + "x"
        else:
            return
        self.replace(node, f"change {self.source(node)}", repr(by))

    def mutate_JoinedStr(self, node):
        self.replace(node, "empty the text", "''")

    def mutate_Return(self, node):
        if node.value is None:
            self.replace(node, "drop the return", "pass")
        elif not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self.replace(node, "return None", "return None")

    def mutate_Break(self, node):
        self.replace(node, "continue", "continue")

    def mutate_Continue(self, node):
        self.replace(node, "break", "break")

    def mutate_For(self, node):
        self.replace(node.iter, "do not loop", "()")

    def mutate_With(self, node):
        if not any(item.optional_vars for item in node.items):
            begin, end = self.span(node)[0], self.span(node.items[-1].context_expr)[1]
            self.add("drop the manager", begin, end, "if True")

    def mutate_ExceptHandler(self, node):
        self.replace(node.type, "catch nothing", "()")
        if self.source(node.type) != "BaseException":
            self.replace(node.type, "catch everything", "BaseException")

    def mutate_Call(self, node):
        if len(node.args) + len(node.keywords) < 2 and self.source(node.func) != "contextlib.suppress":
            # Almost every call without its only argument fails at once.
            return
        parts = [(self.span(part), self.source(part)) for part in (*node.args, *node.keywords)]
        for (begin, end), text in parts:
            # With the comma before or behind it.
            if self.text[end:].lstrip().startswith(","):
                end = self.text.index(",", end) + 1
            self.add(f"drop the argument `{' '.join(text.split())}`", begin, end, "")

    def mutate_Slice(self, node):
        for bound, which in ((node.lower, "lower"), (node.upper, "upper")):
            if bound:
                self.replace(bound, f"drop the {which} bound", "")


def mutants(parts):
    for file in FILES:
        for mutant in Mutator(file).found:
            if not parts or any(part in mutant.name for part in parts):
                with contextlib.suppress(SyntaxError):
                    compile(mutant.text, file, "exec")
                    yield mutant


def built(directory):
    """Compiles the suite, and returns the path of a copy, so that the tree can be compiled meanwhile."""
    command = ["cargo", "test", "--locked", "-p", "ostler-pool", "--test", "suite", "--no-run"]
    command.append("--message-format=json")
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = map(json.loads, built.stdout.splitlines())
    program = next(message["executable"] for message in messages if message.get("executable"))
    return shutil.copy(program, directory)


def prepare(directory, mutant):
    """Writes the files of a mutant, and the interpreter that runs them."""
    (directory / "worker").mkdir()
    for file in FILES:
        (directory / file).write_text(ORIGINALS[file])
    bootstrap = STAND_IN.format(directory=str(directory), module=str(MODULE))
    if mutant:
        (directory / mutant.file).write_text(mutant.text)
        if mutant.file == "bootstrap.py":
            bootstrap = mutant.text
    interpreter = directory / "python3"
    names = {"directory": directory, "runtime": RUNTIME, "python": sys.executable}
    interpreter.write_text(INTERPRETER.format(bootstrap=shlex.quote(bootstrap), **names))
    interpreter.chmod(0o755)


def kill_what_is_left(directory):
    """Kills the processes whose PATH begins with a mutant's directory."""
    own = b"PATH=%s:" % os.fsencode(directory)
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(line.startswith(own) for line in (process / "environ").read_bytes().split(b"\0")):
                os.kill(int(process.name), signal.SIGKILL)


def run(suite, tests, directory, limit):
    """Returns the first test that fails, `a hang`, or None if all pass."""
    environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
    command = [suite, "--test-threads=6", *tests]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        command, cwd=ROOT / "pool", env=environment, text=True, start_new_session=True, **pipes
    )
    hung = threading.Event()

    def hang():
        hung.set()
        os.killpg(process.pid, signal.SIGKILL)
        kill_what_is_left(directory)

    timer = threading.Timer(limit, hang)
    timer.start()
    failed = None
    for line in process.stdout:
        if line.startswith("test ") and line.endswith("FAILED\n"):
            failed = line.split()[1]
            break
    timer.cancel()
    with contextlib.suppress(ProcessLookupError):
        if failed:
            os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()
    code = process.wait()
    kill_what_is_left(directory)
    if hung.is_set():
        return "a hang"
    return failed or (f"exit code {code}" if code else None)


def judge(mutant, suite, limits):
    """Returns the test that fails with the mutant, or None, and the seconds that it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as directory:
        prepare(pathlib.Path(directory), mutant)
        for tests in stages(mutant):
            failed = run(suite, tests, directory, limits[*tests])
            if failed:
                break
    return failed, time.monotonic() - began


def measure(suite):
    """Returns the time limit of each stage. Exits if a test fails without a mutant."""
    limits = {}
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as directory:
        prepare(pathlib.Path(directory), None)
        for tests in (*OWN.values(), PARTS, WORKERS, POOL, REST, ZYGOTE, ZYGOTE_POOL, ZYGOTE_REST):
            began = time.monotonic()
            # On a busy machine, a test may need a second try.
            failed = run(suite, tests, directory, 600) and run(suite, tests, directory, 600)
            if failed:
                sys.exit(f"without a mutant, {failed} fails")
            limits[*tests] = max(10, PATIENCE * (time.monotonic() - began))
    return limits


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("parts", nargs="*")
    options = parser.parse_args()
    chosen = list(mutants(options.parts))
    if options.list:
        return print("\n".join(mutant.name for mutant in chosen))
    listed = tomllib.loads((ROOT / "tests/mutants_python.toml").read_text())["equivalent"]
    equivalent = {name for entry in listed for name in entry["mutants"]}
    gone = equivalent - {mutant.name for mutant in mutants([])}
    if gone:
        sys.exit("mutants_python.toml lists what is no mutant:\n" + "\n".join(sorted(gone)))
    counts = collections.Counter()
    tried = [mutant for mutant in chosen if mutant.name not in equivalent]
    with tempfile.TemporaryDirectory() as directory, concurrent.futures.ThreadPoolExecutor(options.jobs) as executor:
        suite = built(directory)
        limits = measure(suite)
        judged = executor.map(lambda mutant: judge(mutant, suite, limits), tried)
        for mutant, (failed, took) in zip(tried, judged):
            counts["caught" if failed else "survived"] += 1
            print(f"{took:5.1f} s  {failed or 'SURVIVED'}  {mutant.name}", flush=True)
    same = len(chosen) - len(tried)
    print(f"{len(chosen)} mutants: {counts['caught']} caught, {same} equivalent, {counts['survived']} survived")
    sys.exit(counts["survived"] > 0)


if __name__ == "__main__":
    main()
