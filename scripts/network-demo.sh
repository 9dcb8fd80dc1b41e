#!/usr/bin/env bash
# A talker and a listener on bad networks of their own, by the program's own commands: CA and node in
# one network namespace, each member in another, and impaired links between them.
#
# Usage: scripts/network-demo.sh [OPTION...]
#   --talker "NETWORK"    network of the talker (default "0"), as `sabha demo --network` takes it
#   --listener "NETWORK"  network of the listener (default "0")
#   --seconds N           how long they talk and listen (default 20)
#   --speech FILE         what is said again and again, .wav or .opus (default: a clip of the demo)
#   --spike SECOND MS     stalls the listener's network once (may be repeated)
#   --out DIR             what was heard, and the logs (default target/network-demo)
#
# Score it with: scripts/score.sh SPEECH OUT/heard.wav. A table of several networks, scored, prints
# scripts/network-table.sh.
#
# Needs root, iproute2, python3 and the program (SABHA=FILE, by default target/release/sabha).
# Whatever happens, its namespaces and processes end with it.
set -euo pipefail
cd "$(dirname "$0")/.."

stop() {
    echo "network-demo: $1" >&2
    exit 2
}

talker_network=0 listener_network=0 seconds=20 speech=client/clips/asha.opus spikes=()
out=${CARGO_TARGET_DIR:-target}/network-demo
while [ $# -gt 0 ]; do
    case $1 in
    --talker) talker_network=$2 && shift 2 ;;
    --listener) listener_network=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --speech) speech=$2 && shift 2 ;;
    --spike) spikes+=("$2 $3") && shift 3 ;;
    --out) out=$2 && shift 2 ;;
    *) stop "$1 is no option; see the head of this file" ;;
    esac
done
sabha=${SABHA:-${CARGO_TARGET_DIR:-target}/release/sabha}
[ -x "$sabha" ] || stop "$sabha is missing; run: cargo build --release -p sabha-control"
[ -r "$speech" ] || stop "cannot read $speech; name another with --speech"
[ "$(id -u)" = 0 ] || stop "only root may make network namespaces; run it with sudo"

node_ns=sabha-node-$$ talker_ns=sabha-talker-$$ listener_ns=sabha-listener-$$
node_ip=10.213.0.1
work=$(mktemp -d)
started=()

clean_up() {
    trap - EXIT
    trap '' INT TERM HUP
    for ((index = ${#started[@]} - 1; index >= 0; index--)); do
        kill "${started[index]}" 2>/dev/null || true
        wait "${started[index]}" 2>/dev/null || true
    done
    for namespace in "$node_ns" "$talker_ns" "$listener_ns"; do
        ip netns delete "$namespace" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Waits up to 10 s until a file has a line that matches, and prints what follows the match.
await() {
    for _ in $(seq 100); do
        sed -n "s/^$2//p" "$1" 2>/dev/null | head -n 1 | grep . && return
        sleep 0.1
    done
    echo "network-demo: $1 never said $2:" >&2
    cat "$1" >&2
    return 1
}

# Commands, not functions: the process that `&` starts is then the program itself.
in_node=(ip netns exec "$node_ns" "$sabha")

# enrol NAME [FLAG]: an identity in the folder NAME, with the password from the CA's outbox.
enrol() {
    local ask=(enroll --dir "$work/$1" --ca "$ca" --fingerprint "$fingerprint"
        --user "$1@example.org" ${2:+"$2"})
    "${in_node[@]}" "${ask[@]}" </dev/null >/dev/null 2>>"$out/enroll.log" || true
    local mail
    mail=$(grep -l "^To: $1@example.org" "$work"/ca/outbox/*.txt)
    "${in_node[@]}" "${ask[@]}" --otp "$(sed -n 's/^OTP: //p' "$mail")" \
        </dev/null >/dev/null 2>>"$out/enroll.log"
}

# link NAMESPACE NUMBER NETWORK: a bad network between it and the node, with orders by a FIFO.
link() {
    mkfifo "$work/orders$2"
    scripts/impaired-network.py "$node_ns" "10.213.$2.1" "$1" "10.213.$2.2" "$3" \
        <>"$work/orders$2" >"$out/network-$2.log" 2>&1 &
    started+=($!)
    await "$out/network-$2.log" "up " >/dev/null
    ip -n "$1" route add "$node_ip" via "10.213.$2.1"
}

mkdir -p "$out"
for namespace in "$node_ns" "$talker_ns" "$listener_ns"; do
    ip netns add "$namespace"
    ip -n "$namespace" link set lo up
done
ip -n "$node_ns" address add "$node_ip/32" dev lo

"${in_node[@]}" ca --dir "$work/ca" --listen "$node_ip:4700" >"$out/ca.log" 2>&1 &
started+=($!)
ca=$(await "$out/ca.log" "listening ")
fingerprint=$(await "$out/ca.log" "fingerprint ")
: >"$out/enroll.log"
enrol node --mixer
for name in host talker listener; do enrol "$name"; done

SABHA_NODE_MARK_MARGIN_SECS=0 "${in_node[@]}" node --dir "$work/node" --listen "$node_ip:4600" \
    --media "$node_ip:4601" --shards 1 >"$out/node.log" 2>&1 &
started+=($!)
node=$(await "$out/node.log" "node ")
"${in_node[@]}" host --dir "$work/host" --node "$node" --listen "$node_ip:0" \
    --user talker@example.org --user listener@example.org \
    </dev/null >"$out/host.log" 2>&1 &
started+=($!)
conference=sabha:$(await "$out/host.log" "sabha:")

link "$talker_ns" 1 "$talker_network"
link "$listener_ns" 2 "$listener_network"

# One second of silence, said again and again by who only listens.
python3 - "$work/silence.wav" <<'PYTHON'
import sys, wave
with wave.open(sys.argv[1], "wb") as silence:
    silence.setparams((1, 2, 48000, 0, "NONE", ""))
    silence.writeframes(bytes(96000))
PYTHON

ip netns exec "$listener_ns" "$sabha" join "$conference" --dir "$work/listener" --loop \
    --in "$work/silence.wav" --out "$out/heard.wav" --for "$seconds" >"$out/listener.log" 2>&1 &
listener=$!
started+=("$listener")
ip netns exec "$talker_ns" "$sabha" join "$conference" --dir "$work/talker" --loop \
    --in "$speech" --out "$work/talker.wav" --for "$seconds" >"$out/talker.log" 2>&1 &
talker=$!
started+=("$talker")
mkfifo "$work/never"
for spike in ${spikes[@]+"${spikes[@]}"}; do
    # Not `sleep`, which would outlive a subshell that is ended.
    (read -rt "${spike% *}" _ <>"$work/never" || echo "spike ${spike#* }" >"$work/orders2") &
    started+=($!)
done
wait "$talker" || stop "the talker failed; see $out/talker.log"
wait "$listener" || stop "the listener failed; see $out/listener.log"
cat "$out/listener.log"
echo "score it with: scripts/score.sh $speech $out/heard.wav"
