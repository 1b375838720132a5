/* tlssink - the next hop of every relay that is measured: a thread for each connection, STARTTLS,
 * counts mail and forgets it. Listens on 127.0.0.1 alone.
 *
 * usage: tlssink -p PORT [-c PEM] [-w SECS]
 *   -c PEM   certificate chain and private key in one file; without it no STARTTLS is offered
 *   -w SECS  end by itself after this long (3600)
 *
 * Two commands beyond SMTP: XSTAT answers "250 {json}", XRESET zeroes the counters. Counters: msgs,
 * conns, handshakes, resumed, failed_handshakes, plain_msgs (taken without TLS), first_ns and
 * last_ns (CLOCK_MONOTONIC of the first and last message), p50us and p99us of the time between a
 * message's "X-Bench-T:" and the moment at which all of it was here. */
#define _GNU_SOURCE
#include "wire.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

#define STAMP "\r\nX-Bench-T: "
#define LATENCIES (1 << 21)

static SSL_CTX *context;
static atomic_int msgs, conns, handshakes, resumed, failed_handshakes, plain_msgs, latencies;
static _Atomic uint64_t first_ns, last_ns;
static uint32_t latency_us[LATENCIES];

typedef struct {
    Wire wire;
    char out[4096];
    int out_used;
} Server;

static int flush(Server *s) {
    int failed = s->out_used && wire_write(&s->wire, s->out, s->out_used);
    s->out_used = 0;
    return failed ? -1 : 0;
}

/* Replies wait until all that was read has been answered, as PIPELINING allows. */
static int say(Server *s, const char *text) {
    int length = strlen(text);
    if (s->out_used + length > (int)sizeof s->out && flush(s))
        return -1;
    memcpy(s->out + s->out_used, text, length);
    s->out_used += length;
    return 0;
}

static int say_counters(Server *s) {
    char text[1024];
    int count = latencies;
    uint32_t *sorted = malloc((count + 1) * sizeof *sorted);
    memcpy(sorted, latency_us, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_size);
    snprintf(text, sizeof text,
             "250 {\"msgs\":%d,\"conns\":%d,\"handshakes\":%d,\"resumed\":%d,"
             "\"failed_handshakes\":%d,\"plain_msgs\":%d,\"first_ns\":%llu,\"last_ns\":%llu,"
             "\"p50us\":%u,\"p99us\":%u}\r\n",
             msgs, conns, handshakes, resumed, failed_handshakes, plain_msgs,
             (unsigned long long)first_ns, (unsigned long long)last_ns,
             quantile(sorted, count, .5), quantile(sorted, count, .99));
    free(sorted);
    return say(s, text);
}

static int reset_counters(Server *s) {
    msgs = conns = handshakes = resumed = failed_handshakes = plain_msgs = latencies = 0;
    first_ns = last_ns = 0;
    return say(s, "250 zeroed\r\n");
}

static int hello(Server *s) {
    return say(s, "250-localhost\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n"
                  "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n") ||
           (context && !s->wire.tls && say(s, "250-STARTTLS\r\n")) || say(s, "250 SMTPUTF8\r\n");
}

static int start_tls(Server *s) {
    if (say(s, "220 go ahead\r\n") || flush(s))
        return -1;
    s->wire.used = 0;
    s->wire.tls = SSL_new(context);
    SSL_set_fd(s->wire.tls, s->wire.fd);
    if (SSL_accept(s->wire.tls) != 1) {
        failed_handshakes++;
        ERR_clear_error();
        return -1;
    }
    handshakes++;
    if (SSL_session_reused(s->wire.tls))
        resumed++;
    return 0;
}

/* Read up to the final dot; return the message's time stamp, 0 where it has none. -1: cut off. */
static int content(Server *s, uint64_t *stamp) {
    Wire *w = &s->wire;
    int scanned = 0, looked = 0;
    *stamp = 0;
    for (;;) {
        if (!looked) {
            char *found = memmem(w->buffer, w->used, STAMP, sizeof STAMP - 1);
            if (found && w->buffer + w->used - found > 40) {
                *stamp = strtoull(found + sizeof STAMP - 1, NULL, 10);
                looked = 1;
            } else if (w->used > 8192)
                looked = 1;
        }
        char *end = memmem(w->buffer + scanned, w->used - scanned, "\r\n.\r\n", 5);
        if (end) {
            wire_use(w, end - w->buffer + 5);
            return 0;
        }
        if (w->used > 65536)
            wire_use(w, w->used - 4);
        scanned = w->used > 4 ? w->used - 4 : 0;
        if (!wire_fill(w))
            return -1;
    }
}

