// How long answers take at a fixed load. Requests are due at a fixed rate, each connection in its turn, whether or not
// the answers to earlier ones have come; the time runs from when a request was due, not from when it could be sent.
// So a server that stalls pays for every request of the stall, and not for one.
//
//   latency PORT CONNECTIONS SIZE RATE SECONDS
//
// Prints in seconds the 50th, 99th and 99.9th percentile of an echo, and the 99th of how late the requests left; then
// the share of the requests that was answered when the time was up. It never sleeps, so that it is never woken late.
#include "load.h"

// How long answers are awaited after the last request; what has not come by then counts as if it came at that moment.
#define PATIENCE 1.0

struct caller {
  int fd, index, connections;
  size_t due, sent, received;
};

static double rate;
static size_t size;
static double *times, *delays;
static size_t timed, delayed;

// When the caller's request of that number is due.
static double due_at(const struct caller *c, size_t request) {
  return started + (request * c->connections + c->index) / rate;
}

static void note(double *to, size_t *length, double due, double at) {
  if (due >= warm_at) to[(*length)++] = at - due;
}

static void send_due(struct caller *c) {
  while (c->sent < c->due) {
    size_t offset = c->sent % size;
    ssize_t n = send(c->fd, outgoing + offset, size - offset, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (would_block(n)) return;
    check(n, "send");
    if (offset == 0) note(delays, &delayed, due_at(c, c->sent / size), now());
    c->sent += n;
  }
}

static void receive(struct caller *c) {
  ssize_t n = recv(c->fd, incoming, sizeof incoming, MSG_DONTWAIT);
  if (would_block(n)) return;
  check(n, "recv");
  if (n == 0) die("the server closed a connection");
  if (c->received + n > c->sent) die("the server sent more than was due");
  if (c->received + n <= size) compare(c->received, n);
  size_t from = c->received / size;
  c->received += n;
  double time = now();
  for (size_t i = from; i < c->received / size; i++) note(times, &timed, due_at(c, i), time);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// The times must be in order.
static double percentile(const double *of, size_t length, double share) {
  return of[(size_t)((length - 1) * share + 0.5)];
}

int main(int argc, char **argv) {
  if (argc != 6) die("see the head of latency.c for its arguments");
  port = atoi(argv[1]);
  int connections = atoi(argv[2]);
  size = atol(argv[3]);
  rate = atof(argv[4]);
  double seconds = atof(argv[5]);
  size_t total = (size_t)(rate * seconds);
  if (total < 100) die("%zu requests are too few", total);
  fill(size);
  times = calloc(total, sizeof *times);
  delays = calloc(total, sizeof *delays);
  int epoll = epoll_create1(0);
  struct caller *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) {
    all[i] = (struct caller){.fd = dial(SOCK_STREAM), .index = i, .connections = connections};
    watch(epoll, all[i].fd, EPOLLIN, &all[i]);
  }

  struct epoll_event events[EVENTS];
  size_t made = 0, answered = 0;
  begin(seconds);
  for (double time = started; answered < total && time < end_at + PATIENCE; time = now()) {
    while (made < total && started + made / rate <= time) {
      struct caller *c = &all[made++ % connections];
      c->due += size;
      send_due(c);
    }
    int ready = epoll_wait(epoll, events, EVENTS, 0);
    for (int i = 0; i < ready; i++) {
      struct caller *c = events[i].data.ptr;
      size_t before = c->received / size;
      receive(c);
      send_due(c);
      answered += c->received / size - before;
    }
  }
  double time = now();
  for (int i = 0; i < connections; i++) {
    for (size_t j = all[i].received / size; j < all[i].due / size; j++) note(times, &timed, due_at(&all[i], j), time);
  }
  if (timed == 0 || delayed == 0) die("nothing came back in time");
  qsort(times, timed, sizeof *times, ascending);
  qsort(delays, delayed, sizeof *delays, ascending);
  printf("%.9f %.9f %.9f %.9f %.4f\n", percentile(times, timed, 0.5), percentile(times, timed, 0.99),
         percentile(times, timed, 0.999), percentile(delays, delayed, 0.99), (double)answered / total);
}
