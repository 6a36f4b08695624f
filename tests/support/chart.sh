#!/usr/bin/env bash
# chart.sh write: renders the manifests under packaging/kubernetes anew.
# chart.sh install: makes the virtual environment that it reads YAML with.
# chart.sh [--server KUBECONFIG]: renders the Helm chart with each file of values under its ci folder, holds the daemon's own `check` against the
# configuration that comes out, and what must be refused against the reasons that are given. With --server the API server of that
# configuration takes every object in a dry run (tests/support/kube.sh starts one).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly chart=packaging/helm/driftgate yaml=6.0.3 kubernetes=1.34.0

fail() { echo "chart: $*" >&2; exit 1; }
die() { fail "$@"; }
# shellcheck source=tests/support/venv.sh
source tests/support/venv.sh
make_venv .cache/chart "$yaml" "PyYAML $yaml" "pyyaml==$yaml"
if [ "${1:-}" = install ]; then exit; fi
kubeconfig=
if [ "${1:-}" = --server ]; then kubeconfig=${2:?the path of a kubeconfig}; fi
helm=$(tests/support/go_tool.sh helm)
binary=${DRIFTGATE_BINARY:-target/release/driftgate}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

version=$(sed -n '0,/^version = /s/^version = "\(.*\)"/\1/p' Cargo.toml)
expected=$(printf 'version: %s\nappVersion: "%s"' "$version" "$version")
[ "$(grep -E '^(version|appVersion):' $chart/Chart.yaml | sort -r)" = "$expected" ] ||
  fail "$chart/Chart.yaml: version and appVersion are to be Cargo.toml's, $version"

# Manifests for those who have no Helm: by the name of the values under ci.
manifest() {
  echo "# Rendered from $chart with ci/$1.yaml: tests/support/chart.sh write. Names, policies, brokers and secrets are examples."
  "$helm" template driftgate $chart --namespace driftgate --kube-version "$kubernetes" --no-hooks --values "$chart/ci/$1.yaml" 2>/dev/null
}
for name in single three; do
  if [ "${1:-}" = write ]; then manifest $name >packaging/kubernetes/$name.yaml; fi
  manifest $name | diff -u packaging/kubernetes/$name.yaml - >&2 || fail "packaging/kubernetes/$name.yaml is another than the chart's: run tests/support/chart.sh write"
done
if [ "${1:-}" = write ]; then exit; fi

# What a chart that is packed holds: its links are files then.
"$helm" package --destination "$out" $chart 2>/dev/null >&2
packed=("$out"/driftgate-*.tgz)

# The namespaces that the charts' roles for routers are in.
if [ -n "$kubeconfig" ]; then
  for namespace in ml serving; do
    kubectl --kubeconfig "$kubeconfig" get namespace $namespace >/dev/null 2>&1 || kubectl --kubeconfig "$kubeconfig" create namespace $namespace >/dev/null
  done
fi

for values in "$chart"/ci/*.yaml; do
  name=$(basename "$values" .yaml)
  "$helm" lint --strict --quiet --kube-version "$kubernetes" --values "$values" $chart 2>/dev/null
  "$helm" template gate "${packed[0]}" --namespace ml --kube-version "$kubernetes" --values "$values" --api-versions monitoring.coreos.com/v1 >"$out/$name.yaml"
  # The daemon's own word on its configuration, with the files of the ConfigMaps where the pod has them.
  .cache/chart/bin/python tests/support/chart_config.py "$out/$name.yaml" "$out/$name"
  "$binary" check --config "$out/$name/driftgate.yaml" >"$out/$name.check" 2>&1 || { cat "$out/$name.check" >&2; fail "$values: the daemon refuses its configuration"; }
  if [ -n "$kubeconfig" ]; then
    kubectl --kubeconfig "$kubeconfig" apply --dry-run=server --validate=strict --filename "$out/$name.yaml" >"$out/$name.applied"
    echo "chart: $name: the API server takes $(wc -l <"$out/$name.applied") objects"
  fi
done

# refused SENTENCE ARGUMENT...
refused() {
  local expected=$1 said
  shift
  if said=$("$helm" template gate $chart --kube-version "$kubernetes" "$@" 2>&1 >/dev/null); then fail "expected to be refused: $*"; fi
  case $said in *"$expected"*) ;; *) fail "expected \"$expected\", read \"$said\"" ;; esac
}
refused 'no policy: put at least one under'
refused 'cluster.auditKey.existingSecret: name the secret' --values $chart/ci/single.yaml --set cluster.enabled=true
refused 'polices' --set polices.a=b --values $chart/ci/single.yaml
refused 'ingress.hosts: name at least one' --values $chart/ci/single.yaml --set ingress.enabled=true
refused 'admission.certificate.existingSecret: name the secret' --values $chart/ci/single.yaml --set admission.enabled=true
refused 'digest' --values $chart/ci/single.yaml --set image.digest=latest
echo "chart: rendered, and its configurations pass the daemon's check"
