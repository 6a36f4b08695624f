#!/usr/bin/env bash
# The CloudEvents SDK for Python for the tests, in a virtual environment.
set -euo pipefail

usage() {
  cat <<'EOT'
usage: cloudevents.sh install      make the virtual environment (nothing to do when it is there)

The virtual environment is CLOUDEVENTS_VENV (.cache/cloudevents).
EOT
}

die() { echo "cloudevents.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${CLOUDEVENTS_VENV:-$root/.cache/cloudevents}
readonly sdk=1.12.1 confluent=2.16.1
# shellcheck source=tests/support/venv.sh
source "$root/tests/support/venv.sh"

if [ "$*" != install ]; then usage >&2; exit 2; fi
make_venv "$venv" "$sdk with $confluent" "cloudevents $sdk" --no-cache-dir "cloudevents==$sdk" "confluent-kafka==$confluent"
