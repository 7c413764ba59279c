"""A worker from its start to its end."""

import contextlib
import functools
import os
import struct
import sys
import time


def main(target, *options):
    take_descriptors()
    provide_module()
    sys.path[:0] = values_of("--path=", options)
    form = next((option for option in options if option in FORMS), None)
    longest = next(map(int, values_of("--batch=", options)), None)
    if "--zygote" not in options:
        return work(target, form, longest, Host(), None)
    zygote = Zygote()  # See zygote.py.
    loaded = zygote.load(target)
    # Imports for all workers what each of them needs.
    codec(form)
    return work(target, form, longest, zygote.host, loaded) if zygote.serve() else 0


def values_of(name, options):
    return [option[len(name) :] for option in options if option.startswith(name)]


def work(target, form, longest, host, loaded):
    """Runs a worker: the handshake, then serve(). Returns the exit code."""
    channel = Channel()
    # A copy that read or wrote frames would take them from this process.
    os.register_at_fork(after_in_child=channel.close)
    watcher = Watcher(channel, host)
    watcher.start()
    hello = channel.read()
    if hello is None:
        return 0
    kind, _, body = hello
    if kind != HELLO or len(body) < 8:
        fail("the first frame of the host is not a hello")
    version, channel.max_frame, flags = struct.unpack_from(">III", body + bytes(4))
    if version != VERSION:
        fail(f"the host speaks version {version} of the protocol, this worker version {VERSION}")
    guard = unguarded
    if flags & MAY_CANCEL:
        watcher.cancellation = current.cancellation = Cancellation(channel)
        guard = watcher.cancellation.guard
    else:
        watcher.pause = PARENT_POLL
    shared, accepted = None, flags & (BATCHES | WITH_DETAILS)
    channel.takes_entries = bool(flags & WITH_DETAILS)
    if flags & WITH_DETAILS:
        timeout = body[FLAGS_END + (OFFER.size if flags & SHARED_MEMORY else 0) :][:8]
        current.usual_timeout = current.timeout = int.from_bytes(timeout, "big") / 1000 if timeout else None
    if flags & SHARED_MEMORY:
        shared = open_shared_memory(body)
        accepted |= SHARED_MEMORY if shared else 0
    final = FINAL
    try:
        with watcher:
            if loaded is None:
                set_up = load(target)
                final = FINAL_IN_SETUP
                loaded = set_up()
            read, write = codec(form)
        write_call = write
        if flags & SHARED_MEMORY:
            read, write, write_call = shared_codec(read, write)
        most = channel.max_frame - KIND_AND_ID


        def answers_of(function):
            return answers(function, read, write, write_call, most, guard, longest)

        if loaded.function is not None:
            call, stream, batch = answers_of(loaded.function)
        else:
            call, stream, batch = named_answers(loaded.functions, answers_of)
        ready = ready_body(accepted, loaded.functions, most)
    except ENDINGS:
        raise
    except BaseException as error:
        message = functools.partial(explained, error, target)
        # A host that stops a worker which is starting does not read why it failed.
        with contextlib.suppress(BrokenPipeError):
            channel.send(channel.error_frame(0, error, message, isinstance(error, final)))
        return 1
    try:
        channel.write(READY, 0, ready)
        serve(channel, watcher, shared, call, stream, batch, guard(loaded.health))
    except BrokenPipeError:
        # The host closed its end during an answer, and does not need it.
        pass
    close_loop()
    return 0


def ready_body(accepted, functions, most):
    """The body of `ready`, with the names of the functions if the host takes them."""
    if not accepted & WITH_DETAILS:
        if functions:
            raise ValueError("the host does not name functions: this version of ostler runs one function")
        return struct.pack(">II", VERSION, accepted) if accepted else struct.pack(">I", VERSION)
    names = [name.encode() for name in functions]
    body = struct.pack(">III", VERSION, accepted, len(names))
    body += b"".join(struct.pack(">I", len(name)) + name for name in names)
    if len(body) > most:
        raise ValueError(f"the names of {len(names)} functions need {len(body)} bytes, {most} are allowed: set __all__")
    return body


def serve(channel, watcher, shared, call, stream, batch, health):
    """Answers requests until the host sends a shutdown or closes its end."""
    cancellation, told = watcher.cancellation, False
    while (frame := channel.read()) is not None:
        kind, request, body = frame
        if kind not in REQUESTS and not (shared and kind == SHARED_CALL):
            if kind == SHUTDOWN:
                watcher.dismissed = True
                return
            if kind == CANCEL:
                # For a request that was answered already.
                continue
            if kind == DETAILS:
                with watcher:
                    current.tell(body)
                told = True
                continue
            if kind == SESSION_ENDED:
                with watcher:
                    current.end_session(body)
                continue
            fail(f"the host sent a frame of kind {kind} instead of a call, a stream or a ping")
        if cancellation:
            cancellation.running = request
        answer, result = REPLY, b""
        current.began = time.monotonic()
        # What follows is `with watcher` without its two calls.
        watcher.busy = True
        try:
            if kind == CALL:
                result = call(body)
            elif kind == BATCH:
                result = batch(channel, watcher, request, body)
            elif kind == SHARED_CALL:
                result = call(shared.request(body))
            elif kind == STREAM:
                stream(body, functools.partial(channel.write, PART, request))
            else:
                health()
                answer = PONG
        except ENDINGS as error:
            watcher.left(error)
            raise
        except BaseException as error:
            watcher.left(error)
            result = channel.error_frame(request, error)
            answer = ERROR
        else:
            if cancellation:
                watcher.left(None)
            watcher.busy = False
        current.began = None
        if told:
            current.forget()
            told = False
        # A forked copy has no results.
        if shared and channel.output is not None:
            if answer == REPLY and kind in (CALL, SHARED_CALL):
                answer, result = shared.place(result, body if kind == SHARED_CALL else None)
            shared.settle()
        if kind == BATCH or answer == ERROR:
            channel.send(result)
        else:
            channel.write(answer, request, result)
