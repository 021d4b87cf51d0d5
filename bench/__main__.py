"""Measures gwcluster beside discord.py, hikari, @discordjs/ws, @discordeno/gateway and cloudstorm.

Without arguments: what matters most, once, in five minutes. docs/performance.md says what each figure means.
The peers are installed first, into bench/.installed. `scripts/bench requests` is something else: what a flood
of requests costs others. `scripts/bench draw` writes page and picture anew from bench/results/peers.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import measure, plan, table
from bench.install import NotInstalledError
from bench.picture import picture
from bench.programs import PROGRAMS, Program
from bench.results import Results

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "bench" / "results" / "peers.json"
PAGE: Final = ROOT / "docs" / "performance.md"
PICTURE: Final = ROOT / "docs" / "images" / "performance.svg"
TITLES: Final = {program.name: program.title for program in PROGRAMS.values()}


def run(measures: Sequence[str], programs: Sequence[Program], plan_: plan.Plan, say: bool = True) -> Results:
    """Measure, one program after the other in each run, so that a machine's moods meet all of them."""
    results = Results(about=about(programs))
    for name in measures:
        for number in range(plan_.runs):
            for program in programs:
                if name in plan_.slow and program.name not in plan_.slow[name]:
                    continue
                if say:
                    print(
                        f"{name}, run {number + 1} of {plan_.runs}: {program.title}",
                        file=sys.stderr,
                        flush=True,
                    )
                _once(results, name, program, plan_)
    return results


def _once(results: Results, name: str, program: Program, plan_: plan.Plan) -> None:
    found_any = False
    try:
        for found in measure.MEASURES[name](program, plan_):
            found_any = True
            cell = results.cell(name, found.row, program.name)
            cell.cannot = found.cannot
            cell.problems += found.problems
            if found.figures and not found.problems:
                cell.runs.append(found.figures)
    except (TimeoutError, NotInstalledError, AssertionError, OSError) as error:
        rows = results.rows(name)
        said = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
        print(f"{name}, {program.title}: {said}", file=sys.stderr, flush=True)
        results.cell(name, rows[-1] if found_any and rows else "all", program.name).problems.append(said)


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
    chosen = plan.FULL if args.full else plan.QUICK
    chosen = dataclasses.replace(chosen, runs=args.runs or chosen.runs)
    began = time.monotonic()
    programs = args.programs or chosen.programs or PROGRAMS
    results = run(args.only, [PROGRAMS[name] for name in programs], chosen)
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

    measures, programs = list(measure.MEASURES), list(PROGRAMS)
    parser.add_argument("--full", action="store_true", help="everything, three times; more than an hour")
    parser.add_argument(
        "--only", type=names(measures), default=measures, metavar="A,B", help=f"of {', '.join(measures)}"
    )
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
