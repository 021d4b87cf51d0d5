"""Where nobody outside Discord knows what it does: one long scene under either reading.

It passes against the simulator at these settings; that says nothing of the real one beyond that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.scene import Scene, stage

GOOD_S = 61.0
"""After a minute a connection counts as good, and the waits between dials begin anew."""

ENDS = frozenset({4006, 4007, 4009})

OTHERWISE: list[tuple[str, Any]] = [
    ("identify_window_from", "accept"),
    ("identify_window_from", "ready"),
    ("bucket_order", True),
    ("identifies_counted", "successes"),
    ("daily_window", "sliding"),
    ("heartbeat_trims", True),
    *[("ending_codes", ENDS | {code}) for code in (1000, 4001, 4002, 4005, 4008)],
    ("ending_codes", frozenset()),
    ("late_beat_code", 1000),
    ("late_beat_code", 4009),
    ("late_beat_code", None),
    ("session_ttl_s", 30.0),
    ("session_ttl_s", 900.0),
    ("max_payload_bytes", 15 * 1024),
    ("members_limit_per", "session"),
    ("takeover_code", 4009),
    ("takeover_code", None),
    ("invalid_session_delay_s", 5.0),
    ("resumed_has_seq", False),
]
"""Each of them against what the simulator does if nothing is said."""

CLOSES = (1000, 4000, 4001, 4002, 4005, 4008, 4009)
NEED_A_NEW_SESSION = {4001, 4009}
"""By our own reading, whatever Discord has kept."""


def presence_of(size: int) -> dict[str, Any]:
    """Return a command of so many bytes as JSON."""
    activity: dict[str, Any] = {"name": "", "type": 0}
    d = {"since": None, "activities": [activity], "status": "online", "afk": False}
    payload = {"op": 3, "d": d}
    activity["name"] = "x" * (size - len(json.dumps(payload, separators=(",", ":"))))
    return payload


class Story:
    """One shard's long day, and how many IDENTIFYs it may cost beside the first."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.sim = scene.sim
        self.ends = scene.sim.settings.ending_codes
        self.lost = 0

    async def play(self) -> None:
        await self.scene.live()
        await self.acks_stay_out()
        await self.sent_away()
        await self.closed()
        await self.taken_over()
        await self.late()
        await self.outage()
        await self.invalidated()
        await self.commands()

    async def step(self, *, lost: bool) -> None:
        """Let the shard come back; say whether its session may have been lost."""
        self.sim.emit_random(0, 20)
        self.lost += lost
        await self.scene.run_for(1.0)
        await self.scene.live(within_s=150.0)  # two waits of a minute at most
        await self.scene.run_for(GOOD_S)
        assert len(self.sim.ledger.identifies) == self.first + self.lost, self.scene.story()
        assert len(self.scene.notices("GWCLUSTER_SESSION_LOST")) == self.lost

    @property
    def first(self) -> int:
        return self.sim.settings.shards

    async def acks_stay_out(self) -> None:
        """A stream that goes on without ACKs is alive until a second one is missing."""
        self.sim.drop_acks(0)
        for _ in range(8):
            self.sim.emit_random(0, 5)
            await self.scene.run_for(5.0)
        self.sim.drop_acks(0, False)
        await self.step(lost=False)
        assert self.sim.ledger.closes == []

    async def sent_away(self) -> None:
        self.sim.op7(0)
        await self.step(lost=False)
        self.sim.abort(0)
        await self.step(lost=False)

    async def closed(self) -> None:
        for code in CLOSES:
            self.sim.close(0, code)
            await self.step(lost=code in self.ends or code in NEED_A_NEW_SESSION)

    async def taken_over(self) -> None:
        """The server doesn't notice the end of a worker, and its successor resumes."""
        self.sim.stall(0)
        self.scene.worker(0).kill()
        await self.step(lost=False)
        assert self.sim.ledger.resumes[-1].took_over is not None

    async def late(self) -> None:
        """A server that has told a longer interval than it keeps to finds each beat late."""
        code = self.sim.settings.late_beat_code
        self.sim.send_hello(0, 600_000)
        await self.scene.until(lambda: not self.scene.is_live(0))
        assert self.sim.ledger.closes[-1].code == code
        await self.step(lost=code in self.ends or code in NEED_A_NEW_SESSION)

    async def outage(self) -> None:
        """For a minute nobody can connect."""
        self.sim.refuse_upgrades(times=None)
        self.sim.abort(0)
        await self.scene.run_for(60.0)
        self.sim.answer_dials()
        await self.step(lost=self.sim.settings.session_ttl_s < 60.0)

    async def invalidated(self) -> None:
        self.sim.op9(0, resumable=True)
        await self.step(lost=False)
        self.sim.op9(0)
        await self.step(lost=True)
        self.sim.forget_session(0)
        self.sim.abort(0)
        await self.step(lost=True)

    async def commands(self) -> None:
        ledger, limited = self.sim.ledger, self.sim.settings.members_limit_per == "bot"
        assert (await self.scene.send(presence_of(4097), shard=0)).code == "too_large"
        assert (await self.scene.send(presence_of(4096), shard=0)).code is None
        guild = json.loads(self.scene.events("GUILD_CREATE", shard=0)[-1].payload)["d"]["id"]
        everybody = {"op": 8, "d": {"guild_id": guild, "query": "", "limit": 0}}
        assert (await self.scene.send(everybody, shard=0)).code is None
        self.sim.forget_session(0)
        self.scene.worker(0).kill()  # its successor knows nothing of what it asked
        self.lost += 1
        await self.scene.until(lambda: len(ledger.identifies) == self.first + self.lost, within_s=20.0)
        await self.scene.live(0)
        again = await self.scene.send(everybody, shard=0)
        assert again.code == ("rate_limited" if limited else None)
        await self.step(lost=False)
        assert [frame.size for frame in ledger.frames if frame.size > 1000] == [4096]


