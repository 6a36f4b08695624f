#!/usr/bin/env bash
# Runs `cargo test --release --locked` beside a Kafka broker. DRIFTGATE_TEST_KAFKA=host:port names one that already runs;
# otherwise one is started in .cache/kafka and stopped at the end, however the tests end. Arguments go to cargo test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kafka=tests/support/kafka.sh
dir=.cache/kafka
free_port() {
  local port
  for port in 19092 19192 19292 19392 19492; do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || (exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null || { echo "$port"; return; }
  done
  echo "test.sh: no free port for Kafka among 19092 to 19493" >&2
  return 1
}

# Compile first: the broker does not sit through it.
cargo test --release --locked --no-run

if [ -z "${DRIFTGATE_TEST_KAFKA:-}" ]; then
  if DRIFTGATE_TEST_KAFKA=$($kafka status "$dir" 2>/dev/null); then
    echo "using the broker that already runs on $DRIFTGATE_TEST_KAFKA; it stays"
  else
    trap '$kafka stop "$dir"' EXIT
    # Interrupts end the script by way of the trap above.
    trap 'exit 130' INT
    trap 'exit 143' TERM
    DRIFTGATE_TEST_KAFKA=$($kafka start "$dir" "$(free_port)")
    echo "Kafka runs on $DRIFTGATE_TEST_KAFKA"
  fi
  export DRIFTGATE_TEST_KAFKA
  # Where kafka.sh finds this broker, for the tests that delete records.
  export DRIFTGATE_TEST_KAFKA_DIR=$PWD/$dir
fi
cargo test --release --locked "$@"
