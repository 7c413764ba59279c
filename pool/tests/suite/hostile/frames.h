/* The frames of a worker in C: serve() answers requests until the host is gone, each by act(). */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The most bytes of a request, and one. */
#ifndef MOST
#define MOST 64
#endif

enum { HELLO = 1, CALL, SHUTDOWN, PING, READY = 128, REPLY, ERROR, PONG };

static void read_all(void *into, size_t count) {
    for (char *at = into; count > 0;) {
        ssize_t piece = read(0, at, count);
        if (piece <= 0) _exit(0);
        at += piece;
        count -= piece;
    }
}

static void answer(uint8_t kind, uint32_t id, const void *body, uint32_t size) {
    unsigned char frame[9 + 64];
    uint32_t length = htonl(5 + size);
    memcpy(frame, &length, 4);
    frame[4] = kind;
    memcpy(frame + 5, &id, 4); /* Unchanged, in network byte order. */
    memcpy(frame + 9, body, size);
    if (write(1, frame, 9 + size) < 0) _exit(1);
}

/* Answers one request, which is a verb. */
static void act(const char *verb, uint32_t id);

static void serve(void) {
    for (;;) {
        struct { unsigned char length[4], kind, id[4]; } head;
        char body[MOST] = "";
        uint32_t length, id;
        read_all(&head, sizeof head);
        memcpy(&length, head.length, 4);
        memcpy(&id, head.id, 4);
        length = ntohl(length) - 5;
        if (length >= sizeof body) _exit(98);
        read_all(body, length);
        if (head.kind == SHUTDOWN) exit(0);
        else if (head.kind == PING) answer(PONG, id, "", 0);
        else if (head.kind == HELLO) answer(READY, id, "\0\0\0\1", 4);
        else act(body, id);
    }
}
