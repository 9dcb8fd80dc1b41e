#!/usr/bin/env python3
"""Joins two network namespaces by a link that delays, reorders, loses and doubles packets.

Usage: scripts/impaired-network.py NAMESPACE ADDRESS NAMESPACE ADDRESS ["NETWORK"]

Each namespace gets a TUN device with its address and the other's as peer. NETWORK is what
`sabha demo --network` takes, one to five numbers: delay (ms), jitter (ms, standard deviation of a
normal distribution that is cut at 0), loss (%), duplicates (%), mean run of losses (packets).

On standard input it takes, a line each: other numbers, `spike MS` (what comes within that time
leaves at its end, all at once), or `stop` (nothing passes). It prints `up` and the devices once the
link is there, and what passed when it ends, by SIGTERM or Ctrl-C. The devices end with it. Needs
root.
"""

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
# Leaves room for what may carry the link itself.
MTU = 1400
# Packets on their way in one direction; beyond that they are dropped and counted.
PACKETS_MAX = 4096
# Packets read at one go before those that are due have their turn.
READS_MAX = 64


class Conditions:
    """The five numbers."""

    def __init__(self, text):
        try:
            numbers = [float(word) for word in text.split()]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 5 or any(not 0 <= number <= 1e5 for number in numbers):
            raise ValueError(f"{text!r} is no network; write DELAY JITTER LOSS DUPLICATES BURST")
        delay, jitter, loss, duplicates, burst = numbers + [0.0] * (5 - len(numbers))
        if loss > 100 or duplicates > 100:
            raise ValueError(f"{text!r} has more than 100 %")
        self.delay, self.jitter = delay / 1000, jitter / 1000
        self.loss, self.duplicates, self.burst = loss / 100, duplicates / 100, burst

    def draw_delay(self):
        return max(0.0, random.gauss(self.delay, self.jitter)) if self.jitter else self.delay

    def draw_loss(self, was_bad):
        """Gilbert's model: a bad state, in which everything is lost, lasts `burst` packets."""
        if self.loss >= 1 or self.burst <= 1:
            return random.random() < self.loss
        ends = 1 / self.burst
        begins = ends * self.loss / (1 - self.loss)
        return random.random() < (1 - ends if was_bad else begins)


class Direction:
    """Packets that go one way."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.waiting, self.number = [], 0
        self.is_bad, self.stalled_until = False, 0.0
        self.taken = self.lost = self.doubled = self.overflowed = 0

    def take(self, conditions):
        for _ in range(READS_MAX):
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            self.taken += 1
            self.is_bad = conditions.draw_loss(self.is_bad)
            if self.is_bad:
                self.lost += 1
                continue
            self.put(packet, conditions)
            if random.random() < conditions.duplicates:
                self.doubled += 1
                self.put(packet, conditions)

    def put(self, packet, conditions):
        if len(self.waiting) >= PACKETS_MAX:
            self.overflowed += 1
            return
        due = max(time.monotonic() + conditions.draw_delay(), self.stalled_until)
        self.number += 1
        heapq.heappush(self.waiting, (due, self.number, packet))

    def give(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            packet = heapq.heappop(self.waiting)[2]
            try:
                os.write(self.sink, packet)
            except OSError:
                # The device may be full or down, as a real one.
                self.lost += 1

    def summary(self):
        return (
            f"{self.taken} packets, {self.lost} lost, {self.doubled} doubled, "
            f"{self.overflowed} beyond the queue"
        )


def open_device(name, namespace, address, peer):
    """Makes a TUN device inside a namespace; it ends when its descriptor is closed."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    for words in (
        ["link", "set", name, "netns", namespace],
        ["-n", namespace, "address", "add", address, "peer", peer, "dev", name],
        ["-n", namespace, "link", "set", name, "mtu", str(MTU), "up"],
    ):
        subprocess.run(["ip", *words], check=True)
    return device


def obey(line, conditions, directions):
    """Carries out a line of standard input; returns the conditions that hold from then on."""
    words = line.split()
    if words == ["stop"]:
        return Conditions("0 0 100")
    if len(words) == 2 and words[0] == "spike":
        until = time.monotonic() + float(words[1]) / 1000
        for direction in directions:
            direction.stalled_until = until
        return conditions
    return Conditions(line)


def forward(conditions, directions):
    sources = {direction.source: direction for direction in directions}
    orders, pending = [sys.stdin.fileno()], b""
    while True:
        due = [direction.waiting[0][0] for direction in directions if direction.waiting]
        wait = max(0.0, min(due) - time.monotonic()) if due else None
        for ready in select.select([*sources, *orders], [], [], wait)[0]:
            if ready in sources:
                sources[ready].take(conditions)
                continue
            read = os.read(ready, 4096)
            if not read:
                orders.clear()
            *lines, pending = (pending + read).split(b"\n")
            for line in filter(None, (line.decode().strip() for line in lines)):
                try:
                    conditions = obey(line, conditions, directions)
                except ValueError as error:
                    print(f"impaired-network: {error}", file=sys.stderr, flush=True)
        now = time.monotonic()
        for direction in directions:
            direction.give(now)


def main():
    if not 5 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    here, here_address, there, there_address = sys.argv[1:5]
    try:
        conditions = Conditions(sys.argv[5] if len(sys.argv) == 6 else "0")
    except ValueError as error:
        sys.exit(f"impaired-network: {error}")
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(0))
    name = f"bad{os.getpid()}"
    one = open_device(name + "a", here, here_address, there_address)
    other = open_device(name + "b", there, there_address, here_address)
    directions = [Direction(one, other), Direction(other, one)]
    print(f"up {name}a {name}b", flush=True)
    try:
        forward(conditions, directions)
    finally:
        for direction, names in zip(directions, ((here, there), (there, here))):
            print(f"{names[0]} to {names[1]}: {direction.summary()}", flush=True)


main()
