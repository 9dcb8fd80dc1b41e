#!/bin/sh
# Makes sure that cmake is there: libopus is built with it.
#
# Installs it where that needs no question asked: on Debian and its kin, as root or with a sudo
# that wants no password. Elsewhere it stops and says what to run.
set -eu

command -v cmake >/dev/null && exit 0

stop() {
    echo "cmake is missing, which building libopus needs. $1" >&2
    exit 1
}

command -v apt-get >/dev/null || stop "Install it with this system's package manager."

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    stop "Run: sudo apt-get update && sudo apt-get install -y cmake"
fi

# Another apt may be at work on a machine that just started.
apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"
}

install_cmake() {
    apt_get install -y --no-install-recommends cmake >/dev/null
}

echo "cmake is missing; installing it" >&2
# A fresh container has no package lists: then fetch them first.
install_cmake 2>/dev/null || { apt_get update && install_cmake; } ||
    stop "apt-get failed, see above; then run: ${as_root:+sudo }apt-get install -y cmake"
