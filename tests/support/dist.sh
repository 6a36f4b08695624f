#!/usr/bin/env bash
# dist.sh [TARGET]: builds what is released into target/dist, for this machine's target or the one given: an archive (the binary, the list of
# what is compiled into it as CycloneDX, alert rules, examples, documents), a Debian package, a wheel for pip, and their SHA-256.
# The binary needs glibc 2.28 or later and nothing else: zig links against that release's symbols, OpenSSL and zlib are inside. The same
# commit gives the same archive on the same machine: times are the commit's, owners and order are fixed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly glibc=2.28
version=$(sed -n '0,/^version = /s/^version = "\(.*\)"/\1/p' Cargo.toml)
target=${1:-$(rustc -vV | sed -n 's/^host: //p')}
case $target in
  x86_64-unknown-linux-gnu) deb_arch=amd64 ;;
  aarch64-unknown-linux-gnu) deb_arch=arm64 ;;
  *) echo "dist.sh: $target is not built; x86_64-unknown-linux-gnu and aarch64-unknown-linux-gnu are" >&2; exit 2 ;;
esac
name=driftgate-$version-$target
out=$PWD/target/dist
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
mkdir -p "$out"

# cargo-zigbuild, maturin and zig, in a virtual environment of their own.
tools=$PWD/.cache/dist-tools
if ! cmp -s packaging/requirements.txt "$tools/requirements.txt"; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check -r packaging/requirements.txt
  cp packaging/requirements.txt "$tools/requirements.txt"
fi
PATH=$tools/bin:$PATH
rustup target add "$target" 2>/dev/null || true

# librdkafka's configure script knows CC alone, not cargo-zigbuild's variables. Its build makes a shared library beside the static one, which
# zig's linker refuses for names in a version script that are not there; nothing uses it.
zig_target=${target/-unknown/}.$glibc
for compiler in cc c++; do
  cat >"$tools/zig-$compiler-$target" <<WRAPPER
#!/bin/bash
arguments=()
for argument in "\$@"; do
  case \$argument in -Wl,--version-script=*) ;; *) arguments+=("\$argument") ;; esac
done
exec "$tools/bin/cargo-zigbuild" zig $compiler -- -target $zig_target "\${arguments[@]}"
WRAPPER
  chmod +x "$tools/zig-$compiler-$target"
done
printf '#!/bin/sh\nexec "%s" zig ar -- "$@"\n' "$tools/bin/cargo-zigbuild" >"$tools/zig-ar"
chmod +x "$tools/zig-ar"

# One build: the archive and the Debian package take the binary out of the wheel.
rm -f "$out/driftgate-$version-"*"${target%%-*}.whl" "$out/$name".* 
# The definition tells librdkafka that this OpenSSL knows no folder of certificate authorities, so that it looks where distributions keep them.
CFLAGS="-DWITH_STATIC_LIB_libcrypto=1 ${CFLAGS:-}" CC=$tools/zig-cc-$target CXX=$tools/zig-c++-$target AR=$tools/zig-ar \
  maturin build --release --locked --zig --target "$target" --compatibility "manylinux_${glibc/./_}" --out "$out"
wheel=$(echo "$out/driftgate-$version-py3-none-manylinux_"*"_${target%%-*}.whl")
stage=target/dist-stage/$target
rm -rf "$stage" && mkdir -p "$stage/$name"
python3 -m zipfile -e "$wheel" "$stage/wheel"
install -m 755 "$stage/wheel/driftgate-$version.data/scripts/driftgate" "$stage/$name/driftgate"

