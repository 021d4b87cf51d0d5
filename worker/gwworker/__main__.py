"""`python -P -m gwworker DESCRIPTOR`: the nursery, started by the coordinator and by nobody else."""

from __future__ import annotations

import sys

from gwcluster.wire.exits import Exit
from gwworker.nursery import main

if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdecimal():
        print("gwworker is started by `gwcluster run`, not by hand", file=sys.stderr)  # noqa: T201
        sys.exit(Exit.USAGE)
    main(int(sys.argv[1]))
