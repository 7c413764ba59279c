"""The worker runtime for Python: runs one function for one host, one call at a time.

The host writes frames to this process's stdin and reads frames from its stdout. A frame is

    u32 big-endian   length of what follows (5 + body)
    u8               kind
    u32 big-endian   request id
    ...              body

    host to worker   1 hello      id 0; body: protocol version, frame limit and flags, each u32.
                                  Flag 1: the host may send cancels. Flag 2: it may send batches
                                  if ready has the flag, too. Flag 4: the place of shared memory
                                  follows, which the worker uses if ready has the flag, too.
                                  Flag 8: the time that the host waits for an answer follows, a
                                  u64 in ms, and it may send details if ready has the flag, too. The
                                  flags may be missing, and more bytes may follow, which the worker
                                  ignores
                     2 call       body: the request
                     3 shutdown   id 0, no body
                     4 ping       an id like a call's, no body: a health check, never during a call
                     5 stream     an id like a call's; body: a request that may get a reply in parts
                     6 cancel     id of the current or last request, no body: the host no longer
                                  needs its result
                     7 batch      an id like a call's; body: the number of requests, the length of
                                  each, each number u32, and then the requests, one after another.
                                  Answered by a reply or an error for each, in order, all with its
                                  id
                     8 shared     a call whose request is in shared memory; body: offset and length,
                       call       each u64
                     9 details    an id like a call's, that of the next request; body: entries that
                                  concern it, each a u8 tag, a u32 length and that many bytes. Not
                                  answered
                    10 session    id 0, between two requests; body: the number of a session, a u64,
                       ended      and its name. Not answered
    worker to host   128 ready    id 0; body: protocol version and flags, each u32. No flags if there
                                  are none. With flag 8, the number of functions follows, a u32, and
                                  their names, each a u32 length and UTF-8. Answers hello, after
                                  setup() has run
                     129 reply    the call's id; body: the result. Or the stream's id, no body: the
                                  stream has ended
                     130 error    the request's id, or 0 if the start failed; body: the exception's
                                  type, message and traceback, each a u32 length and UTF-8. If hello
                                  has flag 8, entries as in details may follow
                     131 pong     the ping's id, no body: the worker is healthy
                     132 part     the stream's id; body: a part of the result
                     133 shared   the call's id; body: where the result is in shared memory, as offset
                         reply    and length, each u64

A ping is answered by a pong, after the function health() of the user's module has run, if there is
one. If it raises, the answer is an error with the ping's id, and the worker keeps serving. Its
result does not matter.

If the function returns an iterator (such as a generator) for a stream, each item is a part and is
sent at once. When the host does not read, the write blocks, and the iterator with it. However the
stream ends, the iterator is closed if it has a close(), so the `finally` blocks of a generator run.
Any other result is the only part.

Coroutines and asynchronous generators run on one event loop. It runs only while a request does.

The requests of a batch run like calls, one after another. The answers are written together, but the
host waits 10 ms for an answer at most, beside the time that the next request takes.

If the host offers shared memory, requests are memoryviews. A large one is a view of that memory. As
long as the function keeps it, or something made from it, the host uses the pipe, so what is kept
does not change.

A cancel raises `Cancelled` in the running function, and closes a generator. The request then ends as
usual: with an error, or with a reply if the function caught the exception. A cancel that comes too
late is ignored.

`Cancelled` is raised again if it was lost: if the function still runs 200 ms after it left the last
handler of the exception. A handler is an `except` or `finally` block or an `__exit__` that runs
because of the exception, with all that it calls. No handler is interrupted, however long it takes,
nor while it is suspended in a coroutine or generator. So a function that ends its work in the
handler and returns is interrupted once. An exception that an asyncio task, a callback or a
`__del__` swallowed is raised again and again until the function ends.

A process that the function forks has no access to the frames, and ends when it leaves the function.

Needs only the standard library of Python 3.9 or later. The files of this directory share one
namespace: none uses a name of another before all have run.
"""

import struct

VERSION = 1
HELLO, CALL, SHUTDOWN, PING, STREAM, CANCEL, BATCH, SHARED_CALL, DETAILS, SESSION_ENDED = range(1, 11)
READY, REPLY, ERROR, PONG, PART, SHARED_REPLY = 128, 129, 130, 131, 132, 133
REQUESTS = (CALL, STREAM, PING, BATCH)
MAY_CANCEL, BATCHES, SHARED_MEMORY, WITH_DETAILS = 1, 2, 4, 8
HEADER = struct.Struct(">IBI")
KIND_AND_ID = 5
# The longest hello that is accepted, in bytes. Longer than today's, so later hosts can add fields.
MAX_HELLO = 1024
# Where the body of a hello goes on behind the flags.
FLAGS_END = 12
