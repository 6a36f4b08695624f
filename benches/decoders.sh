#!/usr/bin/env bash
# Events a second of driftgate's decoders beside those of Java's and Python's ecosystems, on one core: the same messages, in turns, in one run.
# driftgate goes from the bytes to the slots of a batch, the others to their objects, of which they take the values of all features.
#
#     benches/decoders.sh [ROUNDS]        (3; needs a JDK, Maven and Python)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${1:-3}
cache=$PWD/.cache/bench/decoders
messages=$PWD/target/bench/decoders
formats=(json avro protobuf)
mkdir -p "$cache" "$messages"

if ! cmp -s benches/decoders/pom.xml "$cache/pom.xml"; then
  mvn --quiet --batch-mode -f benches/decoders/pom.xml dependency:copy-dependencies -DoutputDirectory="$cache/jars"
  cp benches/decoders/pom.xml "$cache/pom.xml"
fi
javac -cp "$cache/jars/*" -d "$cache/classes" benches/decoders/Decoders.java
readonly python_packages="fastavro==1.13.1 protobuf==6.33.5 grpcio-tools==1.76.0"
if [ "$(cat "$cache/venv/driftgate-installed" 2>/dev/null)" != "$python_packages" ]; then
  rm -rf "$cache/venv"
  python3 -m venv "$cache/venv"
  # shellcheck disable=SC2086
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check $python_packages
  echo "$python_packages" >"$cache/venv/driftgate-installed"
fi

DRIFTGATE_BENCH_WRITE=$messages cargo bench --locked --bench formats -- --quick --noplot '^formats/json$' >/dev/null
"$cache/venv/bin/python" -m grpc_tools.protoc -I "$messages" --descriptor_set_out="$messages/protobuf.schema" "$messages/schema.proto"
cp "$messages/schema.avsc" "$messages/avro.schema"

# best NAME RATE: keeps the larger one.
declare -A rates
best() { if [ "${rates[$1]:-0}" -lt "$2" ]; then rates[$1]=$2; fi; }
for _ in $(seq "$rounds"); do
  taskset -c 0 cargo bench --locked --bench formats -- --quick --noplot "^formats/($(IFS='|'; echo "${formats[*]}"))\$" >/dev/null
  for format in "${formats[@]}"; do
    args=("$format" "$messages/$format.bin" "$messages/$format.schema")
    best "driftgate $format" "$(python3 -c '
import json, sys
estimates = json.load(open(sys.argv[1]))
print(round(8192e9 / estimates["mean"]["point_estimate"]))' "${CARGO_TARGET_DIR:-target}/criterion/formats/$format/new/estimates.json")"
    best "java $format" "$(taskset -c 0 java -cp "$cache/classes:$cache/jars/*" Decoders "${args[@]}" 2>/dev/null)"
    best "python $format" "$(taskset -c 0 "$cache/venv/bin/python" benches/decoders/decoders.py "${args[@]}")"
  done
done
for format in "${formats[@]}"; do
  printf '%-10s' "$format"
  for who in driftgate java python; do
    printf '  %s %s (%s)' "$who" "${rates["$who $format"]}" \
      "$(awk -v a="${rates["driftgate $format"]}" -v b="${rates["$who $format"]}" 'BEGIN { printf "%.1f times as slow", a / b }')"
  done
  echo
done
