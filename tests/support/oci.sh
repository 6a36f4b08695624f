#!/usr/bin/env bash
# Registries of OCI artifacts for tests, built from the Go module proxy, on loopback: one of version 1.1 of the specification, which lists what
# refers to a manifest, and one of
# version 1.0, which does not, and asks for a login. And cosign, which verifies what driftgate attaches.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: oci.sh build DIR         some minutes on two cores, once
       oci.sh start DIR PORT    ready when it returns; PORT lists what refers to a manifest, PORT+1 does not
       oci.sh stop DIR
USAGE
}

readonly listing=0.22.1 distribution=3.1.2 cosign=3.1.3
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/oci/main.go
die() { echo "oci.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || { usage >&2; exit 2; }
command=$1
dir=$(mkdir -p "$2" && cd "$2" && pwd)

# program NAME MODULE VERSION PACKAGE: a program of a module, in a module of its own that requires nothing else.
program() {
  [ ! -x "$dir/$1" ] || return 0
  mkdir -p "$dir/src/$1"
  (
    cd "$dir/src/$1"
    if [ "$4" = . ]; then cp "$source" main.go; else printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' "$4" >tools.go; fi
    printf 'module %s\n\ngo 1.26\n\nrequire %s v%s\n' "$1" "$2" "$3" >go.mod
    go build -o "$dir/$1" "$4"
  )
  rm -rf "$dir/src/$1"
}

build() {
  command -v go >/dev/null || die "Go builds them, and is not installed"
  export GOFLAGS=-mod=mod CGO_ENABLED=0
  program listing github.com/google/go-containerregistry "$listing" .
  program distribution github.com/distribution/distribution/v3 "$distribution" github.com/distribution/distribution/v3/cmd/registry
  program cosign github.com/sigstore/cosign/v3 "$cosign" github.com/sigstore/cosign/v3/cmd/cosign
}

# answers PORT NAME: waits until the registry speaks.
answers() {
  for _ in $(seq 100); do
    if curl --silent --output /dev/null "http://127.0.0.1:$1/v2/"; then return; fi
    kill -0 "$(cat "$dir/$2.pid")" 2>/dev/null || break
    sleep 0.1
  done
  cat "$dir/$2.log" >&2
  die "$2 does not answer"
}

start() {
  local port=${1:?PORT}
  setsid "$dir/listing" "127.0.0.1:$port" >"$dir/listing.log" 2>&1 &
  echo $! >"$dir/listing.pid"
  # The user is `pusher` with the password `pushes-in-tests`, in bcrypt.
  # shellcheck disable=SC2016
  echo 'pusher:$2b$04$abcdefghijklmnopqrstuuOp/fHMKig4mqnaetDgG7hd06pYSK.ni' >"$dir/users"
  cat >"$dir/distribution.yml" <<CONFIG
version: 0.1
log: {level: warn}
storage: {inmemory: {}}
auth: {htpasswd: {realm: tests, path: "$dir/users"}}
http: {addr: "127.0.0.1:$((port + 1))"}
CONFIG
  OTEL_TRACES_EXPORTER=none setsid "$dir/distribution" serve "$dir/distribution.yml" >"$dir/distribution.log" 2>&1 &
  echo $! >"$dir/distribution.pid"
  answers "$port" listing
  answers "$((port + 1))" distribution
  echo "127.0.0.1:$port"
}

stop() {
  local name
  for name in listing distribution; do
    [ ! -f "$dir/$name.pid" ] || kill "$(cat "$dir/$name.pid")" 2>/dev/null || true
    rm -f "$dir/$name.pid"
  done
}

case $command in
  build) build ;;
  start) start "${3:-}" ;;
  stop) stop ;;
  *) usage >&2; exit 2 ;;
esac