static int data(Server *s) {
    uint64_t stamp, none = 0;
    if (say(s, "354 go ahead\r\n") || flush(s) || content(s, &stamp))
        return -1;
    uint64_t now = now_ns();
    if (stamp && latencies < LATENCIES - 64)
        latency_us[latencies++] = (now - stamp) / 1000;
    atomic_compare_exchange_strong(&first_ns, &none, now);
    last_ns = now;
    msgs++;
    if (!s->wire.tls)
        plain_msgs++;
    return say(s, "250 2.0.0 taken\r\n");
}

/* Answer the command line that `verb` begins, which is no longer in the buffer. */
static int answer(Server *s, const char *verb) {
    if (!strncasecmp(verb, "EHLO", 4))
        return hello(s);
    if (!strncasecmp(verb, "STAR", 4) && context && !s->wire.tls)
        return start_tls(s);
    if (!strncasecmp(verb, "DATA", 4))
        return data(s);
    if (!strncasecmp(verb, "XSTA", 4))
        return say_counters(s);
    if (!strncasecmp(verb, "XRES", 4))
        return reset_counters(s);
    if (!strncasecmp(verb, "QUIT", 4)) {
        say(s, "221 2.0.0 bye\r\n");
        flush(s);
        return -1;
    }
    for (const char *known = "MAILRCPTRSETNOOPHELO"; *known; known += 4)
        if (!strncasecmp(verb, known, 4))
            return say(s, "250 2.0.0 ok\r\n");
    return say(s, "500 5.5.1 unknown\r\n");
}

static void *serve(void *number) {
    Server s = {.wire = {.fd = (int)(long)number, .capacity = 131072, .buffer = malloc(131072)}};
    struct timeval patience = {600, 0};
    int one = 1, counted = 0;
    setsockopt(s.wire.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(s.wire.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int ended = say(&s, "220 localhost ESMTP tlssink\r\n") || flush(&s);
    while (!ended) {
        char verb[5] = {0};
        char *end = memchr(s.wire.buffer, '\n', s.wire.used);
        if (!end) {
            ended = flush(&s) || !wire_fill(&s.wire);
            continue;
        }
        int length = end - s.wire.buffer + 1;
        memcpy(verb, s.wire.buffer, length < 4 ? length : 4);
        wire_use(&s.wire, length);
        if (!counted && *verb != 'X') {
            counted = 1;
            conns++;
        }
        ended = answer(&s, verb);
    }
    wire_close(&s.wire);
    free(s.wire.buffer);
    return NULL;
}

static int usage(void) {
    fprintf(stderr, "usage: tlssink -p port [-c cert_and_key.pem] [-w limit_seconds]\n");
    return 2;
}

static void time_up(int signal) {
    (void)signal;
    _exit(0);
}

static int accept_all(int port) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    pthread_attr_t small;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) {
        perror("tlssink: listen");
        return 1;
    }
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 * 1024);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, &small, serve, (void *)(long)fd))
            close(fd);
    }
}

int main(int count, char **words) {
    int option, port = 0, limit_s = 3600;
    const char *pem = NULL;
    while ((option = getopt(count, words, "p:c:w:")) > 0)
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'c': pem = optarg; break;
        case 'w': limit_s = atoi(optarg); break;
        default: return usage();
        }
    if (optind != count || port < 1 || port > 65535 || limit_s < 1)
        return usage();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, time_up);
    alarm(limit_s);
    if (pem) {
        context = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_session_id_context(context, (const void *)"sink", 4);
        if (SSL_CTX_use_certificate_chain_file(context, pem) != 1 ||
            SSL_CTX_use_PrivateKey_file(context, pem, SSL_FILETYPE_PEM) != 1) {
            fprintf(stderr, "tlssink: cannot load %s\n", pem);
            return 1;
        }
    }
    return accept_all(port);
}
