#!/usr/bin/env bash
# Made-up traffic of the promotion guide: files in this folder, which `driftgate load` publishes.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: traffic.sh train                                          write train.csv, the training data
       traffic.sh MINUTES VERSION=STAGE[:LATENCY_MS] ...         write predictions.jsonl and labels.jsonl: the next MINUTES of event
                                                                 time, 30 predictions per minute and version, each with its label

Event time begins 12 hours ago and goes on where the call before ended, so that hours of traffic are there at once.
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")"
[ $# -gt 0 ] || { usage >&2; exit 2; }

if [ "$1" = train ]; then
  awk 'BEGIN { print "amount,score,label"; for (i = 0; i < 3000; i++) printf "%d,%.1f,%d\n", i % 10, i % 2 ? 0.9 : 0.1, i % 2 }' >train.csv
  exit
fi

minutes=$1
shift
[ -e clock ] || echo $((($(date +%s) - 12 * 3600) / 3600 * 3600)) >clock
start=$(cat clock)
echo $((start + 60 * minutes)) >clock
rm -f predictions.jsonl labels.jsonl
for served in "$@"; do
  version=${served%%=*} stage=${served#*=} latency=62
  case $stage in *:*) latency=${stage#*:} stage=${stage%%:*} ;; esac
  awk -v start="$start" -v minutes="$minutes" -v version="$version" -v stage="$stage" -v latency="$latency" '
    BEGIN {
      for (i = 0; i < 30 * minutes; i++) {
        head = sprintf("{\"prediction_id\":\"%s-%d-%d\",\"model\":\"fraud_classifier\",\"ts\":%d000,", version, start, i, start + 2 * i)
        printf "%s\"version\":\"%s\",\"stage\":\"%s\",\"score\":%.1f,\"features\":{\"amount\":%d},\"latency_ms\":%s,\"error\":false,\"segments\":{\"region\":\"%s\"}}\n",
          head, version, stage, i % 2 ? 0.9 : 0.1, (i + int(i / 30)) % 10, latency, i % 4 < 2 ? "eu" : "us" >>"predictions.jsonl"
        printf "%s\"label\":%d}\n", head, i % 2 >>"labels.jsonl"
      }
    }'
done
# Versions that serve at the same time are mixed, as they come.
for file in predictions labels; do sort -s -t : -k 4,4n "$file.jsonl" -o "$file.jsonl"; done
