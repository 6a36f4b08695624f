#!/usr/bin/env bash
# `make bench`: the criterion benches, then driftgate beside other tools, in one run. The tables go
# into docs/benchmarks.md and six numbers into the README, between markers, the picture into benches/results.svg; with
# DRIFTGATE_BENCH_ONLY they are only printed.
#
# DRIFTGATE_BENCH_ONLY=kafka,files,agreement,decode,join,checkpoint,allocations,windows,growth,start,decoders   some parts only
# DRIFTGATE_BENCH_ROUNDS=5        how often contenders take turns
# DRIFTGATE_BENCH_ROWS=1000000    events of the data, which is made once
# DRIFTGATE_BENCH_STREAM=100000000  events of the long stream
# DRIFTGATE_BENCH_KAFKA=host:port a broker to use, not one started for the run (on DRIFTGATE_BENCH_PORT, 19292)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kafka=tests/support/kafka.sh
kafka_dir=.cache/kafka
out=$PWD/target/bench
only=${DRIFTGATE_BENCH_ONLY:-}

# wants PART...: whether one of these parts is to be run.
wants() {
  local part
  [ -n "$only" ] || return 0
  for part in "$@"; do [[ ",$only," == *",$part,"* ]] && return 0; done
  return 1
}

# The criterion benches that are there, by name; those of decode, join and checkpoint also become rows of the table.
criterion=()
for bench in decode join checkpoint count statistics; do
  if [ -e "benches/$bench.rs" ] && { [ -z "$only" ] || wants "$bench"; }; then criterion+=("$bench"); fi
done

mkdir -p "$out"
targets=(--bench comparison)
for bench in "${criterion[@]}"; do targets+=(--bench "$bench"); done
# Compile first: the broker does not sit through it.
cargo bench --locked --no-run "${targets[@]}"

if wants kafka files agreement growth start; then
  DRIFTGATE_BENCH_DATA=$(benches/peers/setup.sh data "${DRIFTGATE_BENCH_ROWS:-1000000}")
  DRIFTGATE_BENCH_PYTHON=$(benches/peers/setup.sh python)
else
  # Nothing reads these.
  DRIFTGATE_BENCH_DATA=$out DRIFTGATE_BENCH_PYTHON=python3
fi
export DRIFTGATE_BENCH_DATA DRIFTGATE_BENCH_PYTHON DRIFTGATE_BENCH_OUT=$out

# Estimates of an earlier run must not pass for this one's.
rm -rf "${CARGO_TARGET_DIR:-target}/criterion"
# Contenders of one bench take turns by rounds: a machine is not as fast at one time as at another.
for bench in "${criterion[@]}"; do
  rounds=1
  case $bench in decode | join | checkpoint) rounds=${DRIFTGATE_BENCH_ROUNDS:-5} ;; esac
  for round in $(seq "$rounds"); do
    cargo bench --locked --bench "$bench" -- --quick --noplot --save-baseline "round-$round"
  done
done

if wants kafka start && [ -z "${DRIFTGATE_BENCH_KAFKA:-}" ]; then
  trap '$kafka stop "$kafka_dir"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  DRIFTGATE_BENCH_KAFKA=$($kafka start "$kafka_dir" "${DRIFTGATE_BENCH_PORT:-19292}")
  DRIFTGATE_BENCH_KAFKA_VERSION=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' tests/support/kafka-pom.xml)
  # Run by the comparison once nothing needs the broker any more: what it does meanwhile takes a few hundredths of a core.
  DRIFTGATE_BENCH_KAFKA_STOP="$kafka stop $kafka_dir"
  export DRIFTGATE_BENCH_KAFKA DRIFTGATE_BENCH_KAFKA_VERSION DRIFTGATE_BENCH_KAFKA_STOP
fi

if wants kafka files agreement decode join checkpoint allocations windows growth start; then cargo bench --locked --bench comparison; fi
# Readers of messages in other languages: printed, and in docs/reference/formats.md by hand.
if wants decoders; then benches/decoders.sh; fi

[ -z "$only" ] || exit 0
cp "$out/results.svg" benches/results.svg

# replace_between_markers FILE TEXT: what lies between the markers of FILE becomes TEXT.
replace_between_markers() {
  [ -s "$2" ]
  awk -v text="$2" '
    /<!-- bench -->/ { print; while ((getline line < text) > 0) print line; inside = 1; next }
    /<!-- \/bench -->/ { inside = 0 }
    !inside' "$1" >"$out/replaced.md"
  cp "$out/replaced.md" "$1"
}
replace_between_markers docs/benchmarks.md "$out/section.md"
replace_between_markers README.md "$out/headlines.md"
