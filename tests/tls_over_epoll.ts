/**
 * TLS over epoll. Certificates, resumption and what a peer's handshake may contain do not depend on the engine: they are tested
 * over Deno's.
 */
import "./install_epoll.ts";

import "./foreign/tls_openssl_test.ts";
import "./foreign/tls_python_test.ts";
import "./tls/tls_agreement_test.ts";
import "./tls/tls_bounds_test.ts";
import "./tls/tls_closing_test.ts";
import "./tls/tls_ending_test.ts";
import "./tls/tls_failure_test.ts";
import "./tls/tls_hostile_test.ts";
import "./tls/tls_info_test.ts";
import "./tls/tls_interrupted_test.ts";
import "./tls/tls_rules_test.ts";
import "./tls/tls_scenarios_test.ts";
import "./tls/tls_test.ts";
