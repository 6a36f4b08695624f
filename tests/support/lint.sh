#!/usr/bin/env bash
# Format, lints, dependencies, images, scripts, Python and alert rules. A tool that is missing leaves its checks out, except in continuous
# integration (CI is set), where it fails the run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

have() {
  command -v "$1" >/dev/null 2>&1 && return
  if [ -n "${CI:-}" ]; then echo "lint: $1 is not installed" >&2; exit 1; fi
  echo "lint: $1 is not installed, its checks are left out" >&2
  return 1
}

set -x
cargo fmt --check
# A configuration of cargo that lints where it builds leaves nothing to do here: test.sh builds every target with it.
if ! grep -qs clippy-driver "${DRIFTGATE_CARGO_CONFIG:-}"; then
  cargo clippy ${DRIFTGATE_CARGO_CONFIG:+--config "$DRIFTGATE_CARGO_CONFIG"} --release --locked --workspace --all-targets -- -D warnings
fi
{ set +x; } 2>/dev/null

# An image without a digest, or an action without a commit, is another one tomorrow.
files=(docker/Dockerfile docker/compose.yaml config/examples/github-actions.yaml)
while IFS= read -r file; do files+=("$file"); done < <(find .github -name '*.y*ml' 2>/dev/null)
if loose=$(grep -nHE '^FROM |^ *image: |^ *-? *uses: ' "${files[@]}" | grep -vE '@(sha256:[0-9a-f]{64}|[0-9a-f]{40})\b|image: driftgate$|uses: \./'); then
  echo "lint: pin these by digest:" >&2
  echo "$loose" >&2
  exit 1
fi

if have shellcheck; then shellcheck .ci/run benches/*.sh benches/peers/*.sh packaging/debian/postinst packaging/debian/postrm tests/support/*.sh; fi
if have ruff; then
  ruff check --quiet python tests/python
  ruff format --quiet --check python tests/python
fi
if have promtool; then
  promtool check config docker/prometheus/prometheus.yml
  promtool test rules docker/prometheus/alerts_test.yml
fi

tools=$(tests/support/cargo_tool.sh cargo-deny)
deny() { PATH=$tools:$PATH cargo deny --all-features --locked "$@"; }
deny check --hide-inclusion-graph licenses bans sources
# Known advisories need their database, a repository of its own. Where it cannot be had, that is said and nothing else is.
if deny fetch db; then
  deny check advisories
else
  echo "lint: the database of advisories cannot be fetched, so dependencies were not held against it" >&2
fi