newest=$(objdump -T "$stage/$name/driftgate" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
[ "$(printf '%s\n' "$newest" "GLIBC_$glibc" | sort -V | tail -n 1)" = "GLIBC_$glibc" ] || { echo "dist.sh: the binary asks for $newest" >&2; exit 1; }
if libraries=$(objdump -p "$stage/$name/driftgate" | awk '/NEEDED/ {print $2}' | grep -vE '^(libc|libm|libdl|libpthread|librt|ld-linux-[a-z0-9-]+)\.so\.[0-9]$'); then
  echo "dist.sh: the binary asks for other libraries than glibc's: $libraries" >&2
  exit 1
fi

# Dependencies of this target alone, without those of tests and build scripts. A list is written beside the Cargo.toml of each crate; the
# root's has all. The folder that was built in stays out of it.
PATH=$(tests/support/cargo_tool.sh cargo-cyclonedx):$PATH cargo cyclonedx --format json --spec-version 1.5 --target "$target" --no-build-deps \
  --features portable --override-filename driftgate.cdx --quiet
sed "s|path+file://$PWD\([/#]\)|path+file:///driftgate\1|g" driftgate.cdx.json >"$stage/$name/driftgate.cdx.json"
rm driftgate.cdx.json crates/core/driftgate.cdx.json
python3 - "$stage/$name/driftgate.cdx.json" "$version" <<'PYTHON'
import json, sys
text = open(sys.argv[1]).read()
bom = json.loads(text)
top = bom["metadata"]["component"]
assert (top["name"], top["version"]) == ("driftgate", sys.argv[2]), top["name"]
assert text.count("file:///") == text.count("file:///driftgate"), "the SBOM names a folder of this machine"
# What decides most: the core, the client of Kafka, TLS twice, the database.
names = {part["name"] for part in bom["components"]}
missing = {"driftgate-core", "rdkafka-sys", "openssl-sys", "rustls", "aws-lc-rs", "libsqlite3-sys", "polars-core", "tokio"} - names
assert not missing, f"the SBOM lacks {sorted(missing)}"
extra = {"criterion", "proptest", "insta"} & names
assert not extra, f"the SBOM names what only tests use: {sorted(extra)}"
assert all(part.get("licenses") and part.get("purl") for part in bom["components"]), "a part has no licence or no address"
print(f"{len(names)} parts are listed in driftgate.cdx.json")
PYTHON

# Completions and manual pages, written by the binary itself; they are the same for every target, so another machine's are written by this one's.
writer=$stage/$name/driftgate
if [ "$target" != "$(rustc -vV | sed -n 's/^host: //p')" ]; then
  cargo build --release --locked --quiet
  writer=target/release/driftgate
fi
extras=target/dist-extras
rm -rf "$extras" && mkdir -p "$extras/completions"
"$writer" completions bash >"$extras/completions/driftgate"
"$writer" completions fish >"$extras/completions/driftgate.fish"
"$writer" completions zsh >"$extras/completions/_driftgate"
"$writer" man --out "$extras/man"
cp -r "$extras/completions" "$extras/man" "$stage/$name/"

cp README.md CHANGELOG.md LICENSE "$stage/$name/"
cp -r config docs "$stage/$name/"
mkdir "$stage/$name/prometheus"
cp docker/prometheus/alerts.yml "$stage/$name/prometheus/"
cp -r docker/grafana/dashboards "$stage/$name/grafana"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$stage" -c "$name" | gzip -n >"$out/$name.tar.gz"

# cargo-deb packages the binary where cargo would have put it.
mkdir -p "$stage/cargo/$target/release"
cp "$stage/$name/driftgate" "$stage/cargo/$target/release/driftgate"
deb=driftgate_${version}_$deb_arch.deb
PATH=$(tests/support/cargo_tool.sh cargo-deb):$PATH CARGO_TARGET_DIR=$stage/cargo \
  cargo deb --no-build --no-strip --locked --target "$target" --output "$out/$deb" --quiet

(cd "$out" && sha256sum "$name.tar.gz" "$deb" "$(basename "$wheel")" >"$name.sha256")
(cd "$out" && ls -l "$name.tar.gz" "$deb" "$(basename "$wheel")" "$name.sha256")
