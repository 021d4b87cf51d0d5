"""Takes the pictures in docs/images (does): the real page in Chromium, on a cluster that was made up."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path
from typing import Final

from support.browser import Page, browser, page
from support.shown_cluster import Served, served

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"

PICTURES: Final = {
    "dashboard-4": (4, 1200, 730, False),
    "dashboard-64-dark": (64, 1200, 800, True),
    "dashboard-500": (500, 1200, 800, False),
    "dashboard-phone": (64, 360, 900, True),
}
"""Name → shards, width and height in pixels, dark."""

TROUBLES: Final = (
    (3, "resuming", "Discord asked for a reconnect (op 7)"),
    (10, "backoff", "connection reset; dials again in 1.2 s"),
    (17, "queued", "waiting for a permit to identify"),
    (24, "identifying", "IDENTIFY sent"),
    (31, "failed", "died 6 times within 60 s"),
)


def _past(server: Served, shards: int) -> None:
    """Make up the last hour."""
    now, dice = time.time(), random.Random(3)
    samples = server.web._watch.history._samples  # noqa: SLF001 - an hour is too long to wait
    samples.clear()
    for number in range(360):
        slow = 200 < number < 215
        samples.append(
            {
                "at": now - 3600 + 10 * number,
                "ready": shards,
                "events_per_s": 25 * shards * (1 + 0.25 * math.sin(number / 40) + 0.08 * dice.random()),
                "latency_s": 0.045 + 0.004 * dice.random() + 0.01 * slow,
                "worst_latency_s": 0.07 + 0.02 * dice.random() + 0.1 * slow,
            }
        )


def _trouble(server: Served, shards: int) -> None:
    if shards < 32:
        server.move(2, "resuming", "Discord asked for a reconnect (op 7)")
        time.sleep(0.5)
        server.move(2, "live", "RESUMED")
        return
    for number, state, reason in TROUBLES:
        server.move(number, state, reason)
    server.cluster.shards[1].update(fresh=False, pulse_age_s=8.0)
    server.cluster.shards[2]["degraded"] = "no room on the disk"


def _take(shown: Page, name: str) -> None:
    shards, width, height, dark = PICTURES[name]
    one = min(shards - 1, 12)
    with served(shards) as server:
        time.sleep(0.5)
        _past(server, shards)
        _trouble(server, shards)
        shown.call("Emulation.setScrollbarsHidden", hidden=True)
        shown.look_like(width, height, dark=dark)
        shown.open(server.origin)
        if width > 500:
            shown.click(f".cell[data-shard='{one}']")
        for _ in range(100):
            time.sleep(0.1)
            server.cluster.shards[one]["events_per_s"] = 20 + 10 * random.random()
        shown.js("document.activeElement.blur(); scrollTo(0, 0)")
        (FOLDER / f"{name}.png").write_bytes(shown.picture())


def main() -> None:
    """Take them all."""
    FOLDER.mkdir(exist_ok=True)
    with browser() as socket:
        for name in PICTURES:
            with page(socket) as shown:
                _take(shown, name)


if __name__ == "__main__":
    main()
