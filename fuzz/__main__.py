"""`scripts/fuzz [TARGET ...]` (does): random and damaged input for all that reads what others wrote."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fuzz.cases import play
from fuzz.targets import TARGETS
from fuzz.watch import fuzz


def main() -> int:
    """Fuzz, or replay one finding; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target; default: 10")
    parser.add_argument("--seed", type=int, default=1, help="other seeds are other cases; default: 1")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time; default: 1")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for findings; default: this one")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play the case of a finding again")
    asked = parser.parse_args()
    if unknown := [name for name in asked.targets if name not in TARGETS]:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if asked.replay is not None:
        return _replay(asked.replay)
    targets = [TARGETS[name] for name in asked.targets or TARGETS]
    good = True
    for tally, findings in fuzz(targets, asked.seed, asked.seconds, asked.jobs):
        print(tally, f" {len(findings)} findings" if findings else "", flush=True)
        for finding in findings:
            path = finding.save(asked.out)
            print(f"    {finding.what[:200]} {finding.where}\n    scripts/fuzz --replay {path}", flush=True)
        good = good and not findings
    return 0 if good else 1


def _replay(path: Path) -> int:
    saved = json.loads(path.read_text("utf-8"))
    finding = play(TARGETS[saved["target"]], saved["dice"])
    print("nothing is wrong with it any more" if finding is None else f"{finding.details}\n{finding.what}")
    return 1 if finding else 0


if __name__ == "__main__":
    sys.exit(main())
