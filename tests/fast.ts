/**
 * The fast part of the suite: `deno task test:fast` runs it alone, `deno task test` beside the rest. All of it runs in one
 * isolate, because each test file costs 0.4 s to begin; a file that replaces something global before it imports Tandem does
 * not belong here.
 */
import "./both.ts";

// What needs no engine, brings its own, or is about Deno's.
import "./checks/check_options_test.ts";
import "./checks/check_protocol_test.ts";
import "./checks/checks_test.ts";
import "./engines/deno_test.ts";
import "./engines/epoll_parking_test.ts";
import "./engines/epoll_addresses_test.ts";
import "./engines/epoll_datagrams_test.ts";
import "./engines/epoll_multicast_test.ts";
import "./engines/epoll_udp_test.ts";
import "./engines/epoll_unix_datagrams_test.ts";
import "./engines/epoll_happy_eyeballs_test.ts";
import "./engines/epoll_listen_test.ts";
import "./engines/epoll_scratch_memory_test.ts";
import "./engines/epoll_sendfile_test.ts";
import "./engines/epoll_reset_test.ts";
import "./engines/epoll_test.ts";
import "./engines/epoll_one_buffer_test.ts";
import "./engines/epoll_writes_test.ts";
import "./engines/seam_test.ts";
import "./engines/memory_test.ts";
import "./engines/spare_memory_test.ts";
import "./framing/framing_errors_test.ts";
import "./limits/deadlines_test.ts";
import "./limits/limit_options_test.ts";
import "./loop/churn_test.ts";
import "./loop/inspect_clock_test.ts";
import "./loop/options_test.ts";
import "./loop/timer_heap_test.ts";
import "./proxy_protocol/header_test.ts";
import "./servers/drain_clock_test.ts";
import "./stream_pairs/asyncio_test.ts";
import "./stream_pairs/flood_test.ts";
import "./stream_pairs/reader_test.ts";
import "./streams/coalescing_test.ts";
import "./streams/counts_test.ts";
import "./streams/loan_interleaving_test.ts";
import "./streams/loan_test.ts";
import "./streams/stream_model_test.ts";
import "./streams/write_queue_test.ts";
import "./testing/memory_engine_test.ts";
import "./testing/virtual_clock_test.ts";
import "./testing/pairs_test.ts";
import "./testing/faults_test.ts";
import "./testing/verify_protocol_test.ts";
import "./testing/test_transport_test.ts";
