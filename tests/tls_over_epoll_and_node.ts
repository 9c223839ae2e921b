/** TLS by `node:tls` over epoll, as where there is no OpenSSL. */
import "./use_node_tls.ts";
import "./install_epoll.ts";

import "./tls/tls_closing_test.ts";
import "./tls/tls_failure_test.ts";
import "./tls/tls_hostile_test.ts";
import "./tls/tls_info_test.ts";
import "./tls/tls_scenarios_test.ts";
import "./tls/tls_test.ts";
