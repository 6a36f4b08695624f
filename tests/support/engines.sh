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
# shellcheck source=tests/support/venv.sh
source "$root/tests/support/venv.sh"

if [ "$*" != install ]; then usage >&2; exit 2; fi
make_venv "$venv" "$spark $ray" "Spark $spark and Ray $ray" --no-cache-dir "pyspark==$spark" "ray==$ray"
