"""Measures gwcluster beside discord.py, hikari, @discordjs/ws, @discordeno/gateway and cloudstorm.

Without arguments: what matters most, once, in five minutes. docs/performance.md says what each figure means.
The peers are installed first, into bench/.installed. `scripts/bench requests` is something else: what a flood
of requests costs others. `scripts/bench draw` writes page and picture anew from bench/results/peers.json.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import plan, table
from bench.install import NotInstalledError
from bench.measure import MEASURES, Measure
from bench.picture import picture
from bench.programs import PROGRAMS, Program
from bench.results import Results

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "bench" / "results" / "peers.json"
PAGE: Final = ROOT / "docs" / "performance.md"
PICTURE: Final = ROOT / "docs" / "images" / "performance.svg"
TITLES: Final = {program.name: program.title for program in PROGRAMS.values()}


def run(measures: Mapping[str, Measure], programs: Sequence[Program], plan_: plan.Plan) -> Results:
    """Measure, one program after the other in each run, so that a machine's moods meet all of them.

    Who interrupts it gets what was measured until then.
    """
    results = Results(about=about(programs))
    with contextlib.suppress(KeyboardInterrupt):
        for name, measured in measures.items():
            for number in range(plan_.runs):
                for program in programs:
                    if name in plan_.slow and program.name not in plan_.slow[name]:
                        continue
                    _say(f"{name}, run {number + 1} of {plan_.runs}: {program.title}")
                    _once(results, name, measured, program, plan_)
    return results


def _once(results: Results, name: str, measured: Measure, program: Program, plan_: plan.Plan) -> None:
    """Take in what a run gives. What it didn't come to, it says in the rows that others have."""
    done: set[str] = set()
    try:
        for found in measured(program, plan_):
            done.add(found.row)
            results.cell(name, found.row, program.name).take(found.figures, found.problems, found.cannot)
    except (NotInstalledError, AssertionError, OSError, EOFError, ValueError) as error:
        _say(f"{name}, {program.title}: {error}")
        said = _short(str(error) or type(error).__name__)
        for row in [row for row in results.rows(name) if row not in done] or ["all"]:
            results.cell(name, row, program.name).take({}, [said])


def _short(text: str) -> str:
    """Return the beginning of what went wrong, without colours and lines."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", text).split()
    return " ".join(plain)[:120]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def about(programs: Sequence[Program]) -> dict[str, Any]:
    """Return what has to be known of the machine and the programs."""
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    git = shutil.which("git") or "git"
    commit = subprocess.run(
        [git, "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "processors": os.cpu_count(),
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {program.name: program.version() for program in programs},
    }


def draw(results: Results) -> None:
    """Write page and picture from results."""
    PICTURE.write_text(picture(results, TITLES))
    PAGE.write_text(table.written_into(PAGE.read_text(), page_lines(results)))


def page_lines(results: Results) -> list[str]:
    """Return what stands between the marks of the page."""
    about_ = results.about
    versions = ", ".join(f"{TITLES[name]} {number}" for name, number in about_["versions"].items())
    said = (
        f"Measured on {about_['date']} at {about_['commit']}: {about_['processors']} processors "
        f"({about_['processor']}), Linux {about_['kernel']}, Python {about_['python']}; {versions}."
    )
    return [said, "", *table.everything(results, TITLES)]


def main() -> None:
    args = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing that was started is left behind
    chosen = plan.FULL if args.full else plan.QUICK
    chosen = dataclasses.replace(chosen, runs=args.runs or chosen.runs)
    if args.only or args.programs:
        chosen = dataclasses.replace(chosen, slow={})
    began = time.monotonic()
    programs = args.programs or chosen.programs or PROGRAMS
    results = run(
        {name: MEASURES[name] for name in args.only or MEASURES},
        [PROGRAMS[name] for name in programs],
        chosen,
    )
    print("\n".join(table.everything(results, TITLES)))
    print(f"took {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps(results.to_json(), indent=1, ensure_ascii=False) + "\n")
    if args.write:
        before = Results.from_json(json.loads(RESULTS.read_text())) if RESULTS.exists() else Results()
        merged = before.replaced_by(results)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(merged.to_json(), indent=1, ensure_ascii=False) + "\n")
        draw(merged)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def names(known: Sequence[str]) -> Any:
        def split(text: str) -> list[str]:
            found = text.split(",")
            if wrong := set(found) - set(known):
                raise argparse.ArgumentTypeError(f"{', '.join(sorted(wrong))}: known are {', '.join(known)}")
            return found

        return split

    measures, programs = list(MEASURES), list(PROGRAMS)
    parser.add_argument("--full", action="store_true", help="everything, three times; about two hours")
    parser.add_argument("--only", type=names(measures), metavar="A,B", help=f"of {', '.join(measures)}")
    parser.add_argument("--programs", type=names(programs), metavar="A,B", help=f"of {', '.join(programs)}")
    parser.add_argument("--runs", type=int, help="how often; the median counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the results into bench/results/peers.json, in the place of older ones of the same rows, "
        "and draw docs/performance.md and its picture anew",
    )
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:] == ["draw"]:
        draw(Results.from_json(json.loads(RESULTS.read_text())))
    else:
        main()