async def quiet(scene: Scene, seconds: float) -> None:
    """Nothing happens, and nothing follows from that."""
    before = len(scene.sim.ledger.identifies)
    await scene.run_for(seconds)
    assert scene.is_live(0)
    assert len(scene.sim.ledger.identifies) == before


def played(folder: Path, quiet_s: float, **settings: Any) -> None:
    async def play(scene: Scene) -> None:
        await Story(scene).play()
        await quiet(scene, quiet_s)

    # That the client's beats come late in one part of the story is the gateway's own doing, as is that
    # RESUMEs go to the other host after all dials of both failed.
    stage(
        folder,
        play,
        violated={"late_heartbeat", "wrong_resume_host"},
        excused={"I7"},
        wrong_host_close_after_s=None,
        **settings,
    )


def test_as_the_simulator_is_by_itself_it_is_live_at_the_end_with_nothing_lost_that_discord_keeps(
    tmp_path: Path,
) -> None:
    usual = {
        "identify_window_from": "attempt",
        "bucket_order": False,
        "identifies_counted": "all",
        "daily_window": "fixed",
        "heartbeat_trims": False,
        "late_beat_code": 4000,
        "session_ttl_s": 180.0,
        "max_payload_bytes": 4096,
        "members_limit_per": "bot",
        "takeover_code": 4000,
        "invalid_session_delay_s": 0.0,
        "resumed_has_seq": True,
    }
    played(tmp_path, 3600.0, **usual)


@pytest.mark.parametrize(("knob", "setting"), OTHERWISE)
def test_so_it_is_with_one_thing_the_other_way(tmp_path: Path, knob: str, setting: Any) -> None:
    shards = {"shards": 3, "max_concurrency": 2} if knob in {"bucket_order", "identify_window_from"} else {}
    played(tmp_path, 120.0, **{knob: setting, **shards})


def test_so_it_is_with_everything_the_other_way(tmp_path: Path) -> None:
    all_but_one_of_each = dict(OTHERWISE)
    assert len(all_but_one_of_each) == 13
    played(tmp_path, 3600.0, **all_but_one_of_each, shards=3, max_concurrency=2)
