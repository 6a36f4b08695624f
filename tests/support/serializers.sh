#!/usr/bin/env bash
# The serializers of confluent-kafka and the CloudEvents SDK for the tests, in a virtual environment.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: serializers.sh install      make the virtual environment (nothing to do when it is there)

The virtual environment is SERIALIZERS_VENV (.cache/serializers).
EOF
}

die() { echo "serializers.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${SERIALIZERS_VENV:-$root/.cache/serializers}
readonly confluent=2.16.1 cloudevents=1.12.1
# shellcheck source=tests/support/venv.sh
source "$root/tests/support/venv.sh"

if [ "$*" != install ]; then usage >&2; exit 2; fi
make_venv "$venv" "$confluent with protobuf, $cloudevents" "confluent-kafka $confluent and cloudevents $cloudevents" --no-cache-dir \
  "confluent-kafka[avro,json,protobuf,schemaregistry]==$confluent" "cloudevents==$cloudevents"
