#!/bin/sh
# Makes the four spoken clips in client/clips that `sabha demo` plays.
#
# Needs espeak-ng, sox and opusenc (Debian: apt-get install espeak-ng sox opus-tools).
# Usage: scripts/make-clips.sh [FOLDER]     default: client/clips beside this script
#
# Each clip: 48 kHz mono Opus at 96 kbit/s, 100 ms of silence, speech at -20 dBFS (RMS without
# its pauses), 200 ms of silence. The sentences are this project's own. Run twice, it writes the
# same bytes, as long as the versions of the three tools are the same.
set -eu

out=${1:-"$(dirname "$0")/../client/clips"}
level_dbfs=-20
peak_dbfs=-3

for tool in espeak-ng sox opusenc; do
    command -v "$tool" >/dev/null || {
        echo "make-clips: $tool is not installed; try: apt-get install espeak-ng sox opus-tools" >&2
        exit 1
    }
done
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints one figure of `sox stats`, in dB: stat FILE "RMS lev dB" [effect...]
stat() {
    file=$1; figure=$2; shift 2
    sox "$file" -n "$@" stats 2>&1 | sed -n "s/^$figure *//p"
}

# level IN OUT DBFS: sets the active level, which is the RMS of what remains when pauses are cut.
level() {
    active=$(stat "$1" "RMS lev dB" silence -l 1 0.01 -45d -1 0.03 -45d)
    sox -D "$1" -b 24 "$2" gain "$(echo "$3 - ($active)" | bc -l)"
}

# clip NAME VOICE WORDS_A_MINUTE PITCH SENTENCE
clip() {
    name=$1; voice=$2; speed=$3; pitch=$4; sentence=$5
    espeak-ng -v "$voice" -s "$speed" -p "$pitch" -w "$work/raw.wav" "$sentence"
    # Cut silence at both ends, go to 48 kHz, and take out what lies below 60 Hz.
    sox -D "$work/raw.wav" -b 24 "$work/cut.wav" \
        gain -6 silence 1 0.01 -56d reverse silence 1 0.01 -56d reverse rate -v 48000 highpass 60
    # Tame the peaks of a synthetic voice at 10 dB below its final level, where nothing
    # clips; then set the final level exactly.
    level "$work/cut.wav" "$work/level.wav" "$((level_dbfs - 10))"
    sox -D "$work/level.wav" -b 24 "$work/tamed.wav" \
        compand 0.001,0.04 4:-70,-70,-32,-32,-22,-26,-10,-22,0,-20 0 -30 0.002
    level "$work/tamed.wav" "$work/body.wav" "$level_dbfs"
    sox -D "$work/body.wav" -b 16 "$work/out.wav" fade t 0.005 -0 0.01 pad 0.1 0.2
    peak=$(stat "$work/out.wav" "Pk lev dB")
    if [ "$(echo "$peak > $peak_dbfs" | bc -l)" = 1 ]; then
        echo "make-clips: $name peaks at $peak dBFS, above $peak_dbfs; choose another voice" >&2
        exit 1
    fi
    opusenc --quiet --bitrate 96 --comp 10 --framesize 20 --serial 1 --padding 0 \
        --discard-comments "$work/out.wav" "$out/$name.opus"
    echo "$name: $(soxi -D "$work/out.wav") s, peak $peak dBFS," \
        "$(wc -c <"$out/$name.opus") bytes"
}

clip asha en-us+f3 200 60 \
    "Good morning, everyone. I can hear all of you clearly, so let us begin."
clip ben en-gb+m3 175 38 \
    "The agenda has three points today, and the first of them is mine."
clip carla en-gb-scotland+f2 180 68 \
    "Could you say that again, please? Two people spoke at once."
clip dev hi+m7 180 45 \
    "Thank you. I will send the minutes to the whole group this evening."
