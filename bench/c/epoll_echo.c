// The limit: what a server can reach that does nothing but system calls, one thread, one epoll.
//
//   epoll_echo echo | idle | pipelined | source | sink | udp
//
// Listens on a port of the system's choice and prints "listening PORT".
#include "server.h"

#include <fcntl.h>

#define ANSWERS 16
#define ANSWER_SIZE 64

// Waits where the kernel takes no more, as the bare Deno.Conn loop waits for each write.
static int send_all(int fd, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t n = send(fd, buffer + sent, length - sent, MSG_NOSIGNAL);
    if (n >= 0) {
      sent += n;
    } else if (errno == EAGAIN) {
      wait_for(fd, POLLOUT);
    } else {
      return 0;
    }
  }
  return 1;
}

static void echo_datagrams(int fd) {
  for (;;) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
    if (n >= 0) sendto(fd, buffer, n, 0, (struct sockaddr *)&peer, length);
  }
}

static void accept_all(int epoll, int listener, int source) {
  for (int fd, on = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = source ? EPOLLOUT : EPOLLIN, .data.fd = fd};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
}

int main(int argc, char **argv) {
  const char *mode = argc == 2 ? argv[1] : "";
  int echo = !strcmp(mode, "echo") || !strcmp(mode, "idle"), pipelined = !strcmp(mode, "pipelined");
  int source = !strcmp(mode, "source");
  if (!strcmp(mode, "udp")) echo_datagrams(listen_on_any_port(SOCK_DGRAM));
  if (!echo && !pipelined && !source && strcmp(mode, "sink")) {
    fputs("epoll_echo: echo, idle, pipelined, source, sink or udp\n", stderr);
    return 2;
  }
  int listener = listen_on_any_port(SOCK_STREAM), epoll = epoll_create1(0);
  check(fcntl(listener, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd, open = 1;
      if (fd == listener) {
        accept_all(epoll, listener, source);
        continue;
      }
      if (source) {
        open = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
      } else {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        open = n > 0 || (n < 0 && errno == EAGAIN);
        if (n > 0 && echo) open = send_all(fd, n);
        if (n > 0 && pipelined) open = send_all(fd, ANSWERS * ANSWER_SIZE);
      }
      if (!open) close(fd);
    }
  }
}
