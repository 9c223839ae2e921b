// The load over TLS, for servers of TCP and of Unix sockets. Prints one figure, and how busy it was: see load.h.
//
//   tls_load exchange   PORT|PATH CONNECTIONS REQUEST ANSWER SECONDS   exchanges a second, echoes if REQUEST = ANSWER
//   tls_load connect    PORT AT_ONCE SIZE full|resumed SECONDS         handshakes a second, an echo after each
//   tls_load tls-client PORT CONNECTIONS SIZE SECONDS                  the same echoes; prints "result" and the figure
#include "load.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/un.h>

// Rustls, which is Deno's TLS, and OpenSSL would agree upon it by themselves; now nobody can gain by another one.
#define CIPHER "TLS_AES_256_GCM_SHA384"

struct secured {
  struct connection base;
  SSL *ssl;
  // What the next connection offers to resume, and whether this one has offered one.
  SSL_SESSION *session;
  int offers;
};

static int dial_target(const char *target) {
  if (target[0] != '/') return port = atoi(target), dial(SOCK_STREAM);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(target) >= sizeof address.sun_path) die("the path is too long: %s", target);
  strcpy(address.sun_path, target);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  check(fd, "socket");
  check(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
  return fd;
}

// What a call asks for that could not be completed; anything but waiting is the end.
static void expect_wait(SSL *ssl, int result, const char *what) {
  int error = SSL_get_error(ssl, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  if (error == SSL_ERROR_ZERO_RETURN) die("the server closed a connection");
  die("%s: %s", what, error == SSL_ERROR_SYSCALL ? strerror(errno) : ERR_error_string(ERR_get_error(), NULL));
}

static void exchange(struct secured *s, size_t request, size_t answer) {
  struct connection *c = &s->base;
  for (;;) {
    while (c->unsent > 0) {
      int n = SSL_write(s->ssl, outgoing + (request - c->unsent), c->unsent);
      if (n <= 0) {
        expect_wait(s->ssl, n, "SSL_write");
        break;
      }
      c->unsent -= n;
    }
    int n = SSL_read(s->ssl, incoming, sizeof incoming);
    if (n <= 0) return expect_wait(s->ssl, n, "SSL_read");
    if ((size_t)n > c->awaited) die("the server sent more than was due");
    if (!c->checked && request == answer) compare(answer - c->awaited, n);
    c->awaited -= n;
    if (c->awaited > 0) continue;
    count++;
    c->checked = 1;
    c->unsent = request;
    c->awaited = answer;
  }
}

static SSL_CTX *make_context(void) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (context == NULL || SSL_CTX_set_ciphersuites(context, CIPHER) != 1) die("OpenSSL cannot be set up");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Else a record costs two reads.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, 256 * 1024);
  return context;
}

static void run(const char *target, int connections, size_t request, size_t answer, double seconds) {
  fill(request);
  SSL_CTX *context = make_context();
  int epoll = epoll_create1(0);
  struct secured *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) {
    all[i].base = (struct connection){.fd = dial_target(target), .unsent = request, .awaited = answer};
    all[i].ssl = SSL_new(context);
    SSL_set_fd(all[i].ssl, all[i].base.fd);
    if (SSL_connect(all[i].ssl) != 1) die("the handshake failed: %s", ERR_error_string(ERR_get_error(), NULL));
    check(fcntl(all[i].base.fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
    watch(epoll, all[i].base.fd, EPOLLIN | EPOLLOUT | EPOLLET, &all[i]);
  }
  struct epoll_event events[EVENTS];
  begin(seconds);
  while (running()) {
    int ready = epoll_wait(epoll, events, EVENTS, TICK_MS);
    for (int i = 0; i < ready; i++) exchange(events[i].data.ptr, request, answer);
  }
}

// Not each server takes a ticket twice, so the newest is kept.
static int keep_session(SSL *ssl, SSL_SESSION *session) {
  struct secured *s = SSL_get_app_data(ssl);
  SSL_SESSION_free(s->session);
  s->session = session;
  return 1;
}

static void reconnect(int epoll, SSL_CTX *context, struct secured *s, size_t size) {
  s->base = (struct connection){.fd = dial_again(), .unsent = size, .awaited = size};
  s->ssl = SSL_new(context);
  SSL_set_app_data(s->ssl, s);
  SSL_set_fd(s->ssl, s->base.fd);
  SSL_set_connect_state(s->ssl);
  s->offers = s->session != NULL;
  if (s->offers) {
    // A copy: OpenSSL offers a session of TLS 1.3 once, and not each server gives a ticket for the next time.
    SSL_SESSION *copy = SSL_SESSION_dup(s->session);
    SSL_set_session(s->ssl, copy);
    SSL_SESSION_free(copy);
  }
  watch(epoll, s->base.fd, EPOLLIN | EPOLLOUT | EPOLLET, s);
}

// Tells whether the echo is complete, which comes after the tickets.
static int converse(struct secured *s, size_t size) {
  struct connection *c = &s->base;
  while (c->unsent > 0) {
    int n = SSL_write(s->ssl, outgoing + (size - c->unsent), c->unsent); // Does the handshake, too.
    if (n <= 0) return expect_wait(s->ssl, n, "the handshake"), 0;
    c->unsent -= n;
  }
  while (c->awaited > 0) {
    int n = SSL_read(s->ssl, incoming, sizeof incoming);
    if (n <= 0) return expect_wait(s->ssl, n, "SSL_read"), 0;
    if ((size_t)n > c->awaited) die("the server sent more than was due");
    compare(size - c->awaited, n);
    c->awaited -= n;
  }
  return 1;
}

static void run_connect(const char *target, int at_once, size_t size, int resumes, double seconds) {
  port = atoi(target);
  fill(size);
  SSL_CTX *context = make_context();
  SSL_CTX_set_session_cache_mode(context, resumes ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  int epoll = epoll_create1(0);
  struct secured *all = calloc(at_once, sizeof *all);
  for (int i = 0; i < at_once; i++) reconnect(epoll, context, &all[i], size);
  struct epoll_event events[EVENTS];
  begin(seconds);
  while (running()) {
    int ready = epoll_wait(epoll, events, EVENTS, TICK_MS);
    for (int i = 0; i < ready; i++) {
      struct secured *s = events[i].data.ptr;
      if (!converse(s, size)) continue;
      if (s->offers && !SSL_session_reused(s->ssl)) die("the server does not resume sessions");
      count += s->offers == resumes;
      SSL_shutdown(s->ssl);
      SSL_free(s->ssl);
      close(s->base.fd);
      reconnect(epoll, context, s, size);
    }
  }
  if (count == 0 && resumes && all[0].session == NULL) die("the server gives no tickets");
}

int main(int argc, char **argv) {
  if (argc == 7 && !strcmp(argv[1], "exchange")) {
    run(argv[2], atoi(argv[3]), atol(argv[4]), atol(argv[5]), atof(argv[6]));
    report();
  } else if (argc == 7 && !strcmp(argv[1], "connect")) {
    run_connect(argv[2], atoi(argv[3]), atol(argv[4]), !strcmp(argv[5], "resumed"), atof(argv[6]));
    report();
  } else if (argc == 6 && !strcmp(argv[1], "tls-client")) {
    run(argv[2], atoi(argv[3]), atol(argv[4]), atol(argv[4]), atof(argv[5]));
    printf("result %.3f\n", count / (now() - started));
  } else {
    die("see the head of tls_load.c for its arguments");
  }
}
