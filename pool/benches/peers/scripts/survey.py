"""The survey of a list of files in a ProcessPoolExecutor.

Usage: survey.py DIRECTORY CHUNK. The directory contains survey_worker.py. The input is a JSON list
of requests, the output the number of functions that were found.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor

sys.path.insert(0, sys.argv[1])
from survey_worker import parse, setup


def main():
    requests = json.load(sys.stdin)
    with ProcessPoolExecutor(2, initializer=setup) as executor:
        replies = executor.map(parse, requests, chunksize=int(sys.argv[2]))
        print(sum(reply.get("functions", 0) for reply in replies))


if __name__ == "__main__":
    main()
