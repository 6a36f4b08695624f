#!/usr/bin/env bash
# A receiver of OpenLineage events for the tests (lineage/receive.py): lineage.sh install makes its virtual environment with OpenLineage's client (nothing to do when it
# is there); lineage.sh OUT runs it. The virtual environment is LINEAGE_VENV (.cache/lineage).
set -euo pipefail

die() { echo "lineage.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${LINEAGE_VENV:-$root/.cache/lineage}
readonly version=1.54.0
# shellcheck source=tests/support/venv.sh
source "$root/tests/support/venv.sh"

make_venv "$venv" "$version" "openlineage-python $version" --no-cache-dir "openlineage-python==$version" >&2
if [ "${1:?"lineage.sh: name a file for what is received, or say install"}" = install ]; then exit; fi
exec "$venv/bin/python" "$root/tests/support/lineage/receive.py" "$@"
