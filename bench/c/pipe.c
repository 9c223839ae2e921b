// The limit of a pipe through a child: poll and system calls.
//
//   pipe SECONDS PROGRAM [ARGUMENT...]
//
// Prints "result" and the bytes a second that came back; the first fifth is warm-up.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

// As much as a pipe takes at most without further rights.
#define CAPACITY (1024 * 1024)

static char buffer[CAPACITY];

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  int in[2], out[2];
  if (argc < 3 || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) return 2;
  if (fork() == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  fcntl(in[1], F_SETPIPE_SZ, CAPACITY);
  fcntl(out[0], F_SETPIPE_SZ, CAPACITY);
  fcntl(in[1], F_SETFL, O_NONBLOCK);
  struct pollfd ends[] = {{.fd = in[1], .events = POLLOUT}, {.fd = out[0], .events = POLLIN}};
  double seconds = atof(argv[1]), started = now(), warm_at = started + seconds * 0.2, end_at = started + seconds;
  double received = 0;
  for (int warm = 0;;) {
    poll(ends, 2, -1);
    double time = now();
    if (!warm && time >= warm_at) {
      warm = 1;
      started = time;
      received = 0;
    }
    if (ends[0].fd >= 0 && ends[0].revents) {
      if (time >= end_at || (write(in[1], buffer, sizeof buffer) < 0 && errno != EAGAIN)) {
        close(in[1]);
        ends[0].fd = -1;
      }
    }
    if (!ends[1].revents) continue;
    ssize_t n = read(out[0], buffer, sizeof buffer);
    if (n <= 0) break;
    received += n;
  }
  printf("result %.3f\n", received / (now() - started));
}
