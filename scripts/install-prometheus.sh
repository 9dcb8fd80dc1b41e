#!/bin/sh
# Makes sure that prometheus and promtool are there: a test lets them read a node's metrics.
#
# Installs Debian's package where that needs no question asked: on Debian and its kin, as root or
# with a sudo that wants no password. Only the programs are wanted: the system service that comes
# with them is not started, and disabled. Elsewhere it stops and says what to run.
set -eu

command -v prometheus >/dev/null && command -v promtool >/dev/null && exit 0

stop() {
    echo "prometheus is missing, which a test reads a node's metrics with. $1" >&2
    exit 1
}

command -v apt-get >/dev/null ||
    stop "Install it with this system's package manager, or put prometheus and promtool into PATH."

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    stop "Run: sudo $0"
fi

# Another apt may be at work on a machine that just started.
apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"
}

install_prometheus() {
    apt_get install -y --no-install-recommends prometheus >/dev/null
}

# Packages ask this file before they start a service; 101 says no. A file of the system's stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

echo "prometheus is missing; installing it without its service" >&2
# A fresh container has no package lists: then fetch them first.
install_prometheus 2>/dev/null || { apt_get update && install_prometheus; } ||
    stop "apt-get failed, see above; then run: ${as_root:+sudo }apt-get install -y prometheus"

# Without systemd there is nothing that would start it.
if command -v systemctl >/dev/null; then
    $as_root systemctl --quiet disable prometheus 2>/dev/null || true
fi
