#!/usr/bin/env bash
# KServe's Python server for a test, which starts it with a model: its packages and the SDK of CloudEvents, in a virtual environment of their own.
set -euo pipefail

if [ $# -ne 2 ] || [ "$1" != build ]; then
  echo "usage: kserve.sh build DIR         half a gigabyte, once" >&2
  exit 2
fi
dir=$2
[ ! -x "$dir/bin/uvicorn" ] || exit 0
rm -rf "$dir"
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check kserve==0.21.0 cloudevents==1.12.1
