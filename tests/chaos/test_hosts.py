"""The rig itself, with hosts that know nothing of each other: what holds for one has to hold for each."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

from chaos.hosts import Layout
from support.cluster import is_alive, until
from support.host_rig import host_rig

ROOT: Final = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_host_is_killed_whole_and_another_cut_off_and_nothing_is_lost(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=3, shards=6, apart=True), rate=120.0) as rig:
        hosts = rig.hosts
        assert [rig.of(name) for name in ("h1", "h2", "h3")] == [{0, 3}, {1, 4}, {2, 5}]
        pids = [hosts.services["h1"].pid, *hosts.processes("h1", "nursery"), *hosts.processes("h1", "worker")]
        assert len(pids) == 4
        began = time.monotonic()
        back = hosts.kill_host("h1")
        assert not any(is_alive(pid or 0) for pid in pids)
        until(lambda: not rig.of("h1"), "the end of its connections")
        mend = hosts.cut_host_from_everything("h2")
        heard = rig.seqs()
        time.sleep(1.0)  # events go on for those that are there
        assert rig.of("h2") == {1, 4}, "the gateway heard of the cut"
        assert {shard for shard, seq in rig.seqs().items() if seq > heard[shard]} == set(rig.shards)
        assert hosts.listeners.had(1, 1) <= heard[1] + 1, "events came over a link that is cut"
        mend()
        back()
        rig.say(f"live again after {rig.wait_live_again({0, 3}, began, 60.0):.1f} s")
        rig.verdict(was_cut=True)


def test_a_host_that_stops_is_away_for_that_time(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=2, shards=2, apart=True), rate=20.0) as rig:
        hosts = rig.hosts
        before = time.monotonic()
        go_on = hosts.stop_host("h2")
        pid = hosts.services["h2"].pid
        stat = Path(f"/proc/{pid}/stat")
        until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", "its standing still", 5.0)
        go_on()
        ((since, to),) = hosts.away[hosts.relays.origin("h2")]
        assert before <= since < to <= time.monotonic() + 1.0
        rig.verdict(was_cut=True)


def test_a_made_up_takeover_makes_the_verdict_red(tmp_path: Path) -> None:
    with host_rig(tmp_path, Layout(hosts=2, shards=2, apart=True), rate=20.0) as rig:
        hosts = rig.hosts
        ours = hosts.file("h1").read_text()
        both = ours.replace("ids: [0]", "ids: [0, 1]")
        assert both != ours
        hosts.file("h1").write_text(both)
        hosts.kill_host("h1")()
        until(lambda: 1 in rig.of("h1"), "shard 1 on the wrong host", 60.0)
        with pytest.raises(AssertionError, match=r"I13: shard 1 was dialled from 127\.0\.1\.1"):
            rig.verdict(identifies=3)


@pytest.mark.soak
def test_a_short_run_of_chaos_on_hosts_that_are_apart_finds_nothing(tmp_path: Path) -> None:
    options = ["--hosts", "3", "--apart", "--shards", "6", "--lease", "3"]
    options += ["--kills", "8", "--seed", "4", "--rate", "20"]
    run = subprocess.Popen(
        [ROOT / "scripts" / "chaos", *options, "--keep", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        told, _ = run.communicate(timeout=240)
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(30)
    if "no hosts: namespaces" in told:
        pytest.skip(told)
    assert run.returncode == 0, told
    assert "kills 8," in told
    assert "no shard on two hosts at once" in told
    assert not [one.name for one in Path("/run/netns").glob("gwrig*") if f"-{one}" in told]
