#!/usr/bin/env python3
"""Plants each bug of `planted.toml` into a copy of the sources, and checks that the simulation finds it.

    pool/simulation/planted.py [WORD ...]     all bugs, or those whose text contains one of the words

Prints the seed of the first history that fails, and how long the histories took. A bug that is not found within
three minutes, or whose edit no longer fits the sources, fails the run.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The copy is built in the same target directory. With the same version, cargo would take it for the original.
VERSION = re.compile(r'^version = "0\.1\.0"$', re.MULTILINE)


def copy():
    """A copy of the workspace, beside its target directory."""
    to = ROOT / "target/planted"
    shutil.rmtree(to, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and os.path.lexists(ROOT / name):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name, follow_symlinks=False)
    manifest = to / "Cargo.toml"
    text = manifest.read_text().replace('ostler = { version = "0.1.0"', 'ostler = { version = "0.0.0"')
    manifest.write_text(VERSION.sub('version = "0.0.0"', text, count=1))
    return to


def is_found(root, planted):
    originals = {}
    try:
        for file, old, new in planted["edits"]:
            path = root / "pool/src" / file
            text = path.read_text()
            originals.setdefault(path, text)
            if text.count(old) != 1:
                return f"{file} contains the text to replace {text.count(old)} times, not once"
            path.write_text(text.replace(old, new))
        command = ["cargo", "test", "--offline", "--package", "ostler-simulation"]
        environment = os.environ | {
            "CARGO_TARGET_DIR": str(ROOT / "target"),
            "OSTLER_TEST_SEED": str(planted["seed"]),
            "OSTLER_SIMULATION_MINUTES": "3",
            "RUST_BACKTRACE": "0",
        }
        built = subprocess.run([*command, "--no-run"], cwd=root, env=environment, capture_output=True, text=True)
        if built.returncode != 0:
            return "it does not compile:\n" + built.stderr[-2000:]
        since = time.monotonic()
        ran = subprocess.run(
            [*command, "long_run", "--", "--ignored"], cwd=root, env=environment, capture_output=True, text=True
        )
        took = time.monotonic() - since
    finally:
        for path, text in originals.items():
            path.write_text(text)
    found = re.search(r"seed (\d+) failed: (.*)", ran.stdout)
    if ran.returncode == 0 or not found:
        return "not found"
    print(f"{planted['bug']}: seed {found[1]}, {took:.1f} s: {found[2][:100]}", flush=True)
    return None


def main(words):
    root, missed = copy(), 0
    for planted in tomllib.loads((HERE / "planted.toml").read_text())["planted"]:
        if words and not any(word in planted["bug"] for word in words):
            continue
        if problem := is_found(root, planted):
            missed += 1
            print(f"{planted['bug']}: {problem}", flush=True)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main(sys.argv[1:])
