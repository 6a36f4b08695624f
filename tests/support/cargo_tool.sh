#!/usr/bin/env bash
# cargo_tool.sh NAME: builds a cargo subcommand of the version named here into .cache, once, and prints the folder it is in.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
case ${1:-} in
  cargo-deny) version=0.20.2 ;;
  cargo-cyclonedx) version=0.5.9 ;;
  cargo-deb) version=3.8.0 ;;
  *) echo "usage: cargo_tool.sh cargo-deny|cargo-cyclonedx|cargo-deb" >&2; exit 2 ;;
esac
at=$root/.cache/cargo-tools/$1-$version
if [ ! -x "$at/bin/$1" ]; then
  echo "building $1 $version, which takes some minutes and happens once" >&2
  # A tool that runs for a second is not worth minutes of optimisation.
  CARGO_PROFILE_DEV_DEBUG=0 cargo install "$1" --version "$version" --locked --profile dev --root "$at" --target-dir "$at.build" >&2
  rm -rf "$at.build"
fi
echo "$at/bin"
