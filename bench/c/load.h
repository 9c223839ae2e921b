// What the load generators share: the clock, what is counted, and dialling. One thread, one epoll, nothing allocated
// while they measure. Each prints its figures, then how much of the time it was busy: near 1 it measures itself.
//
// The first fifth of the SECONDS that they are given is warm-up and is not counted.
#ifndef LOAD_H
#define LOAD_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256
#define BLOCK (64 * 1024)
#define TICK_MS 100
#define UDP_RESEND_MS 50

static char incoming[1 << 20];
static char *outgoing;
static int port;

static void die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  exit(1);
}

static void check(int result, const char *what) {
  if (result < 0) die("%s: %s", what, strerror(errno));
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static double cpu_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

// What is counted, from the end of the warm-up on.
static double count, started, warm_at, end_at, worked;
static int warm;

static void begin(double seconds) {
  started = now();
  warm_at = started + seconds * 0.2;
  end_at = started + seconds;
}

// Tells whether to go on.
static int running(void) {
  double time = now();
  if (!warm && time >= warm_at) {
    warm = 1;
    started = time;
    worked = cpu_time();
    count = 0;
  }
  return time < end_at;
}

static void report(void) {
  if (count == 0) die("nothing came back in time");
  double elapsed = now() - started;
  printf("%.3f %.3f\n", count / elapsed, (cpu_time() - worked) / elapsed);
}

static void fill(size_t size) {
  outgoing = malloc(size);
  for (size_t i = 0; i < size; i++) outgoing[i] = (char)(i % 251);
}

static void no_delay(int fd) {
  int on = 1;
  check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
}

static struct sockaddr_in server_address(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int dial(int type) {
  struct sockaddr_in address = server_address();
  int fd = socket(AF_INET, type, 0);
  check(fd, "socket");
  check(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
  if (type == SOCK_STREAM) no_delay(fd);
  return fd;
}

// Does not wait. Whoever closes first keeps the pair of addresses for a minute (TIME_WAIT), and that is us: we dial from
// many addresses of 127/8, so that ports do not run out.
static int dial_again(void) {
  static unsigned dialled;
  struct sockaddr_in to = server_address(), from = {.sin_family = AF_INET};
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + dialled++ % 200);
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  check(fd, "socket");
  check(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), "IP_BIND_ADDRESS_NO_PORT");
  check(bind(fd, (struct sockaddr *)&from, sizeof from), "bind");
  no_delay(fd);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) check(-1, "connect");
  return fd;
}

static void watch(int epoll, int fd, unsigned events, void *data) {
  struct epoll_event event = {.events = events, .data.ptr = data};
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static int would_block(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EINTR);
}

struct connection {
  int fd;
  size_t unsent, awaited;
  int checked;
};

// A server that is fast because it answers nonsense must not win: the first echo is compared.
static void compare(size_t at, size_t length) {
  if (memcmp(incoming, outgoing + at, length) != 0) die("the server sent back something else than it got");
}

#endif
