/* What the load generator and the sink share: the clock, and a connection with or without TLS. */
#ifndef RELAYLAB_WIRE_H
#define RELAYLAB_WIRE_H

#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Both programs read it on one machine, so that its origin does not matter. */
static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* What was read and not yet used lies in buffer[0..used). */
typedef struct {
    int fd;
    SSL *tls;
    char *buffer;
    int used, capacity;
} Wire;

/* More octets behind those in the buffer: how many, or 0 where there are none to come. */
static inline int wire_fill(Wire *w) {
    int room = w->capacity - w->used;
    int got = w->tls ? SSL_read(w->tls, w->buffer + w->used, room)
                     : (int)read(w->fd, w->buffer + w->used, room);
    if (room == 0 || got <= 0)
        return 0;
    w->used += got;
    return got;
}

static inline int wire_write(Wire *w, const char *octets, size_t count) {
    while (count) {
        int part = count > 1 << 30 ? 1 << 30 : (int)count;
        int sent = w->tls ? SSL_write(w->tls, octets, part) : (int)write(w->fd, octets, part);
        if (sent <= 0)
            return -1;
        octets += sent;
        count -= sent;
    }
    return 0;
}

static inline void wire_use(Wire *w, int count) {
    memmove(w->buffer, w->buffer + count, w->used - count);
    w->used -= count;
}

static inline void wire_close(Wire *w) {
    if (w->tls) {
        SSL_set_shutdown(w->tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(w->tls);
        w->tls = NULL;
    }
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->used = 0;
}

static inline int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The value that this part of the sorted ones does not exceed. */
static inline uint32_t quantile(const uint32_t *sorted, int count, double part) {
    return count ? sorted[(int)((count - 1) * part)] : 0;
}

#endif
