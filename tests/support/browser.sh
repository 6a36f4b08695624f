#!/usr/bin/env bash
# Chromium for the tests of the pages: browser.sh install puts playwright-core and axe-core into .cache/browser (nothing to do when they are there);
# browser.sh NAME ARGS... runs browser/NAME.mjs with them. CHROMIUM names another Chromium than the system's.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=${DRIFTGATE_TEST_BROWSER:-$root/.cache/browser}
mark=$(cksum <"$root/tests/support/browser/package-lock.json")
readonly mark

die() { echo "browser.sh: $*" >&2; exit 1; }

installed() { [ "$(cat "$dir/driftgate-installed" 2>/dev/null)" = "$mark" ]; }

# What marks it as whole is written last. Tests that run beside each other install it once.
install() {
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock 9
  installed && return
  command -v npm >/dev/null || die "npm was not found: run make setup"
  cp "$root"/tests/support/browser/package*.json "$dir/"
  (cd "$dir" && npm ci --silent --no-audit --no-fund --ignore-scripts) || die "npm could not install playwright-core and axe-core"
  echo "$mark" >"$dir/driftgate-installed"
}

if [ "${1:-}" = install ]; then install; exit; fi
installed || install >&2
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || die "Chromium was not found: run make setup, or name it as CHROMIUM"
# Beside its modules, where node looks for them.
name=${1:?"browser.sh: name a script of tests/support/browser"}.mjs
shift
if ! cmp -s "$root/tests/support/browser/$name" "$dir/$name"; then
  cp "$root/tests/support/browser/$name" "$dir/$name.$$"
  mv "$dir/$name.$$" "$dir/$name"
fi
exec node "$dir/$name" "$@"
