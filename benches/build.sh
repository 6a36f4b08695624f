#!/usr/bin/env bash
# build.sh [REV...]: how long a newcomer waits for the binary. Builds each revision (the working tree's HEAD if none is given) from nothing, one after the
# other on this machine, with the sources of dependencies fetched before, and prints a table for docs/benchmarks.md. Nothing else should run meanwhile.
# DRIFTGATE_BUILD_PROFILE=demo builds what `make demo` builds; release is the default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# -gt 0 ] || set -- HEAD
profile=${DRIFTGATE_BUILD_PROFILE:-release}
work=$(mktemp -d)
trap 'git worktree prune; rm -rf "$work"' EXIT

echo "| revision | seconds | core seconds | compiled crates | longest | binary |"
echo "|---|---|---|---|---|---|"
for revision in "$@"; do
  name=$(git rev-parse --short "$revision")
  tree=$work/$name
  git worktree add --quiet --detach "$tree" "$revision"
  (
    cd "$tree"
    cargo fetch --locked --quiet
    TIMEFORMAT='%R %U %S'
    { time cargo build --profile "$profile" --locked --bin driftgate --timings >build.log 2>&1; } 2>times.txt || { cat build.log >&2; exit 1; }
    read -r wall user system <times.txt
    python3 - "$name" "$wall" "$user" "$system" "$(stat -c %s target/"$profile"/driftgate)" <<'PYTHON'
import glob, json, re, sys
name, wall, user, system, size = sys.argv[1], *map(float, sys.argv[2:])
page = open(glob.glob("target/cargo-timings/cargo-timing*.html")[0]).read()
units = json.loads(re.search(r"const UNIT_DATA = (\[.*?\]);\n", page, re.S).group(1))
units.sort(key=lambda unit: -unit["duration"])
longest = ", ".join(f"{unit['name']} {unit['duration']:.0f} s" for unit in units[:3])
print(f"| {name} | {wall:.0f} | {user + system:.0f} | {len({u['name'] for u in units})} | {longest} | {size / 2**20:.0f} MiB |")
PYTHON
  )
  git worktree remove --force "$tree"
done
