#!/usr/bin/env bash
# Spark and Ray for the tests: in one virtual environment, run in processes of this machine. The package driftgate is not installed in it;
# the tests take it from `python`.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: engines.sh install      make the virtual environment (nothing to do when it is there)

The virtual environment is ENGINES_VENV (.cache/engines). Spark needs Java 17 or later.
EOF
}

die() { echo "engines.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${ENGINES_VENV:-$root/.cache/engines}
readonly spark=4.3.0 ray=2.60.0

# A virtual environment knows its own path and cannot be moved: what marks it as whole is written last.
install() {
  [ "$(cat "$venv/driftgate-installed" 2>/dev/null)" = "$spark $ray" ] && return
  echo "installing Spark $spark and Ray $ray into $venv"
  rm -rf "$venv"
  python3 -m venv "$venv" || die "python3 could not make a virtual environment: run make setup"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "pyspark==$spark" "ray==$ray" \
    || die "pip could not install Spark and Ray"
  echo "$spark $ray" >"$venv/driftgate-installed"
}

if [ "$*" != install ]; then usage >&2; exit 2; fi
install
