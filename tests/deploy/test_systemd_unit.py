"""The unit file: by systemd's own tools where there are any, and against what the program does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gwcluster.config import load
from gwcluster.supervise.crew import DRAIN_S
from support.config_files import ENVIRON

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = FOLDER / "gwcluster@.service"
EXPOSURE = 1.6
"""Of 10, as `systemd-analyze security` counts; lower is better."""

analyzed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def setting(key: str) -> list[str]:
    """Return the values of a key, in order."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)


def analyze(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on the unit, with a program in it that this machine has."""
    unit = tmp_path / "gwcluster@.service"
    unit.write_text(UNIT.read_text().replace("/opt/gwcluster/bin/gwcluster", sys.executable))
    command = ["systemd-analyze", *arguments, str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@analyzed
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    done = analyze(tmp_path, "verify", "--man=no", "--recursive-errors=no")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@analyzed
def test_it_is_exposed_no_more_than_a_process_with_sockets_has_to_be(tmp_path: Path) -> None:
    done = analyze(tmp_path, "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE * 10:.0f}")
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd can't look at a unit that isn't loaded")
    assert done.returncode == 0, done.stdout


def test_no_start_follows_a_status_that_another_start_would_end_with_again() -> None:
    assert setting("Restart") == ["on-failure"]
    assert setting("RestartPreventExitStatus") == ["2 64 78"]


def test_a_stop_has_the_time_that_it_takes() -> None:
    assert setting("KillMode") == ["mixed"]  # workers hear of it from the coordinator
    (patience,) = setting("TimeoutStopSec")
    assert int(patience) >= 10 + DRAIN_S / 2


def test_ready_and_pulses_are_waited_for() -> None:
    assert setting("Type") == ["notify"]
    assert setting("WatchdogSec") == ["60"]


def test_the_example_beside_it_has_its_token_from_the_credential(tmp_path: Path) -> None:
    (credential,) = setting("LoadCredential")
    name, _, path = credential.partition(":")
    assert path == "/etc/gwcluster/%i.token"
    (tmp_path / name).write_text("a-token\n")
    config = load(FOLDER / "cluster.yaml", environ={**ENVIRON, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.token.get_secret_value() == "a-token"
    (state,) = setting("StateDirectory")
    assert config.state == Path("/var/lib", state.replace("%i", config.name))
    (sockets,) = setting("RuntimeDirectory")
    folder = f"ipc:///run/{sockets.replace('%i', config.name)}"
    assert (config.events.bind, config.requests.bind) == ((f"{folder}/events",), (f"{folder}/requests",))


def test_a_bot_reads_the_example_without_the_credential() -> None:
    config = load(FOLDER / "cluster.yaml", environ=ENVIRON, simulate=True)
    assert config.events.bind == ("ipc:///run/gwcluster/example/events",)
