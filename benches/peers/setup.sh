#!/usr/bin/env bash
# What the peers need, under .cache/bench: `setup.sh python` makes a virtual environment of requirements.txt and prints its
# Python; `setup.sh data ROWS` makes the bench data and prints its folder. Nothing happens where all is there.
set -euo pipefail

die() { echo "peers: $*" >&2; exit 1; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache/bench
venv=$cache/venv

# A virtual environment knows its own path and cannot be moved: what marks it as whole is written last.
python() {
  if ! cmp -s "$here/requirements.txt" "$venv/driftgate-installed"; then
    echo "installing the peers into $venv" >&2
    rm -rf "$venv"
    mkdir -p "$cache"
    python3 -m venv "$venv" || die "python3 could not make a virtual environment: run make setup"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2 ||
      die "pip could not install the peers"
    cp "$here/requirements.txt" "$venv/driftgate-installed"
  fi
  echo "$venv/bin/python"
}

# Data is the same every time: made once for each number of rows and each version of the script.
data() {
  local rows=$1 folder python
  [[ $rows =~ ^[0-9]+$ ]] || die "the number of rows is not a number: '$rows'"
  folder=$cache/data-$rows
  if ! cmp -s "$here/make_data.py" "$folder/made-by"; then
    python=$(python)
    echo "making $rows events in $folder" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    "$python" "$here/make_data.py" "$folder" "$rows" >&2 || die "the data could not be made"
    cp "$here/make_data.py" "$folder/made-by"
  fi
  echo "$folder"
}

case "${1:-}/$#" in
  python/1) python ;;
  data/2) data "$2" ;;
  *) echo "usage: setup.sh python | setup.sh data ROWS" >&2; exit 2 ;;
esac
