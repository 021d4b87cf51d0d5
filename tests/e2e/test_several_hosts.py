"""Three hosts and three NATS servers: one is killed, one cut off, leaders killed, all started, each upgraded.

Each prints what it measured; bounds are far above that, for a machine that has other things to do.
"""

from __future__ import annotations

import functools
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from chaos.hosts import Layout
from chaos.service import send
from support.cluster import until
from support.host_rig import HostRig, host_rig
from support.stream_audit import audited

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

LEASE_S: Final = 6.0
LONG_S: Final = 60.0
CUT_S: Final = 60.0
"""Ten leases."""


def test_a_host_of_three_is_killed_and_the_others_resume_its_shards(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=3, shards=24, lease_s=15.0), rate=200.0) as rig:
        rig.wait_spread()
        lost = rig.of("h2")
        assert len(lost) == 8
        began = time.monotonic()
        rig.hosts.kill_host("h2")
        took_s = rig.wait_live_again(lost, began, LONG_S)
        rig.say(
            f"{len(lost)} shards of a killed host were live again after {took_s:.1f} s at most, lease 15 s"
        )
        assert took_s < 30.0
        rig.verdict()


@pytest.mark.soak
def test_a_host_that_is_cut_off_nats_stops_before_its_leases_end_and_comes_back_as_a_spare(
    tmp_path: Path,
) -> None:
    with host_rig(tmp_path, Layout(hosts=3, shards=12, lease_s=LEASE_S), rate=120.0) as rig:
        rig.wait_spread()
        lost = rig.of("h1")
        assert len(lost) == 4
        began = time.monotonic()
        mend = rig.hosts.cut_host_from_nats("h1")
        until(lambda: not rig.of("h1"), "the end of its connections, with Discord in reach", LONG_S)
        origin = rig.hosts.relays.origin("h1")
        dropped_s = max(one.ended for one in rig.tenures() if one.origin == origin) - began
        took_s = rig.wait_live_again(lost, began, LONG_S)
        rig.say(f"dropped after {dropped_s:.2f} s, live elsewhere after {took_s:.2f} s, lease {LEASE_S:g} s")
        assert dropped_s < LEASE_S
        time.sleep(max(0.0, began + CUT_S - time.monotonic()))
        assert not rig.of("h1")
        mend()
        rig.wait_spread()  # it comes back with nothing, and the others hand it its share
        assert not audited(rig.hosts.nats.urls, "rig", rig.shards)
        rig.verdict(was_cut=True)


@pytest.mark.soak
def test_a_host_whose_way_to_nats_is_refused_stops_as_well(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=3, shards=6, lease_s=LEASE_S), rate=60.0) as rig:
        rig.wait_spread()
        lost = rig.of("h3")
        began = time.monotonic()
        mend = rig.hosts.cut_host_from_nats("h3", how="reset")
        took_s = rig.wait_live_again(lost, began, LONG_S)
        rig.say(f"live elsewhere after {took_s:.2f} s, lease {LEASE_S:g} s")
        mend()
        rig.wait_spread()
        rig.verdict(was_cut=True)


@pytest.mark.soak
def test_a_host_that_hangs_wakes_up_fenced(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=3, shards=6, lease_s=LEASE_S), rate=60.0) as rig:
        rig.wait_spread()
        lost = rig.of("h1")
        began = time.monotonic()
        go_on = rig.hosts.stop_host("h1")
        rig.say(f"live elsewhere after {rig.wait_live_again(lost, began, LONG_S):.2f} s")
        go_on()
        rig.wait_spread()
        assert not audited(rig.hosts.nats.urls, "rig", rig.shards)
        rig.verdict(was_cut=True)


@pytest.mark.soak
def test_leaders_are_killed_under_load_and_nothing_is_lost(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=3, shards=12, lease_s=15.0), rate=200.0) as rig:
        nats = rig.hosts.nats
        for _ in range(12):
            began = time.monotonic()
            _succeed(rig)
            rig.all_hear(LONG_S)
            rig.say(f"a leader was killed, and all heard everything {time.monotonic() - began:.1f} s later")
        assert not audited(nats.urls, "rig", rig.shards)
        rig.verdict()
        deaths = [line for name in rig.hosts.layout.names for line in rig.deaths(name)]
        assert not deaths, deaths


def _succeed(rig: HostRig) -> None:
    """Kill the leader of most streams, see another one lead, and have the killed one back, whole."""
    nats = rig.hosts.nats
    leader = until(lambda: nats.victim("leader", 0), "a leader of most streams", LONG_S)
    assert leader is not None
    back = rig.hosts.kill_server(leader)
    until(lambda: nats.victim("leader", 0) not in {None, leader}, "its successor", LONG_S)
    time.sleep(0.5)  # writes go on without it
    back()
    until(lambda: nats.services[leader].pid, "its start")
    nats.wait_until_ready(LONG_S)


def test_three_hosts_that_start_at_once_identify_one_after_the_other(tmp_path: Path) -> None:
    layout = Layout(hosts=3, shards=12, lease_s=15.0)
    with host_rig(tmp_path, layout, rate=12.0, max_concurrency=2) as rig:
        identifies = rig.sim.ledger.identifies
        rig.say(f"12 shards on 2 keys took {identifies[-1].at - identifies[0].at:.1f} s")
        rig.verdict()  # I1: no two of a key closer than 5 s
        for name in layout.names:
            until(
                functools.partial(_knows_of, rig, name, 12),
                f"{name} to know of all 12 identifies: {rig.status(name)['identifies']}",
                LONG_S,
            )


def _knows_of(rig: HostRig, name: str, spent: int) -> bool:
    told = rig.status(name)["identifies"]
    return told is not None and told["remaining"] == rig.settings.daily_limit - spent


def test_each_host_is_drained_and_replaced_without_an_identify(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=3, shards=12, lease_s=LEASE_S), rate=120.0) as rig:
        rig.wait_spread()
        for name in rig.hosts.layout.names:
            _replace(rig, name)
        rig.verdict()


def _replace(rig: HostRig, name: str) -> None:
    began = time.monotonic()
    rig.say(rig.asked(name, "drain").splitlines()[-1])
    assert not rig.of(name)
    service = rig.hosts.services[name]
    pid = service.pid
    assert pid is not None
    service.hold()
    send(pid, signal.SIGTERM)
    until(lambda: service.pid is None, f"the end of {name}", LONG_S)
    service.release()
    rig.wait_spread()
    rig.say(f"{name} was replaced within {time.monotonic() - began:.1f} s")
