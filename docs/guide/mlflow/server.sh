#!/usr/bin/env bash
# An MLflow server for trying out: on 127.0.0.1, with its data in one folder, from a virtual environment that it makes once.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: server.sh FOLDER PORT     runs until it is stopped; MLFLOW_VENV names a virtual environment that has MLflow" >&2
  exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
venv=${MLFLOW_VENV:-$folder/venv}
if [ ! -x "$venv/bin/mlflow" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check mlflow==3.17.2
fi
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true
exec "$venv/bin/mlflow" server --backend-store-uri "sqlite:///$folder/mlflow.db" --artifacts-destination "$folder/artifacts" \
  --host 127.0.0.1 --port "$2" --workers 1
