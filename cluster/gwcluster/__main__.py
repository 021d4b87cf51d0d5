"""`python -m gwcluster`: the same as the `gwcluster` command."""

from __future__ import annotations

from gwcluster.cli import main

if __name__ == "__main__":
    main()
