#!/usr/bin/env bash
# Builds the release archive: the binary, the list of what is compiled into it (CycloneDX), alert rules, examples and documents.
# The same commit gives the same archive on the same machine: times are the commit's, owners and order are fixed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$(sed -n '0,/^version = /s/^version = "\(.*\)"/\1/p' Cargo.toml)
target=$(rustc -vV | sed -n 's/^host: //p')
name=driftgate-$version-$target
out=target/archive
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

tools=$(tests/support/cargo_tool.sh cargo-cyclonedx)
cargo build --release --locked --bin driftgate
rm -rf "${out:?}/$name" && mkdir -p "$out/$name"
# Dependencies of this target alone, without those of tests and build scripts; written beside Cargo.toml.
PATH=$tools:$PATH cargo cyclonedx --format json --spec-version 1.5 --target "$target" --no-build-deps --override-filename driftgate.cdx --quiet
# The folder that was built in is nobody's business.
sed "s|path+file://$PWD#|path+file:///driftgate#|g" driftgate.cdx.json >"$out/$name/driftgate.cdx.json"
rm driftgate.cdx.json crates/core/driftgate.cdx.json
cp target/release/driftgate README.md CHANGELOG.md LICENSE "$out/$name/"
cp -r config docs "$out/$name/"
mkdir "$out/$name/prometheus"
cp docker/prometheus/alerts.yml "$out/$name/prometheus/"

# The list names this version and what decides most: the client of Kafka, TLS, the database.
python3 - "$out/$name/driftgate.cdx.json" "$version" <<'PYTHON'
import json, sys
text = open(sys.argv[1]).read()
bom = json.loads(text)
top = bom["metadata"]["component"]
assert (top["name"], top["version"]) == ("driftgate", sys.argv[2]), top["name"]
names = {part["name"] for part in bom["components"]}
assert "file:///driftgate#" in text and text.count("file:///") == text.count("file:///driftgate#"), "the SBOM names a folder of this machine"
missing = {"rdkafka-sys", "rustls", "aws-lc-rs", "libsqlite3-sys", "polars", "tokio"} - names
assert not missing, f"the SBOM lacks {sorted(missing)}"
extra = {"criterion", "proptest", "insta"} & names
assert not extra, f"the SBOM names what only tests use: {sorted(extra)}"
assert all(part.get("licenses") and part.get("purl") for part in bom["components"]), "a part has no licence or no address"
print(f"{len(names)} parts are listed in driftgate.cdx.json")
PYTHON

tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$out" -c "$name" | gzip -n >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
