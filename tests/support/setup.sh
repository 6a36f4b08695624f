#!/usr/bin/env bash
# Installs what driftgate needs on a Debian machine: `setup.sh build` to build it, `setup.sh lint` to lint it as well, `setup.sh test` to test it as
# well, `setup.sh dist` to package it.
# Quick when nothing is missing; asks for root only when something is.
set -euo pipefail

die() { echo "setup: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$root/.cache
scope=${1:-test}
[[ $scope =~ ^(build|lint|test|dist)$ ]] || die "usage: setup.sh build|lint|test|dist"

fetched=
# Runs apt-get as root; the package lists are fetched once, and only when there is something to install.
apt() {
  local sudo=()
  have apt-get || die "missing here: $missing; install it with this system's own packages (the names are Debian's)"
  if [ "$(id -u)" != 0 ]; then
    have sudo || die "missing here: $missing; as root: apt-get install $missing"
    sudo=(sudo)
  fi
  [ -n "$fetched" ] || { "${sudo[@]}" apt-get -q update && fetched=1; }
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends "$@"
}

packages=()
have gcc || packages+=(gcc)
have g++ || packages+=(g++)
have make || packages+=(make)
have pkg-config || packages+=(pkg-config)
if have pkg-config; then
  pkg-config --exists openssl || packages+=(libssl-dev)
  pkg-config --exists zlib || packages+=(zlib1g-dev)
else
  packages+=(libssl-dev zlib1g-dev)
fi
if [ "$scope" = lint ] || [ "$scope" = test ]; then
  have shellcheck || packages+=(shellcheck)
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
fi
if [ "$scope" = dist ]; then
  have perl || packages+=(perl)
  have dpkg-deb || packages+=(dpkg)
  have objdump || packages+=(binutils)
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
fi
if [ "$scope" = test ]; then
  have java || packages+=(openjdk-17-jre-headless)
  have openssl || packages+=(openssl)
  have node || packages+=(nodejs)
  have npm || packages+=(npm)
  have chromium || [ -n "${CHROMIUM:-}" ] || packages+=(chromium)
  # Maven is needed once, to fetch Kafka.
  compgen -G "$cache/kafka/libs/kafka_2.13-*.jar" >/dev/null || have mvn || packages+=(maven)
fi
if [ ${#packages[@]} -gt 0 ]; then
  missing="${packages[*]}"
  apt install "${packages[@]}" || die "apt-get could not install: $missing"
fi

if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
have cargo || die "cargo was not found: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml") or later with rustup"
if [ "$scope" = lint ]; then
  for component in clippy fmt; do
    cargo "$component" --version >/dev/null 2>&1 || rustup component add clippy rustfmt || die "cargo $component was not found: install the components clippy and rustfmt"
  done
fi

if [ "$scope" = lint ]; then
  # Its version decides what it finds.
  readonly ruff=0.17.6
  if [ "$("$cache/bin/ruff" --version 2>/dev/null)" != "ruff $ruff" ]; then
    rm -rf "$cache/ruff"
    python3 -m venv "$cache/ruff"
    "$cache/ruff/bin/pip" install --quiet --disable-pip-version-check "ruff==$ruff" || die "pip could not install ruff $ruff"
    mkdir -p "$cache/bin"
    ln -sf ../ruff/bin/ruff "$cache/bin/ruff"
  fi
fi

if [ "$scope" = lint ] || [ "$scope" = test ]; then
  # promtool alone is taken out of Debian's prometheus package: installing the package would also start a server here.
  if ! have promtool && [ ! -x "$cache/bin/promtool" ]; then
    missing=prometheus
    have apt-get || die "promtool was not found: install Prometheus' tools"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    fetch() { (cd "$work" && apt-get -q download prometheus); }
    fetch 2>/dev/null || { apt install ca-certificates && fetch; } || die "apt-get could not fetch the package prometheus"
    mkdir -p "$cache/bin"
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/promtool
    mv "$work/usr/bin/promtool" "$cache/bin/promtool"
  fi
fi
if [ "$scope" = test ]; then
  "$root/tests/support/kafka.sh" install "$cache/kafka"
  "$root/tests/support/mlflow.sh" install
  "$root/tests/support/engines.sh" install
  "$root/tests/support/serializers.sh" install
  "$root/tests/support/issuer.sh" install
  "$root/tests/support/browser.sh" install
  # The chart's test needs helm, which Debian does not have: where Go is, the test builds it, while others wait for their servers.
  if have go; then "$root/tests/support/chart.sh" install; fi
  "$root/tests/support/lineage.sh" install
  "$root/tests/support/s3.sh" install
  "$root/tests/support/notebooks.sh" install
fi
