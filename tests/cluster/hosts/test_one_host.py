"""Whoever has one host pays nothing for several."""

from __future__ import annotations

import subprocess
import sys


def test_a_coordinator_of_one_host_loads_neither_nats_nor_what_talks_to_it() -> None:
    script = """
import os, sys
from pathlib import Path
import gwcluster.cli.run, gwcluster.cli.progress, gwcluster.coordinator, gwcluster.web.server
from gwcluster.config import load
from gwcluster.means import real_means
config = load(Path("cluster.yaml"), environ={**os.environ, "DISCORD_TOKEN": "a" * 24 + ".bbbbbb." + "c" * 27})
assert real_means(config, {}, lambda listener: None).hosting is None
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "nats" or "gwcluster.hosts." in name))
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gwcluster.hosts.words"], "words need nothing else"
