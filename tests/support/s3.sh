#!/usr/bin/env bash
# An S3 server for the tests (s3/serve.py): s3.sh install makes its virtual environment with moto (nothing to do when it is there); s3.sh runs it.
# The virtual environment is S3_VENV (.cache/s3).
set -euo pipefail

die() { echo "s3.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${S3_VENV:-$root/.cache/s3}
readonly version=5.2.5
# shellcheck source=tests/support/venv.sh
source "$root/tests/support/venv.sh"

make_venv "$venv" "$version" "moto $version" --no-cache-dir "moto[s3]==$version" flask flask-cors >&2
if [ "${1:-}" = install ]; then exit; fi
exec "$venv/bin/python" "$root/tests/support/s3/serve.py"
