#!/usr/bin/env bash
# Installs what `make dist` built for this machine as a user would, and runs it: the wheel in a clean virtual environment, the binaries of the
# archive and of the Debian package from empty folders.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "dist_test.sh: $*" >&2; exit 1; }

root=$PWD
out=$root/target/dist
version=$(sed -n '0,/^version = /s/^version = "\(.*\)"/\1/p' Cargo.toml)
target=$(rustc -vV | sed -n 's/^host: //p')
name=driftgate-$version-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# runs BINARY: its version, a policy checked, and a replay whose verdicts are written.
runs() {
  local binary=$1 folder
  folder=$(mktemp -d -p "$work")
  [ "$("$binary" --version)" = "driftgate $version" ] || fail "$binary says another version: $("$binary" --version)"
  (
    cd "$folder"
    clean() { env -i PATH=/usr/bin:/bin HOME="$folder" "$binary" "$@"; }
    clean check --policy "$root/config/policies/example.yaml" >check.txt 2>&1 || [ $? = 1 ] || fail "check: $(cat check.txt)"
    # Parquet, its compression, threads and statistics.
    (cd "$root/tests/data/flights" && clean replay --policy policy-core.yaml --predictions predictions.parquet --labels labels.parquet --verdicts "$folder/verdicts.jsonl") \
      >replay.txt 2>&1 || fail "replay: $(cat replay.txt)"
    [ "$(wc -l <verdicts.jsonl)" -gt 600 ] || fail "replay wrote $(wc -l <verdicts.jsonl) verdicts"
    # What needs the brokers' client and TLS: it is linked, and says that nobody answers.
    clean status --server https://127.0.0.1:1 >status.txt 2>&1 && fail "status of a daemon that is not there"
    grep -q "cannot be reached" status.txt || fail "status: $(cat status.txt)"
  )
}

(cd "$out" && sha256sum --check --quiet "$name.sha256")

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$out" "driftgate==$version"
runs "$work/venv/bin/driftgate"
# The package beside it finds that binary, and no other.
(cd tests/python && env -i PATH=/usr/bin:/bin HOME="$work" PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" -m unittest --quiet test_replay test_passes) 2>"$work/python.txt" \
  || fail "the package of the wheel: $(cat "$work/python.txt")"
grep -q '^Ran [1-9]' "$work/python.txt" || fail "no test of the package ran"
[ "$(env -i PATH=/usr/bin:/bin "$work/venv/bin/python" -c 'import driftgate; print(driftgate.binary())')" = "$work/venv/bin/driftgate" ] \
  || fail "the package calls another binary"
"$work/venv/bin/pip" uninstall --quiet --yes driftgate
[ ! -e "$work/venv/bin/driftgate" ] || fail "the wheel leaves its binary behind"

tar -xzf "$out/$name.tar.gz" -C "$work"
runs "$work/$name/driftgate"
for file in driftgate.cdx.json LICENSE README.md CHANGELOG.md config/driftgate.yaml config/policies/example.yaml prometheus/alerts.yml grafana/overview.json completions/driftgate man/driftgate.1; do
  [ -s "$work/$name/$file" ] || fail "the archive lacks $file"
done

case $target in x86_64-*) arch=amd64 ;; aarch64-*) arch=arm64 ;; *) fail "no package for $target" ;; esac
deb=$out/driftgate_${version}_$arch.deb
dpkg-deb -x "$deb" "$work/root"
dpkg-deb -e "$deb" "$work/control"
runs "$work/root/usr/bin/driftgate"
grep -qx /etc/driftgate/driftgate.yaml "$work/control/conffiles" || fail "the configuration is no conffile: an upgrade would overwrite it"
grep -q useradd "$work/control/postinst" || fail "no user is made"
for file in share/bash-completion/completions/driftgate share/zsh/vendor-completions/_driftgate share/fish/vendor_completions.d/driftgate.fish; do
  [ -s "$work/root/usr/$file" ] || fail "the package lacks $file"
done
ls "$work/root/usr/share/man/man1/driftgate-replay.1"* >/dev/null || fail "the package lacks manual pages"
unit=$(find "$work/root" -name driftgate.service)
[ -n "$unit" ] || fail "no unit of systemd"
sed -i "s|/usr/bin/driftgate|$work/root/usr/bin/driftgate|" "$unit"
if command -v systemd-analyze >/dev/null; then systemd-analyze verify --man=no "$unit" || fail "systemd refuses the unit"; fi
# The configuration holds what this binary reads; of the policies there is none yet.
mkdir -p "$work/policies"
cp "$root/config/policies/example.yaml" "$work/policies/"
sed "s|/etc/driftgate/policies|$work/policies|" "$work/root/etc/driftgate/driftgate.yaml" >"$work/driftgate.yaml"
"$work/root/usr/bin/driftgate" check --config "$work/driftgate.yaml" >"$work/check.txt" 2>&1 || [ $? = 1 ] || fail "the package's configuration: $(cat "$work/check.txt")"
echo "3 passed, 0 failed"
