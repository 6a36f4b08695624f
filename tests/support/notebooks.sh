#!/usr/bin/env bash
# Tables of pandas, polars and pyarrow, and what runs notebooks, for the tests of the Python package: in one virtual environment. The package
# driftgate is not installed in it; the tests take it from `python`.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: notebooks.sh install    make the virtual environment (nothing to do when it is there)

The virtual environment is NOTEBOOKS_VENV (.cache/notebooks).
EOF
}

die() { echo "notebooks.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${NOTEBOOKS_VENV:-$root/.cache/notebooks}
readonly pandas=3.1.1 polars=2.1.0 pyarrow=26.0.1 nbclient=0.11.0 ipykernel=7.4.0
# shellcheck source=tests/support/venv.sh
source "$root/tests/support/venv.sh"

if [ "$*" != install ]; then usage >&2; exit 2; fi
make_venv "$venv" "$pandas $polars $pyarrow $nbclient $ipykernel" "pandas, polars, pyarrow and nbclient" --no-cache-dir \
  "pandas==$pandas" "polars==$polars" "pyarrow==$pyarrow" "nbclient==$nbclient" "ipykernel==$ipykernel"
