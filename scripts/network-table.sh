#!/usr/bin/env bash
# Bad networks, one after the other, by scripts/network-demo.sh, and the score of each as a table.
#
# Usage: scripts/network-table.sh [OUT] [SECONDS]
#
# Each row is one run of SECONDS (default 30) with the network of that row at the listener, and
# another with it at talker and listener both. Scored are the sentences from the first on, by
# scripts/score.sh: median and lowest PESQ-WB. OUT (default target/network-table) keeps what was
# heard. Takes 12 times SECONDS and some; needs what both scripts need. SPEECH=FILE says another text.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-${CARGO_TARGET_DIR:-target}/network-table} seconds=${2:-30}
speech=${SPEECH:-client/clips/asha.opus}
rows=(
    "clean|0"
    "3 % loss|0 0 3"
    "10 % loss|0 0 10"
    "20 % loss|0 0 20"
    "10 % loss, runs of 3|0 0 10 0 3"
    "jitter 30 ms|40 30"
)

# score NAME TALKER LISTENER: median and lowest score of a run, or why there is none.
score() {
    local heard=$out/$1
    mkdir -p "$heard"
    scripts/network-demo.sh --talker "$2" --listener "$3" --seconds "$seconds" --speech "$speech" \
        --out "$heard" >"$heard/run.log" 2>&1 || { echo "failed, see $heard/run.log" && return; }
    scripts/score.sh "$speech" "$heard/heard.wav" >"$heard/score.log" 2>&1 || true
    sed -n 's/.*PESQ-WB median \([0-9.]*\) lowest \([0-9.]*\).*/\1 (\2)/p' "$heard/score.log" |
        grep . || echo "no score, see $heard/score.log"
}

printf '%-24s %-20s %s\n' "PESQ-WB: median (lowest)" "listener's network" "talker's and listener's"
for number in "${!rows[@]}"; do
    name=${rows[number]%|*} network=${rows[number]#*|}
    one=$(score "$number-listener" 0 "$network")
    printf '%-24s %-20s %s\n' "$name" "$one" "$(score "$number-both" "$network" "$network")"
done
