#!/usr/bin/env bash
# Holds `sabha-loadgen floor` against benches/floor.c on the same receivers; they should agree
# within 5 %. By turns, several times, as a machine's speed wanders.
# Usage: scripts/compare-floor.sh [SOCKETS] [SIZE] [SECONDS] [TURNS] [GATHER]
set -euo pipefail
cd "$(dirname "$0")/.."
sockets=${1:-1000} size=${2:-120} seconds=${3:-5} turns=${4:-5} gather=${5:-1}
target=${CARGO_TARGET_DIR:-target}
loadgen=${LOADGEN:-$target/release/sabha-loadgen}
if [[ ! -x $loadgen ]]; then
    echo "compare-floor: $loadgen is missing; run: cargo build --release -p sabha-loadgen" >&2
    exit 1
fi
yardstick=$(mktemp)
trap 'rm -f "$yardstick"' EXIT
"${CC:-cc}" -O2 -Wall -o "$yardstick" benches/floor.c

measure() {
    "$loadgen" floor --sockets "$sockets" --size "$size" --seconds "$seconds" --gather "$gather" \
        "$@" | cut -d ' ' -f 1
}
for ((turn = 0; turn < turns; turn++)); do
    echo "$(measure) $(measure --with "$yardstick")"
done | awk '
    { printf "sabha-loadgen %s µs, floor.c %s µs: %.3f\n", $1, $2, $1 / $2; a += $1; b += $2 }
    END {
        ratio = a / b
        printf "together: %.3f\n", ratio
        exit !(ratio > 0.95 && ratio < 1.05)
    }'
