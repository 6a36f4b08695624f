#!/usr/bin/env bash
# go_tool.sh NAME: the path of a tool that is installed, or built of the version named here into .cache/bin from the Go module proxy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
case ${1:?the name of a tool} in
  helm) package=helm.sh/helm/v3/cmd/helm@v3.19.0 ;;
  *) echo "go_tool.sh: $1 is not known here" >&2; exit 2 ;;
esac
# Another project's helm may be another release.
tool=$PWD/.cache/bin/$1
if [ ! -x "$tool" ]; then
  if ! command -v go >/dev/null; then echo "go_tool.sh: $1 is built by Go, which is not installed" >&2; exit 1; fi
  (cd "$(mktemp -d)" && GOFLAGS='' GOBIN=${tool%/*} CGO_ENABLED=0 nice -n 10 go install "$package") >&2
fi
echo "$tool"
