// The load over plain sockets. Prints one figure, and how busy it was: see load.h.
//
//   load exchange PORT CONNECTIONS REQUEST ANSWER SECONDS   exchanges a second; an echo where REQUEST = ANSWER
//   load udp      PORT SOCKETS SIZE SECONDS                 datagrams a second, one in flight on each socket
//   load connect  PORT AT_ONCE SIZE SECONDS                 connections a second, each with one echo
//   load receive  PORT SECONDS                              bytes a second that the server sends
//   load send     PORT SECONDS                              bytes a second that the server takes
//   load idle     PORT CONNECTIONS SIZE                     one echo on each, "held", then waits for end of input
#include "load.h"

static void exchange(struct connection *c, size_t request, size_t answer) {
  for (;;) {
    while (c->unsent > 0) {
      ssize_t n = send(c->fd, outgoing + (request - c->unsent), c->unsent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (would_block(n)) break;
      check(n, "send");
      c->unsent -= n;
    }
    ssize_t n = recv(c->fd, incoming, sizeof incoming, MSG_DONTWAIT);
    if (would_block(n)) return;
    check(n, "recv");
    if (n == 0) die("the server closed a connection");
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

static void run_exchange(int connections, size_t request, size_t answer, double seconds) {
  fill(request);
  int epoll = epoll_create1(0);
  struct connection *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) {
    all[i] = (struct connection){.fd = dial(SOCK_STREAM), .unsent = request, .awaited = answer};
    watch(epoll, all[i].fd, EPOLLIN | EPOLLOUT | EPOLLET, &all[i]);
  }
  struct epoll_event events[EVENTS];
  begin(seconds);
  while (running()) {
    int ready = epoll_wait(epoll, events, EVENTS, TICK_MS);
    for (int i = 0; i < ready; i++) exchange(events[i].data.ptr, request, answer);
  }
  report();
}

static void run_udp(int sockets, size_t size, double seconds) {
  fill(size);
  int epoll = epoll_create1(0);
  struct connection *all = calloc(sockets, sizeof *all);
  for (int i = 0; i < sockets; i++) {
    all[i].fd = dial(SOCK_DGRAM);
    watch(epoll, all[i].fd, EPOLLIN, &all[i]);
    send(all[i].fd, outgoing, size, 0);
  }
  struct epoll_event events[EVENTS];
  begin(seconds);
  while (running()) {
    int ready = epoll_wait(epoll, events, EVENTS, UDP_RESEND_MS);
    // Datagrams get lost; silence means that all of them did.
    if (ready == 0) {
      for (int i = 0; i < sockets; i++) send(all[i].fd, outgoing, size, 0);
    }
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      ssize_t n = recv(c->fd, incoming, sizeof incoming, MSG_DONTWAIT);
      if (n < 0) continue;
      if ((size_t)n != size) die("a datagram of %zd bytes came back for one of %zu", n, size);
      if (!c->checked) compare(0, size);
      c->checked = 1;
      count++;
      send(c->fd, outgoing, size, 0);
    }
  }
  report();
}

static void redial(int epoll, struct connection *c, size_t size) {
  c->fd = dial_again();
  c->unsent = c->awaited = size;
  watch(epoll, c->fd, EPOLLIN | EPOLLOUT | EPOLLET, c);
}

// Tells whether the echo is complete.
static int converse(struct connection *c, size_t size) {
  if (c->unsent > 0) {
    ssize_t n = send(c->fd, outgoing + (size - c->unsent), c->unsent, MSG_NOSIGNAL);
    if (would_block(n) || (n < 0 && errno == ENOTCONN)) return 0;
    check(n, "send");
    c->unsent -= n;
  }
  ssize_t n = recv(c->fd, incoming, sizeof incoming, 0);
  if (would_block(n)) return 0;
  check(n, "recv");
  if (n == 0) die("the server closed a connection");
  compare(size - c->awaited, n);
  c->awaited -= n;
  return c->awaited == 0;
}

static void run_connect(int at_once, size_t size, double seconds) {
  fill(size);
  int epoll = epoll_create1(0);
  struct connection *all = calloc(at_once, sizeof *all);
  struct epoll_event events[EVENTS];
  begin(seconds);
  for (int i = 0; i < at_once; i++) redial(epoll, &all[i], size);
  while (running()) {
    int ready = epoll_wait(epoll, events, EVENTS, TICK_MS);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (!converse(c, size)) continue;
      close(c->fd);
      count++;
      redial(epoll, c, size);
    }
  }
  report();
}

static void run_one_way(int sending, double seconds) {
  fill(BLOCK);
  int fd = dial(SOCK_STREAM);
  struct timeval tick = {.tv_usec = TICK_MS * 1000};
  check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick), "SO_RCVTIMEO");
  check(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick), "SO_SNDTIMEO");
  begin(seconds);
  while (running()) {
    ssize_t n = sending ? send(fd, outgoing, BLOCK, MSG_NOSIGNAL) : recv(fd, incoming, sizeof incoming, 0);
    if (would_block(n)) continue;
    check(n, sending ? "send" : "recv");
    if (n == 0) die("the server closed a connection");
    count += n;
  }
  report();
}

static void run_idle(int connections, size_t size) {
  fill(size);
  struct timeval patience = {.tv_sec = 10};
  for (int i = 0; i < connections; i++) {
    int fd = dial(SOCK_STREAM);
    check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), "SO_RCVTIMEO");
    check(send(fd, outgoing, size, MSG_NOSIGNAL), "send");
    if (recv(fd, incoming, size, MSG_WAITALL) != (ssize_t)size) die("connection %d was not echoed", i);
  }
  puts("held");
  fflush(stdout);
  while (read(STDIN_FILENO, incoming, sizeof incoming) > 0) {
  }
}

int main(int argc, char **argv) {
  if (argc < 4) die("see the head of load.c for its arguments");
  const char *mode = argv[1];
  port = atoi(argv[2]);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (!strcmp(mode, "exchange") && argc == 7) {
    run_exchange(atoi(argv[3]), atol(argv[4]), atol(argv[5]), atof(argv[6]));
  } else if (!strcmp(mode, "udp") && argc == 6) {
    run_udp(atoi(argv[3]), atol(argv[4]), atof(argv[5]));
  } else if (!strcmp(mode, "connect") && argc == 6) {
    run_connect(atoi(argv[3]), atol(argv[4]), atof(argv[5]));
  } else if (!strcmp(mode, "receive") && argc == 4) {
    run_one_way(0, atof(argv[3]));
  } else if (!strcmp(mode, "send") && argc == 4) {
    run_one_way(1, atof(argv[3]));
  } else if (!strcmp(mode, "idle") && argc == 5) {
    run_idle(atoi(argv[3]), atol(argv[4]));
  } else {
    die("see the head of load.c for its arguments");
  }
}
