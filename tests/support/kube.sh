#!/usr/bin/env bash
# An API server of Kubernetes without nodes, for tests: etcd and kube-apiserver, built from the Go module proxy, on loopback.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: kube.sh build DIR         about a quarter of an hour on two cores, once; 190 MB
       kube.sh controllers DIR   Argo Rollouts and Flagger beside it, some minutes, once; 240 MB
       kube.sh start DIR PORT    ready when it returns; DIR/kubeconfig is an administrator's. PORT, PORT+1 and PORT+2 are used
       kube.sh stop DIR
USAGE
}

readonly kubernetes=1.34.4 etcd=3.6.16 operator=0.85.0 gateway=1.4.0 istio=1.28.0 rollouts=1.9.0 flagger=1.36.1
routers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/kube/routers.yaml
die() { echo "kube.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || { usage >&2; exit 2; }
command=$1
dir=$(mkdir -p "$2" && cd "$2" && pwd)

# module NAME PACKAGE VERSION: a module that requires nothing but one package, and builds it.
tool() {
  mkdir -p "$dir/src/$1"
  cd "$dir/src/$1"
  printf '//go:build tools\n\npackage %s\n\nimport _ "%s"\n' "$1" "$2" >tools.go
}

build() {
  command -v go >/dev/null || die "Go builds it, and is not installed"
  export GOFLAGS=-mod=mod CGO_ENABLED=0
  if [ ! -x "$dir/etcd" ]; then
    (
      tool etcd go.etcd.io/etcd/server/v3
      printf 'module etcd\n\ngo 1.24.0\n\nrequire go.etcd.io/etcd/server/v3 v%s\n' "$etcd" >go.mod
      go build -o "$dir/etcd" go.etcd.io/etcd/server/v3
    )
  fi
  if [ ! -x "$dir/kube-apiserver" ]; then
    (
      tool apiserver k8s.io/kubernetes/cmd/kube-apiserver
      local manifest
      manifest=$(go mod download -json "k8s.io/kubernetes@v$kubernetes" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
      # Kubernetes replaces its own parts by folders of its tree. They are published as v0.X.Y, which is required here in their place.
      {
        printf 'module apiserver\n\ngo 1.24.0\n\nrequire (\n'
        awk -v part="v0.${kubernetes#1.}" 'NR == FNR { if ($2 == "=>" && $3 ~ /^\.\/staging\//) own[$1]; next }
          /^\t[^ ]+ v/ { print "\t" $1, ($1 in own || $2 == "v0.0.0") ? part : $2 }' "$manifest" "$manifest"
        printf '\tk8s.io/kubernetes v%s\n)\n' "$kubernetes"
      } >go.mod
      # Controllers ask which version it is.
      go build -ldflags "-X k8s.io/component-base/version.gitVersion=v$kubernetes" -o "$dir/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
    )
  fi
}

# module NAME VERSION: the folder of a Go module.
module() { go mod download -json "$1@v$2" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }

# controller NAME MODULE VERSION PACKAGE: a program of a module that replaces some of its requirements, which only its own tree may.
controller() {
  [ ! -x "$dir/$1" ] || return 0
  local source
  source=$(module "$2" "$3")
  rm -rf "$dir/src/$1"
  mkdir -p "$dir/src"
  cp -r "$source" "$dir/src/$1"
  chmod -R u+w "$dir/src/$1"
  (cd "$dir/src/$1" && CGO_ENABLED=0 go build -o "$dir/$1" "$4")
  rm -rf "$dir/src/$1"
}

controllers() {
  command -v go >/dev/null || die "Go builds them, and is not installed"
  controller rollouts-controller github.com/argoproj/argo-rollouts "$rollouts" ./cmd/rollouts-controller
  controller flagger github.com/fluxcd/flagger "$flagger" ./cmd/flagger
}

# The custom resources of the Prometheus operator, of what routes traffic, and of Argo Rollouts and Flagger.
resources() {
  local monitoring gateways meshes canaries file
  monitoring=$(module github.com/prometheus-operator/prometheus-operator "$operator")/example/prometheus-operator-crd
  gateways=$(module sigs.k8s.io/gateway-api "$gateway")/config/crd/standard
  meshes=$(module istio.io/api "$istio")/kubernetes
  canaries=$(module github.com/argoproj/argo-rollouts "$rollouts")/manifests/crds
  for file in "$monitoring"/monitoring.coreos.com_{servicemonitors,prometheusrules}.yaml "$gateways"/gateway.networking.k8s.io_{http,grpc}routes.yaml \
    "$meshes"/customresourcedefinitions.gen.yaml "$canaries"/*-crd.yaml \
    "$(module github.com/fluxcd/flagger "$flagger")"/artifacts/flagger/crd.yaml "$routers"; do
    kubectl --kubeconfig "$dir/kubeconfig" apply --server-side --filename "$file"
  done
  kubectl --kubeconfig "$dir/kubeconfig" wait --for condition=established --timeout 30s crd --all
}

start() {
  local port=${1:?PORT}
  local api=https://127.0.0.1:$port store=http://127.0.0.1:$((port + 1)) peers=http://127.0.0.1:$((port + 2))
  local token
  token=$(openssl rand -hex 16)
  [ -f "$dir/accounts.key" ] || openssl genrsa -out "$dir/accounts.key" 2048 2>/dev/null
  (umask 077; echo "$token,admin,admin,system:masters" >"$dir/tokens.csv")
  setsid "$dir/etcd" --name test --data-dir "$dir/etcd-data" --listen-client-urls "$store" --advertise-client-urls "$store" \
    --listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" --initial-cluster "test=$peers" >"$dir/etcd.log" 2>&1 &
  echo $! >"$dir/etcd.pid"
  setsid "$dir/kube-apiserver" --etcd-servers "$store" --secure-port "$port" --bind-address 127.0.0.1 --cert-dir "$dir/certificates" \
    --service-cluster-ip-range 10.0.0.0/24 --service-account-key-file "$dir/accounts.key" --service-account-signing-key-file "$dir/accounts.key" \
    --service-account-issuer https://kubernetes.default.svc --authorization-mode RBAC --token-auth-file "$dir/tokens.csv" \
    --disable-admission-plugins ServiceAccount --endpoint-reconciler-type none >"$dir/apiserver.log" 2>&1 &
  echo $! >"$dir/apiserver.pid"
  (umask 077; cat >"$dir/kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
clusters: [{name: test, cluster: {server: "$api", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: "$token"}}]
CONFIG
  )
  for _ in $(seq 240); do
    if [ "$(kubectl --kubeconfig "$dir/kubeconfig" get --raw /readyz 2>/dev/null)" = ok ]; then echo "$api"; return; fi
    kill -0 "$(cat "$dir/apiserver.pid")" 2>/dev/null || break
    sleep 0.5
  done
  tail -5 "$dir/apiserver.log" >&2
  die "the API server is not ready"
}

stop() {
  local name
  for name in apiserver etcd; do
    [ -f "$dir/$name.pid" ] || continue
    kill "$(cat "$dir/$name.pid")" 2>/dev/null || true
    rm -f "$dir/$name.pid"
  done
}

case $command in
  build) build ;;
  controllers) controllers ;;
  start) start "${3:-}" ;;
  resources) resources >/dev/null ;;
  stop) stop ;;
  *) usage >&2; exit 2 ;;
esac
