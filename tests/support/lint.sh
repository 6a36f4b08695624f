#!/usr/bin/env bash
# Format, lints, and what the tools at hand can say about scripts, alert rules and dependencies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

have() { command -v "$1" >/dev/null 2>&1 || { echo "lint: $1 is not installed, its checks are left out" >&2; return 1; }; }

set -x
cargo fmt --check
cargo clippy --release --locked --all-targets -- -D warnings
{ set +x; } 2>/dev/null
if have shellcheck; then shellcheck .ci/run benches/run.sh benches/peers/*.sh tests/support/*.sh; fi
if have promtool; then
  promtool check config docker/prometheus/prometheus.yml
  promtool test rules docker/prometheus/alerts_test.yml
fi
if have cargo-deny; then cargo deny --all-features --locked check; fi
