#!/usr/bin/env bash
# `make bench`: the criterion benches, then whole processes side by side beside a Kafka that is started for the run (or the
# one in DRIFTGATE_BENCH_KAFKA). The table goes into the README, between its markers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kafka=tests/support/kafka.sh
dir=.cache/kafka
cargo bench --locked --no-run
if [ -z "${DRIFTGATE_BENCH_KAFKA:-}" ]; then
  trap '$kafka stop "$dir"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  DRIFTGATE_BENCH_KAFKA=$($kafka start "$dir" "${DRIFTGATE_BENCH_PORT:-19292}")
fi
export DRIFTGATE_BENCH_KAFKA
export DRIFTGATE_BENCH_OUT=$PWD/target/throughput.md
cargo bench --locked --bench core -- --quick
cargo bench --locked --bench throughput

# The table with the machine it was measured on, between the markers.
{
  echo '<!-- bench -->'
  echo "Flights (445,594 predictions of 13 features, 444,005 labels; PSI and KS on everything, TPR gaps), whole"
  echo "processes from start to end, medians of ${DRIFTGATE_BENCH_ROUNDS:-5} rounds in turn, on $(nproc) cores of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1),"
  echo "$(rustc --version | cut -d' ' -f1,2), $(date -u +%Y-%m-%d), by \`make bench\`:"
  echo
  cat "$DRIFTGATE_BENCH_OUT"
  echo
  echo "Memory is what is resident at most: of a Parquet replay a part is the mapped file itself, of the daemon most is librdkafka's read-ahead."
  echo '<!-- /bench -->'
} >target/bench-section.md
awk -v section=target/bench-section.md '
  /<!-- bench -->/ { while ((getline line < section) > 0) print line; inside = !/<!-- \/bench -->/; next }
  /<!-- \/bench -->/ { inside = 0; next }
  !inside' README.md >target/README.new
mv target/README.new README.md
