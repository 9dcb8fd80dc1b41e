#!/bin/sh
# Runs a command within a CPU quota, by a cgroup of version 1 or 2.
#
# Usage: scripts/quota.sh PERCENT [--period MS] COMMAND [ARGUMENT...]
#   PERCENT   of one core: 50 is half a core, 150 one and a half
#   --period  in which the quota counts; default 100, as containers have it
#
# The command takes this script's place and keeps its process ID, so whoever started it can watch,
# signal and measure it as if it ran alone. Its cgroup is removed soon after it has ended. Needs
# root. Media threads do not run in real time in there: the kernel refuses it to a new cgroup of
# version 1; with version 2 set node.real_time = false, as real time is not subject to the quota.
set -eu

stop() {
    echo "quota: $1" >&2
    exit 2
}

percent=${1:-}
case $percent in
'' | *[!0-9]* | 0*) stop "usage: quota.sh PERCENT [--period MS] COMMAND [ARGUMENT...]" ;;
esac
shift
period_us=100000
if [ "${1:-}" = --period ]; then
    case ${2:-} in
    '' | *[!0-9]* | 0*) stop "--period wants a number of milliseconds" ;;
    esac
    period_us=$((1000 * $2))
    shift 2
fi
[ $# -gt 0 ] || stop "there is no command to run"
[ "$(id -u)" = 0 ] || stop "only root may make a cgroup; run it with sudo"
quota_us=$((percent * period_us / 100))
[ "$quota_us" -ge 1000 ] || stop "$percent % of $period_us us is less than the kernel's 1 ms"

name=sabha-quota-$$
if [ -d /sys/fs/cgroup/cpu ]; then
    group=/sys/fs/cgroup/cpu/$name
    mkdir "$group" || stop "cannot make $group"
    echo "$period_us" >"$group/cpu.cfs_period_us"
    echo "$quota_us" >"$group/cpu.cfs_quota_us"
elif [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    grep -qw cpu /sys/fs/cgroup/cgroup.controllers || stop "the cpu controller is not available"
    echo +cpu >/sys/fs/cgroup/cgroup.subtree_control || stop "cannot turn the cpu controller on"
    group=/sys/fs/cgroup/$name
    mkdir "$group" || stop "cannot make $group"
    echo "$quota_us $period_us" >"$group/cpu.max"
else
    stop "no cgroup for CPU is mounted at /sys/fs/cgroup"
fi

# Removes the group once the command, which will have this process' ID, is gone. In a session of
# its own and with no file open, so that nobody waits for it.
setsid sh -c '
    while kill -0 "$1" 2>/dev/null; do sleep 1; done
    for _ in 1 2 3 4 5; do rmdir "$2" 2>/dev/null && exit; sleep 1; done
' quota-cleaner $$ "$group" </dev/null >/dev/null 2>&1 &

echo $$ >"$group/cgroup.procs"
exec "$@"
