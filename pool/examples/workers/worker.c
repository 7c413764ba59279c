/* A worker in plain C. ../../PROTOCOL.md describes the protocol.
 *
 *     cc -std=c99 -Wall -Wextra -Werror -o worker worker.c
 *
 * The worker echoes every request. It answers `fail <why>` with an error, and a stream with one
 * part for each line of the request. It takes batches.
 */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HELLO = 1, CALL = 2, SHUTDOWN = 3, PING = 4, STREAM = 5, CANCEL = 6, BATCH = 7,
    READY = 128, REPLY = 129, ERROR = 130, PONG = 131, PART = 132
};

enum { VERSION = 1, BATCHES = 2, PREFIX = 4, KIND_AND_ID = 5 };

/* The descriptors that carry frames. Private copies, so that no library code can write to them. */
static int from_host, to_host;

/* The limit in bytes until the handshake sets it. */
static uint32_t max_frame = 1024;

struct frame {
    uint8_t kind;
    uint32_t id;
    uint32_t size;
    uint8_t *body;
};

static void fail(const char *why) {
    fprintf(stderr, "worker: %s\n", why);
    exit(2);
}

static uint32_t get_u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void put_u32(uint8_t *bytes, uint32_t number) {
    bytes[0] = (uint8_t)(number >> 24);
    bytes[1] = (uint8_t)(number >> 16);
    bytes[2] = (uint8_t)(number >> 8);
    bytes[3] = (uint8_t)number;
}

/* Exits at the end of the input: the host has stopped this worker, or has died. */
static void read_exactly(uint8_t *to, size_t count) {
    while (count > 0) {
        ssize_t got = read(from_host, to, count);
        if (got == 0)
            exit(0);
        if (got < 0 && errno != EINTR)
            fail("cannot read the input");
        if (got > 0) {
            to += got;
            count -= (size_t)got;
        }
    }
}

/* What is to be written. Short answers to a batch leave in one write. A worker whose requests take
 * longer would flush at least every 10 ms. */
static uint8_t output[1 << 16];
static size_t pending;

/* If the host has died, SIGPIPE ends the process here. */
static void write_at_once(const uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t put = write(to_host, bytes, count);
        if (put < 0 && errno != EINTR)
            fail("cannot write the output");
        if (put > 0) {
            bytes += put;
            count -= (size_t)put;
        }
    }
}

static void flush(void) {
    write_at_once(output, pending);
    pending = 0;
}

static void write_exactly(const void *bytes, size_t count) {
    if (count > sizeof output - pending)
        flush();
    if (count > sizeof output) {
        write_at_once(bytes, count);
    } else {
        memcpy(output + pending, bytes, count);
        pending += count;
    }
}

static struct frame receive(void) {
    uint8_t head[PREFIX + KIND_AND_ID];
    struct frame frame;
    uint32_t length;

    read_exactly(head, sizeof head);
    length = get_u32(head);
    if (length < KIND_AND_ID || length > max_frame)
        fail("received a frame with an invalid length");
    frame.kind = head[PREFIX];
    frame.id = get_u32(head + PREFIX + 1);
    frame.size = length - KIND_AND_ID;
    frame.body = malloc(frame.size + 1);
    if (frame.body == NULL)
        fail("out of memory");
    read_exactly(frame.body, frame.size);
    frame.body[frame.size] = 0;
    return frame;
}

static void answer(uint8_t kind, uint32_t id, const void *body, uint32_t size) {
    uint8_t head[PREFIX + KIND_AND_ID];

    put_u32(head, KIND_AND_ID + size);
    head[PREFIX] = kind;
    put_u32(head + PREFIX + 1, id);
    write_exactly(head, sizeof head);
    write_exactly(body, size);
}

/* An error is three strings, each prefixed with its length: type, message and traceback. C has no
 * traceback, so that one is empty. */
static void answer_error(uint32_t id, const char *type, const char *message) {
    uint8_t body[1000];
    const char *texts[3];
    uint32_t size = 0;
    int i;

    texts[0] = type;
    texts[1] = message;
    texts[2] = "";
    for (i = 0; i < 3; i++) {
        /* Truncated, so that the frame fits into the smallest limit that a host may set. */
        size_t length = strnlen(texts[i], 400);
        put_u32(body + size, (uint32_t)length);
        memcpy(body + size + 4, texts[i], length);
        size += 4 + (uint32_t)length;
    }
    answer(ERROR, id, body, size);
}

static void answer_stream(const struct frame *request) {
    const uint8_t *rest = request->body, *end = request->body + request->size;

    while (rest < end) {
        const uint8_t *newline = memchr(rest, '\n', (size_t)(end - rest));
        const uint8_t *next = newline == NULL ? end : newline + 1;
        answer(PART, request->id, rest, (uint32_t)(next - rest));
        flush();
        rest = next;
    }
    answer(REPLY, request->id, "", 0);
}

static void serve(const struct frame *request);

static void serve_batch(const struct frame *batch) {
    uint32_t count, i;
    const uint8_t *next;
    struct frame request;

    count = get_u32(batch->body);
    next = batch->body + 4 + 4 * (size_t)count;
    request.kind = CALL;
    request.id = batch->id;
    for (i = 0; i < count; i++) {
        request.size = get_u32(batch->body + 4 + 4 * (size_t)i);
        /* A copy, so that a zero can follow. */
        request.body = malloc(request.size + 1);
        if (request.body == NULL)
            fail("out of memory");
        memcpy(request.body, next, request.size);
        request.body[request.size] = 0;
        serve(&request);
        free(request.body);
        next += request.size;
    }
}

static void serve(const struct frame *request) {
    const char *text = (const char *)request->body;

    if (strncmp(text, "fail ", 5) == 0)
        answer_error(request->id, "Refused", text + 5);
    else if (request->kind == STREAM)
        answer_stream(request);
    else
        answer(REPLY, request->id, request->body, request->size);
}

int main(void) {
    uint8_t ready[8];
    struct frame frame;
    int can_batch;

    /* From here on, printf writes to stderr, which the host logs, and stdin is empty. */
    from_host = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    to_host = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (from_host < 0 || to_host < 0 || freopen("/dev/null", "r", stdin) == NULL ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        fail("cannot redirect stdin and stdout");

    frame = receive();
    if (frame.kind != HELLO || frame.size < 8)
        fail("the first frame is not HELLO");
    if (get_u32(frame.body) != VERSION)
        fail("the host uses another version of the protocol");
    max_frame = get_u32(frame.body + 4);
    can_batch = frame.size >= 12 && (get_u32(frame.body + 8) & BATCHES);
    free(frame.body);
    put_u32(ready, VERSION);
    put_u32(ready + 4, BATCHES);
    answer(READY, 0, ready, can_batch ? 8 : 4);

    for (;;) {
        flush();
        frame = receive();
        switch (frame.kind) {
        case CALL:
        case STREAM:
            serve(&frame);
            break;
        case BATCH:
            serve_batch(&frame);
            break;
        case PING:
            answer(PONG, frame.id, "", 0);
            break;
        case CANCEL:
            /* This worker reads the next frame only after it has answered, so a cancel always comes
             * too late and can be ignored. */
            break;
        case SHUTDOWN:
            return 0;
        default:
            fail("received a frame of an unknown kind");
        }
        free(frame.body);
    }
}
