#!/usr/bin/env bash
# The issuer of tokens that the tests ask: issuer.sh install puts oidc-provider into .cache/issuer (nothing to do when it is
# there); issuer.sh ARGS... runs issuer/issuer.mjs with it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=${DRIFTGATE_TEST_ISSUER:-$root/.cache/issuer}
readonly version=8.8.1

die() { echo "issuer.sh: $*" >&2; exit 1; }

installed() { [ "$(cat "$dir/driftgate-installed" 2>/dev/null)" = "$version" ]; }

# What marks it as whole is written last. Tests that run beside each other install it once.
install() {
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock 9
  installed && return
  command -v npm >/dev/null || die "npm was not found: run make setup"
  cp "$root"/tests/support/issuer/package*.json "$dir/"
  (cd "$dir" && npm ci --silent --no-audit --no-fund) || die "npm could not install oidc-provider"
  echo "$version" >"$dir/driftgate-installed"
}

if [ "${1:-}" = install ]; then install; exit; fi
installed || install >&2
# Beside its modules, where node looks for them.
if ! cmp -s "$root/tests/support/issuer/issuer.mjs" "$dir/issuer.mjs"; then
  cp "$root/tests/support/issuer/issuer.mjs" "$dir/issuer.mjs.$$"
  mv "$dir/issuer.mjs.$$" "$dir/issuer.mjs"
fi
exec node "$dir/issuer.mjs" "$@"
