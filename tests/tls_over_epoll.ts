/**
 * TLS over epoll: by OpenSSL, where there is one. `tls_over_epoll_and_node.ts` runs a part of it over `node:tls`, which does not
 * depend on the engine.
 */
import "./install_epoll.ts";

import "./certificates/certificates_test.ts";
import "./certificates/default_authorities_test.ts";
import "./certificates/resumption_test.ts";
import "./foreign/tls_openssl_test.ts";
import "./foreign/tls_python_test.ts";
import "./tls/tls_agreement_test.ts";
import "./tls/tls_bounds_test.ts";
import "./tls/tls_closing_test.ts";
import "./tls/tls_crash_test.ts";
import "./tls/tls_ending_test.ts";
import "./tls/tls_failure_test.ts";
import "./tls/tls_forgery_test.ts";
import "./tls/tls_hostile_handshake_test.ts";
import "./tls/tls_hostile_test.ts";
import "./tls/tls_info_test.ts";
import "./tls/tls_interrupted_test.ts";
import "./tls/tls_peercert_test.ts";
import "./tls/tls_resumption_test.ts";
import "./tls/tls_rules_test.ts";
import "./tls/tls_scenarios_test.ts";
import "./tls/tls_test.ts";
import "./tls/tls_verify_test.ts";
