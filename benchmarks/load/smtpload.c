/* smtpload - SMTP load for a server on this machine: one blocking thread for each session.
 *
 * usage: smtpload [options] port
 *   -s N     concurrent sessions (1)
 *   -m N     messages in all (100)
 *   -n N     messages of one connection (0: all that a session has)
 *   -l N     octets of body (1024); about 190 of header come on top
 *   -T       STARTTLS; the server's certificate is not verified: this is load, not a check
 *   -P       MAIL, RCPT and DATA in one write where PIPELINING is offered
 *   -r X     begin X messages a second (0: each as soon as the one before was answered)
 *   -t ADDR  the recipient (user@example.com)
 *   -I SECS  open the sessions, hold them idle, QUIT; sends no message
 *   -w SECS  begin no message after this long (120); give up 60 seconds later
 *
 * Connects to 127.0.0.1 alone. Prints one line of JSON: msgs (answered 250), errors, unsent, secs,
 * rate (a second), and p50us, p99us from MAIL to the final 250. Exit status: 1 if a message was
 * refused or not sent, 2 for bad usage, 3 past its time.
 *
 * Each message carries "X-Bench-T:", the CLOCK_MONOTONIC nanoseconds at which it began, connecting
 * included; tlssink computes the end-to-end latency from it. */
#define _GNU_SOURCE
#include "wire.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#define SENDER "bench@example.org"
#define HELLO "EHLO bench.example.org\r\n"

static int sessions = 1, total = 100, per_connection = 0, body_octets = 1024, use_tls = 0,
           pipeline = 0, idle_s = 0, limit_s = 120, port = 0;
static double per_second = 0;
static const char *recipient = "user@example.com";
static SSL_CTX *context;
static char *body;
static size_t body_length;
static uint32_t *latency_us;
static uint64_t begun_ns, last_start_ns;
static atomic_int next_message, answered, errors, told;

typedef struct {
    Wire wire;
    int may_pipeline;
} Client;

/* Read one whole reply; return its code, -1 where none came. `offers` looks for PIPELINING. */
static int reply(Client *c, int *offers) {
    Wire *w = &c->wire;
    for (;;) {
        char *end = memchr(w->buffer, '\n', w->used);
        if (!end) {
            if (!wire_fill(w))
                return -1;
            continue;
        }
        int length = end - w->buffer + 1;
        int last = length < 4 || w->buffer[3] != '-';
        int code = atoi(w->buffer);
        if (offers && length > 13 && !strncasecmp(w->buffer + 4, "PIPELINING", 10))
            *offers = 1;
        if (last && code >= 400 && atomic_fetch_add(&told, 1) < 3)
            fprintf(stderr, "smtpload: reply: %.*s", length, w->buffer);
        wire_use(w, length);
        if (last)
            return code;
    }
}

static int command(Client *c, const char *line) {
    return wire_write(&c->wire, line, strlen(line)) ? -1 : reply(c, NULL);
}

static int hello(Client *c) {
    int offers = 0;
    if (wire_write(&c->wire, HELLO, strlen(HELLO)) || reply(c, &offers) != 250)
        return -1;
    c->may_pipeline = pipeline && offers;
    return 0;
}

static int start_tls(Client *c) {
    if (command(c, "STARTTLS\r\n") != 220)
        return -1;
    c->wire.tls = SSL_new(context);
    SSL_set_fd(c->wire.tls, c->wire.fd);
    SSL_set_tlsext_host_name(c->wire.tls, "localhost");
    if (SSL_connect(c->wire.tls) != 1)
        return -1;
    c->wire.used = 0;
    return hello(c);
}

static int open_session(Client *c) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {60, 0};
    int one = 1;
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->wire.used = 0;
    c->wire.fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->wire.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->wire.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(c->wire.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(c->wire.fd, (void *)&server, sizeof server)) {
        if (atomic_fetch_add(&told, 1) < 3)
            perror("smtpload: connect");
        return -1;
    }
    if (reply(c, NULL) != 220 || hello(c))
        return -1;
    return use_tls ? start_tls(c) : 0;
}

static void quit(Client *c) {
    command(c, "QUIT\r\n");
    wire_close(&c->wire);
}

static int envelope(Client *c) {
    char mail[256], rcpt[256], all[600];
    snprintf(mail, sizeof mail, "MAIL FROM:<" SENDER ">\r\n");
    snprintf(rcpt, sizeof rcpt, "RCPT TO:<%s>\r\n", recipient);
    if (!c->may_pipeline)
        return command(c, mail) == 250 && command(c, rcpt) == 250 && command(c, "DATA\r\n") == 354;
    snprintf(all, sizeof all, "%s%sDATA\r\n", mail, rcpt);
    if (wire_write(&c->wire, all, strlen(all)))
        return 0;
    int mail_ok = reply(c, NULL) == 250, rcpt_ok = reply(c, NULL) == 250;
    return (reply(c, NULL) == 354) & mail_ok & rcpt_ok;
}

/* `message` has room for the body and 600 octets. */
static int send_message(Client *c, int number, uint64_t begun, char *message) {
    int head = snprintf(message, 600,
                        "From: <" SENDER ">\r\nTo: <%s>\r\nSubject: bench %d\r\n"
                        "Message-ID: <%d.%llu@bench.example.org>\r\n"
                        "Date: Sat, 21 Nov 2026 16:00:00 +0000\r\nX-Bench-T: %llu\r\n\r\n",
                        recipient, number, number, (unsigned long long)begun,
                        (unsigned long long)begun);
    if (!envelope(c))
        return 0;
    memcpy(message + head, body, body_length);
    return !wire_write(&c->wire, message, head + body_length) && reply(c, NULL) == 250;
}

