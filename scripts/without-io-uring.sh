#!/bin/sh
# Runs a command under a seccomp filter that refuses io_uring, as most container hosts do:
#
#     scripts/without-io-uring.sh target/release/sabha demo
#
# What needs io_uring has to say so and go on without it.
set -eu
if [ $# -eq 0 ]; then
    echo "usage: $0 COMMAND [ARGUMENTS...]" >&2
    exit 2
fi
exec cargo run --quiet --package sabha-transport --example without_io_uring -- "$@"
