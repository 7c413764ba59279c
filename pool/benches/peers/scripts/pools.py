"""Runs rounds of calls through a pool of Python's standard library.

Usage: pools.py executor|pool. The first line of the input is a JSON value: the request, or null for
64 bytes. Each other line is a number of callers and a number of calls, or "map" and a number of items.
The answer is the time of one call, or of one item, in ns.
"""

import json
import multiprocessing
import sys
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor

from functions import echo

# How many items of a map are one message.
CHUNK = 256


def measure(submit, result, request, callers, calls):
    start = time.perf_counter_ns()
    # One thread for all callers: the standard library's best case.
    running = deque(submit(request) for _ in range(callers))
    for _ in range(calls - callers):
        result(running.popleft())
        running.append(submit(request))
    for last in running:
        result(last)
    return (time.perf_counter_ns() - start) / calls


def measure_map(ordered, count):
    items = [item.to_bytes(8, "big") for item in range(count)]
    start = time.perf_counter_ns()
    deque(ordered(items), maxlen=0)
    return (time.perf_counter_ns() - start) / count


def main():
    if sys.argv[1] == "executor":
        executor = ProcessPoolExecutor(2)
        ways = lambda request: executor.submit(echo, request), lambda future: future.result()
        ordered = lambda items: executor.map(echo, items, chunksize=CHUNK)
    else:
        pool = multiprocessing.Pool(2)
        ways = lambda request: pool.apply_async(echo, (request,)), lambda result: result.get()
        ordered = lambda items: pool.imap(echo, items, CHUNK)
    request = json.loads(sys.stdin.readline()) or b"x" * 64
    for line in sys.stdin:
        callers, count = line.split()
        if callers == "map":
            print(measure_map(ordered, int(count)), flush=True)
        else:
            print(measure(*ways, request, int(callers), int(count)), flush=True)


if __name__ == "__main__":
    main()
