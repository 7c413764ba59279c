#!/usr/bin/env python3
"""Does the suite bite? Applies each mutation of `mutations.toml`, one at a time, and demands that its test turns red.

    tests/mutate.py [PROMISE ...]     all of them, or those of these promises; takes a quarter of an hour
    tests/mutate.py --table           writes the table of README.md from mutations.toml

It works in place, on a tree without changes of its own, and puts each file back.
"""

import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- mutations -->\n", "<!-- end -->"


def mutations():
    return tomllib.loads((ROOT / "tests/mutations.toml").read_text())["mutation"]


def table():
    rows = ["| | what must hold | the mutation | the test that it turns red |", "|---|---|---|---|"]
    for d in mutations():
        where = "" if d["package"] == "ostler" else "pool: "
        rows.append(f"| {d['promise']} | {d['lesson']} | {d['says']} | {where}`{d['test']}` |")
    return "\n".join(rows) + "\n"


def write_table():
    readme = ROOT / "tests/README.md"
    before, rest = readme.read_text().split(BEGIN)
    _, after = rest.split(END)
    readme.write_text(before + BEGIN + table() + END + after)


def is_red(mutation):
    path = ROOT / mutation["file"]
    whole = path.read_text()
    if whole.count(mutation["from"]) != 1:
        return f"{mutation['file']} has the text to be changed {whole.count(mutation['from'])} times"
    command = ["cargo", "test", "--locked", "--package", mutation["package"], "--test", "suite", mutation["test"]]
    path.write_text(whole.replace(mutation["from"], mutation["to"]))
    try:
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "the test does not end"
    finally:
        path.write_text(whole)
    if "could not compile" in ran.stderr:
        return "it does not compile:\n" + ran.stderr[-2000:]
    if "\nrunning 0 tests" in ran.stdout and ran.returncode == 0:
        return "there is no such test"
    return None if "FAILED" in ran.stdout or "panicked" in ran.stdout else "the test stays green"


def main(arguments):
    if arguments == ["--table"]:
        return write_table()
    if subprocess.run(["git", "diff", "--quiet"], cwd=ROOT).returncode != 0:
        sys.exit("the tree has changes that are not committed")
    bad = 0
    for mutation in mutations():
        if arguments and mutation["promise"] not in arguments:
            continue
        problem = is_red(mutation)
        bad += problem is not None
        print(f"{mutation['promise']:4} {mutation['says']}: {problem or 'red'}", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main(sys.argv[1:])
