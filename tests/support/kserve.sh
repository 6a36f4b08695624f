#!/usr/bin/env bash
# KServe's Python server for a test, which starts it with a model: its packages and the SDK of CloudEvents, in a virtual environment of their own.
set -euo pipefail

if [ $# -ne 2 ] || [ "$1" != build ]; then
  echo "usage: kserve.sh build DIR         half a gigabyte, once" >&2
  exit 2
fi
die() { echo "kserve.sh: $*" >&2; exit 1; }

packages=(kserve==0.21.0 cloudevents==1.12.1)
# shellcheck source=tests/support/venv.sh
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
make_venv "$2" "${packages[*]}" "${packages[*]}" "${packages[@]}"
