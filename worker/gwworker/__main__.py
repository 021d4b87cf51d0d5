"""`python -P -m gwworker DESCRIPTOR [jetstream]`: the nursery, started by the coordinator alone."""

from __future__ import annotations

import sys

from gwcluster.wire.exits import Exit
from gwworker.nursery import main

if __name__ == "__main__":
    match sys.argv[1:]:
        case [descriptor] if descriptor.isdecimal():
            main(int(descriptor))
        case [descriptor, "jetstream"] if descriptor.isdecimal():
            main(int(descriptor), jetstream=True)
        case _:
            print("gwworker is started by `gwcluster run`, not by hand", file=sys.stderr)  # noqa: T201
            sys.exit(Exit.USAGE)
