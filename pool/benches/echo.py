"""A minimal worker for the benchmarks.

It answers the handshake and pings, and echoes every request. It answers a stream with one part,
the request.
"""

import os
import struct


def read(count):
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            raise SystemExit
        data += piece
    return data


def write(data):
    while data:
        data = data[os.write(1, data) :]


while True:
    length, kind, request = struct.unpack(">IBI", read(9))
    body = read(length - 5)
    if kind == 3:
        break
    if kind == 6:
        continue
    if kind == 5:
        write(struct.pack(">IBI", length, 132, request) + body)
        body = b""
    answer = {1: 128, 2: 129, 4: 131, 5: 129}[kind]
    body = struct.pack(">I", 1) if kind == 1 else body
    write(memoryview(struct.pack(">IBI", 5 + len(body), answer, request) + body))
