#!/usr/bin/env bash
# Runs `cargo test --release --locked --workspace` beside a Kafka broker and two MLflow servers, one of which asks for a user.
# DRIFTGATE_TEST_KAFKA=host:port, DRIFTGATE_TEST_MLFLOW=url and DRIFTGATE_TEST_MLFLOW_AUTH=url (then with
# DRIFTGATE_TEST_MLFLOW_TOKEN_FILE, which holds user:password) name ones that already run; the others are started in .cache
# and stopped at the end, however the tests end. Arguments go to cargo test, and DRIFTGATE_CARGO_CONFIG names a configuration of cargo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kafka=tests/support/kafka.sh
mlflow=tests/support/mlflow.sh
kafka_dir=.cache/kafka
mlflow_dir=.cache/mlflow-server
auth_dir=.cache/mlflow-auth

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port WHAT PORT...: the first port that is free together with the next one.
free_port() {
  local what=$1 port
  shift
  for port in "$@"; do
    taken "$port" || taken "$((port + 1))" || { echo "$port"; return; }
  done
  echo "test.sh: no free port for $what among $*" >&2
  return 1
}

# What this run started, and stops.
started=()
stop_all() {
  local command
  for command in "${started[@]}"; do $command || true; done
}
trap stop_all EXIT
# Interrupts end the script by way of the trap above.
trap 'exit 130' INT
trap 'exit 143' TERM

# mlflow_server DIR [--auth] PORT...: sets `url` to that of the server in DIR, started unless it runs already.
mlflow_server() {
  local dir=$1 options=() port
  shift
  if [ "$1" = --auth ]; then options=(--auth); shift; fi
  if url=$($mlflow status "$dir" 2>/dev/null); then
    echo "using the MLflow that already runs on $url; it stays"
    return
  fi
  port=$(free_port MLflow "$@")
  started+=("$mlflow stop $dir")
  url=$($mlflow start "$dir" "$port" "${options[@]}")
  echo "MLflow runs on $url"
}

# Compile first: the servers do not sit through it. What the tests need beside the program is fetched meanwhile.
setup_log=$(mktemp)
tests/support/setup.sh test >"$setup_log" 2>&1 &
setup=$!
cargo test ${DRIFTGATE_CARGO_CONFIG:+--config "$DRIFTGATE_CARGO_CONFIG"} --release --locked --workspace --no-run
# A configuration that lints sees the benches, too.
if [ -n "${DRIFTGATE_CARGO_CONFIG:-}" ]; then cargo build --config "$DRIFTGATE_CARGO_CONFIG" --release --locked --workspace --all-targets; fi
wait "$setup" || { cat "$setup_log" >&2; echo "test.sh: setup.sh could not install what the tests need" >&2; exit 1; }
rm -f "$setup_log"

if [ -z "${DRIFTGATE_TEST_KAFKA:-}" ]; then
  if DRIFTGATE_TEST_KAFKA=$($kafka status "$kafka_dir" 2>/dev/null); then
    echo "using the broker that already runs on $DRIFTGATE_TEST_KAFKA; it stays"
  else
    port=$(free_port Kafka 19092 19192 19292 19392 19492)
    started+=("$kafka stop $kafka_dir")
    DRIFTGATE_TEST_KAFKA=$($kafka start "$kafka_dir" "$port")
    echo "Kafka runs on $DRIFTGATE_TEST_KAFKA"
  fi
  export DRIFTGATE_TEST_KAFKA
  # Where kafka.sh finds this broker, for the tests that delete records.
  export DRIFTGATE_TEST_KAFKA_DIR=$PWD/$kafka_dir
fi
if [ -z "${DRIFTGATE_TEST_MLFLOW:-}" ]; then
  mlflow_server "$mlflow_dir" 15000 15100 15200 15300
  export DRIFTGATE_TEST_MLFLOW=$url
fi
if [ -z "${DRIFTGATE_TEST_MLFLOW_AUTH:-}" ]; then
  mlflow_server "$auth_dir" --auth 15050 15150 15250 15350
  export DRIFTGATE_TEST_MLFLOW_AUTH=$url DRIFTGATE_TEST_MLFLOW_TOKEN_FILE=$PWD/$auth_dir/token
fi
# Tests wait for servers more than they compute: four at a time keep two cores busy.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 2))}
cargo test ${DRIFTGATE_CARGO_CONFIG:+--config "$DRIFTGATE_CARGO_CONFIG"} --release --locked --workspace "$@"
