#!/usr/bin/env bash
# MLServer for a test, which starts it with a model of scikit-learn on Kafka's topics: its packages, in a virtual environment of their own.
set -euo pipefail

if [ $# -ne 2 ] || [ "$1" != build ]; then
  echo "usage: mlserver.sh build DIR         half a gigabyte, once" >&2
  exit 2
fi
dir=$2
[ ! -x "$dir/bin/mlserver" ] || exit 0
rm -rf "$dir"
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check mlserver==1.7.1 scikit-learn==1.9.1
