"""The answers to a batch: sent together, but none of them late."""

import struct
import time
from itertools import accumulate

# How long the answers to a batch are held back, in seconds, and how large they grow meanwhile, in
# bytes.
BATCH_PAUSE = 0.01
BATCH_BUFFER = 1 << 16


class Heads(dict):
    """The heads of a request's replies, by the length of the reply."""

    def __init__(self, request):
        super().__init__()
        self.request = request

    def __missing__(self, length):
        head = self[length] = HEADER.pack(KIND_AND_ID + length, REPLY, self.request)
        return head


def answer_batch(requests, each, pack, most, channel, watcher, request, body):
    """Runs the requests of a batch one after another, and sends answers as often as it must.

    Returns the last ones. They are sent when the batch is over, because the host may then send the
    next request. `requests` iterates over what is made of the requests' bodies. `each` answers one,
    and `pack` makes bytes of what it returns if it is something else, or too long.
    """
    (count,) = struct.unpack_from(">I", body)
    places = list(accumulate(struct.unpack_from(f">{count}I", body, 4), initial=4 + 4 * count))
    requests = requests([body[start:end] for start, end in zip(places, places[1:])])
    # This loop is most of the cost of a short request, so it makes few calls.
    heads, answers, size, now = Heads(request), [], 0, time.monotonic
    add, due = answers.append, now() + BATCH_PAUSE
    for place, item in enumerate(requests):
        current.began = began = now()
        if size > BATCH_BUFFER or began > due:
            channel.send(b"".join(answers))
            answers.clear()
            size, due = 0, now() + BATCH_PAUSE
        try:
            reply = each(item)
            if type(reply) is not bytes or len(reply) > most:
                reply = pack(reply)
            if channel.output is None:
                fail_as_copy()
        except ENDINGS:
            if channel.output is not None:
                channel.send(b"".join(answers))
            raise
        except BaseException as error:
            cancelled = watcher.cancellation and watcher.cancellation.cancelled is not None
            if cancelled or channel.output is None:
                # From here on, no signal interrupts this function.
                watcher.left(error)
            frame = channel.error_frame(request, error)
            add(frame)
            size += len(frame)
            if cancelled:
                # None of the others is wanted either.
                answers += [frame] * (count - place - 1)
                break
        else:
            length = len(reply)
            add(heads[length])
            add(reply)
            size += length
    return b"".join(answers)
