#!/usr/bin/env bash
# The serializers of confluent-kafka for the tests, in a virtual environment.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: serializers.sh install      make the virtual environment (nothing to do when it is there)

The virtual environment is SERIALIZERS_VENV (.cache/serializers).
EOF
}

die() { echo "serializers.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${SERIALIZERS_VENV:-$root/.cache/serializers}
readonly confluent=2.16.1

# A virtual environment knows its own path and cannot be moved: what marks it as whole is written last.
install() {
  [ "$(cat "$venv/driftgate-installed" 2>/dev/null)" = "$confluent" ] && return
  echo "installing confluent-kafka $confluent into $venv"
  rm -rf "$venv"
  python3 -m venv "$venv" || die "python3 could not make a virtual environment: run make setup"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "confluent-kafka[avro,json,schemaregistry]==$confluent" \
    || die "pip could not install confluent-kafka"
  echo "$confluent" >"$venv/driftgate-installed"
}

if [ "$*" != install ]; then usage >&2; exit 2; fi
install
