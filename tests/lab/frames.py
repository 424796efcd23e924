"""Customers' machines that send all the time through every card, and count whose frames reach them.

Besides plain frames they send frames with VLAN tags that are not theirs, as somebody would who tries to get into other
networks. What reaches a machine of another customer is a meeting, and there must be none.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Self

from freehold.lab import Lab
from tests.lab.waiting import until

Counts = dict[str, dict[str, int]]
"""Own card -> sender `device/card` -> frames."""

# Runs on the customers' machines with their own Python. It ends when its standard input is closed.
PROGRAM = r"""
import json, select, socket, struct, sys, time
name, cards, vlans = sys.argv[1], sys.argv[2].split(","), [0] + [int(v) for v in sys.argv[3].split(",")]
MAGIC, ALL, OURS = b"freehold-probe ", 3, 0x88B5
open_, counts, turn, next_, shown = {}, {}, 0, 0.0, 0.0
for card in cards:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    s.bind((card, 0))
    open_[s] = card
while True:
    now = time.monotonic()
    if now >= next_:
        vlan = vlans[turn % len(vlans)]
        turn, next_ = turn + 1, now + 0.05
        for s, card in open_.items():
            mac = s.getsockname()[4]
            tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
            said = MAGIC + ("%s/%s " % (name, card)).encode()
            try:
                s.send(b"\xff" * 6 + mac + tag + struct.pack("!H", OURS) + said.ljust(64))
            except OSError:
                pass  # the card has no cable now
    if now >= shown + 0.25:
        shown = now
        print(json.dumps(counts), flush=True)
    ready, _, _ = select.select([*open_, sys.stdin], [], [], 0.03)
    for s in ready:
        if s is sys.stdin:
            sys.exit()
        try:
            frame, address = s.recvfrom(2048)
        except OSError:
            continue
        at = frame.find(MAGIC)
        if at >= 0 and address[2] != socket.PACKET_OUTGOING:
            sender = frame[at + len(MAGIC):].split(b" ", 1)[0].decode()
            seen = counts.setdefault(open_[s], {})
            seen[sender] = seen.get(sender, 0) + 1
"""


class Frames:
    """Runs from entry to exit on all of these machines; `of` says whose each is."""

    def __init__(self, lab: Lab, of: Mapping[str, str], vlans: Collection[int]) -> None:
        self._lab, self._of, self._vlans = lab, of, ",".join(map(str, vlans))
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._heard_at: dict[str, float] = {}
        self._counts: dict[str, Counts] = {}
        self.met: set[str] = set()
        """Every meeting of two customers there ever was, in words."""

    def __enter__(self) -> Self:
        for device in self._of:
            self.start(device)
        return self

    def __exit__(self, *_: object) -> None:
        for device in list(self._running):
            self.stop(device)

    def start(self, device: str) -> None:
        """Also again, after the machine was off."""
        cards = ",".join(nic.name for nic in self._lab.device(device).nics)
        self._running[device] = process = subprocess.Popen(
            [*self._lab.machine(device).entry(), "python3", "-c", PROGRAM, device, cards, self._vlans],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._counts[device] = {}
        threading.Thread(target=self._read, args=(device, process), daemon=True).start()

    def stop(self, device: str) -> None:
        process = self._running.pop(device)
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def _read(self, device: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                counts: Counts = json.loads(line)
                for card, senders in counts.items():
                    for sender in senders:
                        if self._foreign(sender, device):
                            self.met.add(f"{sender} reached {device}/{card}")
                self._counts[device], self._heard_at[device] = counts, time.monotonic()

    def count(self, sender: str, receiver: str) -> int:
        """Frames that this card received from that one, both as `device/card`, since its machine began."""
        device, _, card = receiver.partition("/")
        return self._counts[device].get(card, {}).get(sender, 0)

    def meetings(self) -> int:
        """Frames of other customers that reached any machine, since each began."""
        return sum(
            frames
            for device, counts in self._counts.items()
            for senders in counts.values()
            for sender, frames in senders.items()
            if self._foreign(sender, device)
        )

    def _foreign(self, sender: str, receiver: str) -> bool:
        return self._of[sender.partition("/")[0]] != self._of[receiver]

    def arrive(self, pairs: Collection[tuple[str, str]], seconds: float = 15) -> None:
        """Wait until each receiver has got new frames from its sender: shows that what counts meetings works."""
        before = {pair: self.count(*pair) for pair in pairs}
        until(lambda: all(self.count(*pair) > n for pair, n in before.items()), seconds)

    def listen(self) -> None:
        """Every machine listens still: two more reports of each came in."""
        for _ in range(2):
            until(partial(self._all_heard_since, time.monotonic()), 10)

    def _all_heard_since(self, moment: float) -> bool:
        return all(self._heard_at.get(device, 0) > moment for device in self._running)
