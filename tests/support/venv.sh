#!/usr/bin/env bash
# Sourced by the scripts that need Python packages; they have `die`.

# make_venv DIR MARK NAME PIP_ARGUMENT...: makes the virtual environment DIR with the packages of NAME, unless it is there as MARK says. One knows
# its own path and cannot be moved: what marks it as whole is written last.
make_venv() {
  local dir=$1 mark=$2 name=$3
  shift 3
  if [ "$(cat "$dir/driftgate-installed" 2>/dev/null)" = "$mark" ]; then return; fi
  echo "installing $name into $dir"
  rm -rf "$dir"
  python3 -m venv "$dir" || die "python3 could not make a virtual environment: run make setup"
  "$dir/bin/pip" install --quiet --disable-pip-version-check "$@" || die "pip could not install $name"
  echo "$mark" >"$dir/driftgate-installed"
}
