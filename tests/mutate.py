#!/usr/bin/env python3
"""Applies each mutation of `mutations.toml`, one at a time, and checks that its test fails.

    tests/mutate.py [PROMISE ...]     all mutations, or those of these promises; all take about 15 minutes
    tests/mutate.py --table           writes the table of README.md from mutations.toml

It edits files in place and restores each, so the tree must have no uncommitted changes.
"""

import os
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- mutations -->\n", "<!-- end -->"


def mutations():
    return tomllib.loads((ROOT / "tests/mutations.toml").read_text())["mutation"]


def table():
    rows = ["| | what must hold | mutation | test that fails |", "|---|---|---|---|"]
    for d in mutations():
        where = "" if d["package"] == "ostler" else "pool: "
        rows.append(f"| {d['promise']} | {d['lesson']} | {d['says']} | {where}`{d['test']}` |")
    return "\n".join(rows) + "\n"


def write_table():
    readme = ROOT / "tests/README.md"
    before, rest = readme.read_text().split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(before + BEGIN + table() + END + after)


def run(command, timeout=None):
    # A test that hangs has noticed the mutation, too.
    limit = {"OSTLER_TEST_LIMIT": "120"}
    return subprocess.run(command, cwd=ROOT, env=os.environ | limit, capture_output=True, text=True, timeout=timeout)


def is_red(mutation):
    path = ROOT / mutation["file"]
    whole = path.read_text()
    if whole.count(mutation["from"]) != 1:
        return f"{mutation['file']} contains the text to replace {whole.count(mutation['from'])} times, not once"
    tests = ["--lib"] if mutation.get("unit") else ["--test", "suite"]
    command = ["cargo", "test", "--locked", "--package", mutation["package"], *tests]
    path.write_text(whole.replace(mutation["from"], mutation["to"]))
    try:
        built = run([*command, "--no-run"])
        if built.returncode != 0:
            return "the mutation does not compile:\n" + built.stderr[-2000:]
        ran = run([*command, mutation["test"]], timeout=600)
    except subprocess.TimeoutExpired:
        return "the test did not end within 600 s"
    finally:
        path.write_text(whole)
    if "\nrunning 0 tests" in ran.stdout and ran.returncode == 0:
        return "no test has this name"
    return None if "FAILED" in ran.stdout or "panicked" in ran.stdout else "the test still passes"


def main(arguments):
    if arguments == ["--table"]:
        return write_table()
    if subprocess.run(["git", "diff", "--quiet"], cwd=ROOT).returncode != 0:
        sys.exit("the tree has uncommitted changes: commit or stash them first")
    bad = 0
    for mutation in mutations():
        if arguments and mutation["promise"] not in arguments:
            continue
        problem = is_red(mutation)
        bad += problem is not None
        print(f"{mutation['promise']:4} {mutation['says']}: {problem or 'fails, as it must'}", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main(sys.argv[1:])
