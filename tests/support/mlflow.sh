#!/usr/bin/env bash
# MLflow servers for the tests: on 127.0.0.1, with an SQLite file each, out of one virtual environment.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: mlflow.sh install                      make the virtual environment (nothing to do when it is there)
       mlflow.sh start DIR PORT [--auth]      start a server on 127.0.0.1:PORT with its data in DIR, and print its URL;
                                              with --auth it asks for user and password, which are in DIR/token
       mlflow.sh status DIR                   print the URL of the running server, or fail
       mlflow.sh stop DIR

The virtual environment is MLFLOW_VENV (.cache/mlflow). Each start begins with empty data, except with KEEP=1.
START_TIMEOUT (90) is in seconds. The log is DIR/server.log.
EOF
}

die() { echo "mlflow.sh: $*" >&2; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${MLFLOW_VENV:-$root/.cache/mlflow}
readonly version=3.17.2
# shellcheck source=tests/support/venv.sh
source "$root/tests/support/venv.sh"

installed() { [ "$(cat "$venv/driftgate-installed" 2>/dev/null)" = "$version" ]; }

install() { make_venv "$venv" "$version" "MLflow $version" "mlflow[auth]==$version"; }

# The process id of this directory's server; fails when none runs. The command line guards against a reused id.
running() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null) && [ -e "/proc/$pid/cmdline" ] || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "sqlite:///$dir/mlflow.db" || return 1
  echo "$pid"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

healthy() {
  local answer
  { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
  printf 'GET /health HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n' "$1" >&3
  # A port that is open but silent must not hold up the wait.
  answer=$(timeout 5 head -n 1 <&3) || true
  exec 3<&-
  [[ $answer == *" 200 "* ]]
}

url() { echo "http://127.0.0.1:$(cat "$dir/port")"; }

start() {
  local port=$1 auth=${2:-} pid deadline options=()
  [[ $port =~ ^[0-9]+$ ]] || die "the port is not a number: '$port'"
  installed || die "MLflow is not in $venv: mlflow.sh install"
  if pid=$(running); then die "a server already runs in $dir: process $pid, $(url)"; fi
  if listening "$port"; then die "port $port is taken: name another one, mlflow.sh start $dir PORT"; fi
  [ "${KEEP:-0}" = 1 ] || rm -rf "$dir/mlflow.db" "$dir/auth.db" "$dir/artifacts"
  if [ "$auth" = --auth ]; then
    (umask 077 && echo "admin:only-for-these-tests" >"$dir/token")
    cat >"$dir/auth.ini" <<EOF
[mlflow]
default_permission = READ
database_uri = sqlite:///$dir/auth.db
admin_username = admin
admin_password = only-for-these-tests
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
EOF
    options+=(--app-name basic-auth)
    export MLFLOW_AUTH_CONFIG_PATH=$dir/auth.ini MLFLOW_FLASK_SERVER_SECRET_KEY=only-for-these-tests
  elif [ -n "$auth" ]; then
    usage >&2
    exit 2
  fi
  # A session of its own: the terminal's interrupt must not reach the server before its users have stopped, and the
  # process id is that of the whole group. Jobs and telemetry are of no use here.
  MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true \
    setsid nohup "$venv/bin/mlflow" server --backend-store-uri "sqlite:///$dir/mlflow.db" \
    --artifacts-destination "$dir/artifacts" --host 127.0.0.1 --port "$port" --workers 1 "${options[@]}" \
    </dev/null >"$dir/server.log" 2>&1 &
  pid=$!
  echo "$pid" >"$dir/pid"
  echo "$port" >"$dir/port"

  deadline=$((SECONDS + ${START_TIMEOUT:-90}))
  until healthy "$port"; do
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$dir/server.log" >&2; die "the server ended while starting"; }
    [ "$SECONDS" -lt "$deadline" ] || { stop; die "the server did not answer in time: see $dir/server.log"; }
    sleep 0.2
  done
  url
}

stop() {
  local pid
  pid=$(running) || { rm -f "$dir/pid"; return 0; }
  kill -- "-$pid"
  for _ in $(seq 100); do
    kill -0 -- "-$pid" 2>/dev/null || { rm -f "$dir/pid"; return 0; }
    sleep 0.1
  done
  kill -9 -- "-$pid" 2>/dev/null || true
  rm -f "$dir/pid"
}

status() {
  running >/dev/null || die "no server runs in $dir: mlflow.sh start $dir PORT"
  healthy "$(cat "$dir/port")" || die "the server in $dir does not answer"
  url
}

verb=${1:-}
if [ "$verb/$#" = install/1 ]; then install; exit; fi
if [ $# -lt 2 ]; then usage >&2; exit 2; fi
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
case "$verb/$#" in
  start/1 | start/2) start "$@" ;;
  stop/0) stop ;;
  status/0) status ;;
  *) usage >&2; exit 2 ;;
esac
