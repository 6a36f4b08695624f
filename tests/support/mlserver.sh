#!/usr/bin/env bash
# MLServer for a test, which starts it with a model of scikit-learn on Kafka's topics: its packages, in a virtual environment of their own.
set -euo pipefail

if [ $# -ne 2 ] || [ "$1" != build ]; then
  echo "usage: mlserver.sh build DIR         half a gigabyte, once" >&2
  exit 2
fi
die() { echo "mlserver.sh: $*" >&2; exit 1; }

packages=(mlserver==1.7.1 scikit-learn==1.9.1)
# shellcheck source=tests/support/venv.sh
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
make_venv "$2" "${packages[*]}" "${packages[*]}" "${packages[@]}"