/* Return when the message begins. With a rate that is when it is due, however late a session is
 * free for it: a server that falls behind must not look as if less had been asked of it. */
static uint64_t wait_until_due(int number) {
    uint64_t now = now_ns();
    if (per_second <= 0)
        return now;
    uint64_t due = begun_ns + (uint64_t)(number / per_second * 1e9);
    if (due > now) {
        struct timespec t = {(due - now) / 1000000000, (due - now) % 1000000000};
        nanosleep(&t, NULL);
    }
    return due;
}

static void hold_idle(Client *c) {
    if (open_session(c)) {
        atomic_fetch_add(&errors, 1);
        return;
    }
    atomic_fetch_add(&answered, 1);
    sleep(idle_s);
    quit(c);
}

static void *session(void *unused) {
    (void)unused;
    Client c = {.wire = {.fd = -1, .capacity = 8192, .buffer = malloc(8192)}};
    char *message = malloc(body_length + 600);
    int in_connection = 0;
    if (idle_s) {
        hold_idle(&c);
        return NULL;
    }
    for (;;) {
        int number = atomic_fetch_add(&next_message, 1);
        if (number >= total)
            break;
        uint64_t begun = wait_until_due(number);
        if (now_ns() > last_start_ns)
            break;
        if (c.wire.fd < 0) {
            in_connection = 0;
            if (open_session(&c)) {
                atomic_fetch_add(&errors, 1);
                wire_close(&c.wire);
                continue;
            }
        }
        uint64_t mail = now_ns();
        if (!send_message(&c, number, begun, message)) {
            atomic_fetch_add(&errors, 1);
            wire_close(&c.wire);
            continue;
        }
        latency_us[number] = (now_ns() - mail) / 1000;
        atomic_fetch_add(&answered, 1);
        if (per_connection && ++in_connection >= per_connection)
            quit(&c);
    }
    if (c.wire.fd >= 0)
        quit(&c);
    return NULL;
}

/* Lines of 78 letters, and the dot behind them. */
static void make_body(void) {
    body = malloc(body_octets + 256);
    while ((int)body_length < body_octets) {
        int left = body_octets - (int)body_length, line = left < 80 ? left : 80;
        if (line < 3)
            line = 3;
        memset(body + body_length, 'a' + (body_length / 80) % 26, line - 2);
        memcpy(body + body_length + line - 2, "\r\n", 2);
        body_length += line;
    }
    memcpy(body + body_length, ".\r\n", 3);
    body_length += 3;
}

static int run(void) {
    pthread_t *threads = malloc(sizeof *threads * sessions);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 * 1024);
    latency_us = calloc(total + 1, sizeof *latency_us);
    begun_ns = now_ns();
    last_start_ns = begun_ns + limit_s * 1000000000ull;
    for (int i = 0; i < sessions; i++)
        if (pthread_create(&threads[i], &small, session, NULL)) {
            perror("smtpload: thread");
            return 1;
        }
    for (int i = 0; i < sessions; i++)
        pthread_join(threads[i], NULL);
    double seconds = (now_ns() - begun_ns) / 1e9;
    int unsent = idle_s ? 0 : total - answered - errors, count = 0;
    for (int i = 0; i < total; i++)
        if (latency_us[i])
            latency_us[count++] = latency_us[i];
    qsort(latency_us, count, sizeof *latency_us, by_size);
    printf("{\"msgs\":%d,\"errors\":%d,\"unsent\":%d,\"secs\":%.4f,\"rate\":%.1f,"
           "\"p50us\":%u,\"p99us\":%u}\n",
           answered, errors, unsent, seconds, answered / seconds, quantile(latency_us, count, .5),
           quantile(latency_us, count, .99));
    return errors || unsent;
}

static int usage(void) {
    fprintf(stderr, "usage: smtpload [-s sessions] [-m messages] [-n messages_of_a_connection]\n"
                    "  [-l body_octets] [-T] [-P] [-r per_second] [-t recipient]\n"
                    "  [-I idle_seconds] [-w limit_seconds] port\n");
    return 2;
}

static void give_up(int signal) {
    static const char text[] = "smtpload: past its time, giving up\n";
    (void)signal;
    if (write(2, text, sizeof text - 1) < 0)
        _exit(4);
    _exit(3);
}

int main(int count, char **words) {
    int option;
    while ((option = getopt(count, words, "s:m:n:l:TPr:t:I:w:")) > 0)
        switch (option) {
        case 's': sessions = atoi(optarg); break;
        case 'm': total = atoi(optarg); break;
        case 'n': per_connection = atoi(optarg); break;
        case 'l': body_octets = atoi(optarg); break;
        case 'T': use_tls = 1; break;
        case 'P': pipeline = 1; break;
        case 'r': per_second = atof(optarg); break;
        case 't': recipient = optarg; break;
        case 'I': idle_s = atoi(optarg); break;
        case 'w': limit_s = atoi(optarg); break;
        default: return usage();
        }
    if (count - optind != 1 || (port = atoi(words[optind])) < 1 || port > 65535 || sessions < 1 ||
        total < 0 || body_octets < 0 || limit_s < 1 || strlen(recipient) > 100)
        return usage();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, give_up);
    alarm(limit_s + 60);
    if (use_tls) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    }
    make_body();
    return run();
}
