#!/bin/sh
# Scores recordings against what was said, sentence by sentence: PESQ-WB (ITU-T P.862.2) and STOI.
#
# Usage: scripts/score.sh DEMO [MEMBER]             the folder of a demo's report, its lines alone
#        scripts/score.sh REFERENCE RECORDING       every repeat of the reference's sentences
#
# Without MEMBER it scores what the first silent member heard. Its Python packages are installed
# from PyPI, once, into target/tools/venv; nothing else here needs them. Run it on recordings made
# on a quiet machine: under load jitter buffers grow, and scores fall by themselves.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${CARGO_TARGET_DIR:-$here/../target}/tools/venv

if ! "$venv/bin/python" -c 'import numpy, pesq, pystoi, scipy, soundfile' 2>/dev/null; then
    echo "score: installing pesq, pystoi and soundfile into $venv" >&2
    python3 -m venv "$venv" || {
        echo "score: python3 with its venv module is needed (Debian: apt-get install python3-venv)" >&2
        exit 1
    }
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        pesq==0.0.4 pystoi==0.4.1 soundfile==0.13.1 numpy scipy || {
        echo "score: the packages could not be installed, see above" >&2
        exit 1
    }
fi
exec "$venv/bin/python" "$here/score.py" "$@"
