/** The numbers of OpenSSL's headers that are used, the same in all of OpenSSL 3. */

/** Commands of `SSL_ctrl` and `SSL_CTX_ctrl`, which are macros in C: ssl.h. */
export const SSL_CTRL_MODE = 33;
export const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
export const SSL_CTRL_SET_MAX_CERT_LIST = 51;
export const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
export const SSL_CTRL_SET_TLSEXT_TICKET_KEYS = 59;
export const SSL_CTRL_SET_GROUPS_LIST = 92;
export const SSL_CTRL_SET_SIGALGS_LIST = 98;
export const SSL_CTRL_CLEAR_MODE = 78;
export const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
export const SSL_CTRL_SET_MAX_PROTO_VERSION = 124;
export const SSL_CTRL_GET_EXTMS_SUPPORT = 122;
export const SSL_CTRL_GET_NEGOTIATED_GROUP = 134;

/** Options of a context: ssl.h. */
export const SSL_OP_NO_TICKET = 1n << 14n;
export const SSL_OP_NO_COMPRESSION = 1n << 17n;
export const SSL_OP_CIPHER_SERVER_PREFERENCE = 1n << 22n;
export const SSL_OP_NO_RENEGOTIATION = 1n << 30n;

/** Modes of a context. */
export const SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER = 2n;
export const SSL_MODE_AUTO_RETRY = 4n;
export const SSL_MODE_RELEASE_BUFFERS = 16n;

export const SSL_SESS_CACHE_OFF = 0n;
/** `SSL_SESS_CACHE_CLIENT` and `SSL_SESS_CACHE_NO_INTERNAL`: a callback is called, and OpenSSL keeps nothing. */
export const SSL_SESS_CACHE_CALLBACK = 0x301n;

/** What OpenSSL has found of a ticket, and what a callback returns: ssl.h. */
export const SSL_TICKET_SUCCESS = 5;
export const SSL_TICKET_SUCCESS_RENEW = 6;
export const SSL_TICKET_RETURN_IGNORE_RENEW = 2;
export const SSL_TICKET_RETURN_USE = 3;
export const SSL_TICKET_RETURN_USE_RENEW = 4;

export const SSL_VERIFY_NONE = 0;
export const SSL_VERIFY_PEER = 1;
export const SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2;

/** What `SSL_get_error` returns. */
export const SSL_ERROR_SSL = 1;
export const SSL_ERROR_WANT_READ = 2;
export const SSL_ERROR_WANT_WRITE = 3;
export const SSL_ERROR_SYSCALL = 5;
export const SSL_ERROR_ZERO_RETURN = 6;

/** When the information callback is called, and what ends a connection's reading: ssl.h. */
export const SSL_CB_EXIT = 0x02;
export const SSL_CB_ALERT = 0x4000;
export const SSL_RECEIVED_SHUTDOWN = 2;

/** What an ALPN callback returns: tls1.h. */
export const SSL_TLSEXT_ERR_OK = 0;
export const SSL_TLSEXT_ERR_ALERT_FATAL = 2;

export const SSL_TLSEXT_ERR_NOACK = 3;

/** OCSP responses: tls1.h. */
export const SSL_CTRL_SET_STATUS_REQ_CB = 63;
export const SSL_CTRL_SET_STATUS_REQ_TYPE = 65;
export const SSL_CTRL_GET_STATUS_REQ_OCSP_RESP = 70;
export const SSL_CTRL_SET_STATUS_REQ_OCSP_RESP = 71;
export const TLSEXT_STATUSTYPE_OCSP = 1n;

/** What the callback of a client returns about an OCSP response. */
export const STATUS_ACCEPTED = 1;
export const STATUS_REJECTED = 0;
export const STATUS_FAILED = -1;

/** The numbers of the versions in the protocol. */
export const VERSION_NUMBERS = { "TLSv1.2": 0x0303n, "TLSv1.3": 0x0304n } as const;

export const BIO_CTRL_PENDING = 10;

/** `SSL_free` does not close the descriptor. */
export const BIO_NOCLOSE = 0;

/** How names are compared with a certificate: x509v3.h. */
export const X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS = 0x4;
export const X509_CHECK_FLAG_NEVER_CHECK_SUBJECT = 0x20;

/** Each certificate of a chain must be covered by a revocation list: x509_vfy.h. */
export const X509_V_FLAG_CRL_CHECK = 0x4n;
export const X509_V_FLAG_CRL_CHECK_ALL = 0x8n;

/** Why a chain was rejected: x509_vfy.h. */
export const X509_V_OK = 0;
export const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT = 2;
export const X509_V_ERR_CERT_NOT_YET_VALID = 9;
export const X509_V_ERR_CERT_HAS_EXPIRED = 10;
export const X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT = 18;
export const X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN = 19;
export const X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY = 20;
export const X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE = 21;
export const X509_V_ERR_INVALID_CA = 24;
export const X509_V_ERR_PATH_LENGTH_EXCEEDED = 25;
export const X509_V_ERR_INVALID_PURPOSE = 26;
export const X509_V_ERR_CERT_UNTRUSTED = 27;
export const X509_V_ERR_CERT_REJECTED = 28;
export const X509_V_ERR_APPLICATION_VERIFICATION = 50;
export const X509_V_ERR_HOSTNAME_MISMATCH = 62;
export const X509_V_ERR_IP_ADDRESS_MISMATCH = 64;

/** The reasons of errors of libssl: sslerr.h. An alert of the peer is its number plus 1000. */
export const SSL_R_CERTIFICATE_VERIFY_FAILED = 134;
export const SSL_R_UNEXPECTED_EOF_WHILE_READING = 294;
export const SSL_R_ALERT_OFFSET = 1000;
