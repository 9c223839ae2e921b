// The limit over TLS: OpenSSL on one thread, one epoll, and nothing else.
//
//   tls_echo tls-http | tls-echo CERT KEY    on a port of the system's choice
//   tls_echo tls-unix CERT KEY PATH          an echo on a Unix socket
//
// Prints "listening PORT" or "listening PATH".
#include "server.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/un.h>

#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n"

static char answer[sizeof HEAD - 1 + 1024];

static int listen_on_path(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  check(fd, "socket");
  check(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
  check(listen(fd, 1024), "listen");
  printf("listening %s\n", path);
  fflush(stdout);
  return fd;
}

static SSL_CTX *make_context(const char *cert, const char *key) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  if (context == NULL || SSL_CTX_use_certificate_chain_file(context, cert) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    exit(1);
  }
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Else a record costs two reads.
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, sizeof buffer);
  return context;
}

// Tells whether the connection is still good.
static int waits(SSL *ssl, int result) {
  int error = SSL_get_error(ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static int send_all(SSL *ssl, const char *data, size_t length) {
  for (size_t sent = 0; sent < length;) {
    int n = SSL_write(ssl, data + sent, length - sent);
    if (n > 0) sent += n;
    else if (waits(ssl, n)) wait_for(SSL_get_fd(ssl), POLLOUT);
    else return 0;
  }
  return 1;
}

// Answers all that is there; tells whether the connection is still good.
static int serve(SSL *ssl, int http) {
  for (;;) {
    int n = SSL_read(ssl, buffer, sizeof buffer);
    if (n <= 0) return waits(ssl, n);
    if (!(http ? send_all(ssl, answer, sizeof answer) : send_all(ssl, buffer, n))) return 0;
  }
}

static void accept_one(int epoll, int listener, SSL_CTX *context) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); // A Unix socket has no such thing.
  SSL *ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  SSL_set_accept_state(ssl);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = ssl};
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

int main(int argc, char **argv) {
  const char *mode = argc < 2 ? "" : argv[1];
  int http = !strcmp(mode, "tls-http"), on_path = !strcmp(mode, "tls-unix");
  if (argc != 4 + on_path || !(http || on_path || !strcmp(mode, "tls-echo"))) {
    fputs("see the head of tls_echo.c for its arguments\n", stderr);
    return 2;
  }
  memset(answer, 'x', sizeof answer);
  memcpy(answer, HEAD, sizeof HEAD - 1);
  signal(SIGPIPE, SIG_IGN);
  SSL_CTX *context = make_context(argv[2], argv[3]);
  int listener = on_path ? listen_on_path(argv[4]) : listen_on_any_port(SOCK_STREAM);
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      SSL *ssl = events[i].data.ptr;
      if (ssl == NULL) {
        accept_one(epoll, listener, context);
        continue;
      }
      if (serve(ssl, http)) continue;
      int fd = SSL_get_fd(ssl);
      ERR_clear_error();
      SSL_free(ssl);
      close(fd);
    }
  }
}
