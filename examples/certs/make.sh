#!/bin/sh
# Remakes the certificates that the examples, the demo and the tests use. Needs openssl. Valid until 2086;
# the private keys are public, so trust none of this anywhere else.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/ca.cnf" <<EOF
[ca]
default_ca = here
[here]
new_certs_dir = $work
database = $work/index
serial = $work/serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
EOF
: > "$work/index"
echo 1000 > "$work/serial"

# authority NAME SUBJECT
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 21900 \
    -keyout "$work/$1.key" -out "$1.pem" -subj "/CN=$2" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
}

# leaf NAME SUBJECT ALTNAMES USAGE FROM TO
leaf() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$work/$1.csr" -subj "/CN=$2"
  cat > "$work/$1.ext" <<EOF
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = $4
subjectAltName = $3
EOF
  openssl ca -batch -config "$work/ca.cnf" -cert ca.pem -keyfile "$work/ca.key" -notext \
    -in "$work/$1.csr" -out "$1.pem" -extfile "$work/$1.ext" -startdate "$5" -enddate "$6"
}

authority ca "Tandem test authority"
authority stranger "An authority that nobody trusts"
leaf server localhost "DNS:localhost,DNS:*.example.test,IP:127.0.0.1,IP:::1" serverAuth 20200101000000Z 20860101000000Z
leaf second second.test "DNS:second.test" serverAuth 20200101000000Z 20860101000000Z
leaf client client "DNS:client" clientAuth 20200101000000Z 20860101000000Z
leaf expired localhost "DNS:localhost,IP:127.0.0.1" serverAuth 20200101000000Z 20200201000000Z
leaf future localhost "DNS:localhost,IP:127.0.0.1" serverAuth 20800101000000Z 20860101000000Z

# Signed by another key under the CA's name: one of version 1, and one that is badly encoded.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 21900 -keyout "$work/liar.key" -out "$work/liar.pem" \
  -subj "/CN=Tandem test authority" -addext "basicConstraints=critical,CA:TRUE"
# forged NAME EXTENSIONS
forged() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$work/$1.csr" -subj "/CN=localhost"
  printf '%s' "$2" > "$work/$1.ext"
  openssl x509 -req -in "$work/$1.csr" -CA "$work/liar.pem" -CAkey "$work/liar.key" -set_serial 1 -days 21900 \
    -out "$1.pem" ${2:+-extfile "$work/$1.ext"}
}
forged forged_v1 ""
forged forged_v3 "$(printf 'subjectAltName=DNS:localhost\nbasicConstraints=DER:30:03:01:01:01')"
