/** The suite over epoll: the fast tests of `both.ts`, and those that `deno task test` runs over Deno's engine by themselves. */
import "./install_epoll.ts";
import "./both.ts";

import "./hostile/hostile_promise_test.ts";
import "./loop/debug_test.ts";
import "./loop/signal_test.ts";
import "./processes/process_pipes_test.ts";
import "./processes/process_program_test.ts";
import "./streams/exceptions_test.ts";
import "./streams/sendfile_shared_test.ts";
