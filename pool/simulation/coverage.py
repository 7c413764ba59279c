#!/usr/bin/env python3
"""Runs the simulation for some minutes, and prints which branches of the pool it has not taken.

    pool/simulation/coverage.py [MINUTES]

Needs a nightly compiler for the coverage of branches, and its LLVM tools: `rustup component add llvm-tools --toolchain
nightly`. A branch counts once for each of its two ways.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCES = ROOT / "pool/src"
TARGET = ROOT / "target/coverage"
PARTS = ("driver/", "lease/", "transport/", "events.rs", "operations.rs", "pool.rs")


def run(command, **environment):
    environment = os.environ | {"LLVM_PROFILE_FILE": str(TARGET / "ignored.profraw")} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)


def build():
    """The test's binary."""
    flags = "-C instrument-coverage -Z coverage-options=branch"
    command = ["cargo", "+nightly", "test", "--package", "ostler-simulation", "--no-run"]
    built = run(command, RUSTFLAGS=flags, CARGO_TARGET_DIR=str(TARGET))
    return re.search(r"Executable tests/main\.rs \((.*)\)", built.stderr)[1]


def tool(name):
    sysroot = pathlib.Path(run(["rustc", "+nightly", "--print", "sysroot"]).stdout.strip())
    return str(next(sysroot.glob(f"lib/rustlib/*/bin/{name}")))


def measure(binary, minutes):
    raw, data = TARGET / "simulation.profraw", TARGET / "simulation.profdata"
    command = [binary, "long_run", "--ignored", "--nocapture"]
    ran = run(command, LLVM_PROFILE_FILE=str(raw), OSTLER_SIMULATION_MINUTES=minutes)
    print(re.findall(r".* histories in .*", ran.stdout)[-1])
    run([tool("llvm-profdata"), "merge", "--sparse", str(raw), "--output", str(data)])
    exported = run([tool("llvm-cov"), "export", binary, "--instr-profile", str(data)])
    return json.loads(exported.stdout)["data"][0]["files"]


def main(minutes="5"):
    ways, taken = 0, 0
    for file in measure(build(), minutes):
        path = pathlib.Path(os.path.normpath(file["filename"]))
        # The binary contains the pool twice: the other one does not run.
        if SOURCES not in path.parents or file["summary"]["functions"]["covered"] == 0:
            continue
        name = str(path.relative_to(SOURCES))
        if not name.startswith(PARTS):
            continue
        ways += file["summary"]["branches"]["count"]
        taken += file["summary"]["branches"]["covered"]
        lines = path.read_text().splitlines()
        for line, _, _, _, is_true, is_false, *_ in file["branches"]:
            for way, count in (("true", is_true), ("false", is_false)):
                if count == 0:
                    print(f"{name}:{line}: never {way}: {lines[line - 1].strip()}")
    print(f"{taken} of {ways} branches taken")


if __name__ == "__main__":
    main(*sys.argv[1:])
