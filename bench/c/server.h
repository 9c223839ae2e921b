// What the C servers share.
#ifndef SERVER_H
#define SERVER_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

static char buffer[256 * 1024];

static void check(int result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

static int listen_on_any_port(int type) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, type, 0);
  check(fd, "socket");
  check(bind(fd, (struct sockaddr *)&address, length), "bind");
  if (type == SOCK_STREAM) check(listen(fd, 1024), "listen");
  check(getsockname(fd, (struct sockaddr *)&address, &length), "getsockname");
  printf("listening %d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

static void wait_for(int fd, short what) {
  struct pollfd ready = {.fd = fd, .events = what};
  poll(&ready, 1, -1);
}

#endif
