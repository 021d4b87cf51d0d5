from __future__ import annotations

from collections.abc import Callable

import pytest

from gwcluster.config import units
from gwcluster.config.problems import UnfitError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1MiB", 1_048_576),
        ("64MiB", 67_108_864),
        ("1GiB", 1_073_741_824),
        ("500MB", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("2048KiB", 2_097_152),
        ("1048576B", 1_048_576),
        (1_048_576, 1_048_576),
    ],
)
def test_sizes_are_written_with_a_unit_or_in_bytes(written: object, meant: int) -> None:
    assert units.retention_bytes(written) == meant


@pytest.mark.parametrize(
    ("written", "meant_s"),
    [("90s", 90.0), ("30m", 1800.0), ("1h", 3600.0), ("1d", 86_400.0), ("1.5 h", 5400.0)],
)
def test_durations_are_written_with_a_unit(written: str, meant_s: float) -> None:
    assert units.duration(written) == meant_s


@pytest.mark.parametrize(
    ("written", "meant"), [("10%", 0.1), ("2.5 %", 0.025), (0.1, 0.1), (0, 0.0), ("0%", 0.0)]
)
def test_fractions_are_per_cent_or_below_one(written: object, meant: float) -> None:
    assert units.fraction(written) == pytest.approx(meant)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("all", None),
        ("0-3", {0, 1, 2, 3}),
        ("0-1, 8", {0, 1, 8}),
        ("7", {7}),
        (7, {7}),
        ([0, 3, 3], {0, 3}),
    ],
)
def test_shard_ids_are_all_or_spans_or_a_list(written: object, meant: set[int] | None) -> None:
    assert units.shard_ids(written) == meant


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (units.retention_bytes, "1048575B"),
        (units.retention_bytes, "64"),
        (units.retention_bytes, "64M"),
        (units.retention_bytes, "9" * 5000 + "MiB"),
        (units.retention_bytes, True),
        (units.retention_bytes, 2_000_000.5),
        (units.retention_bytes, None),
        (units.duration, "1"),
        (units.duration, "0.5s"),
        (units.duration, "-1s"),
        (units.duration, "1w"),
        (units.duration, True),
        (units.duration, ["1s"]),
        (units.fraction, 1),
        (units.fraction, -0.1),
        (units.fraction, float("nan")),
        (units.fraction, "100%"),
        (units.fraction, "0.1"),
        (units.fraction, True),
        (units.shard_count, 0),
        (units.shard_count, 100_001),
        (units.shard_count, "4"),
        (units.shard_count, True),
        (units.shard_ids, -1),
        (units.shard_ids, [True]),
        (units.shard_ids, "0-"),
        (units.shard_ids, "4-2"),
        (units.shard_ids, "100000"),
        (units.shard_ids, {}),
        (units.cluster_name, ".hidden"),
        (units.cluster_name, ""),
        (units.cluster_name, "a/b"),
        (units.cluster_name, "a" * 65),
        (units.cluster_name, "a\n"),
        (units.event_name, "A" * 65),
        (units.event_name, None),
    ],
)
def test_what_is_not_one_is_refused(read: Callable[[object], object], value: object) -> None:
    with pytest.raises(UnfitError):
        read(value)


@pytest.mark.parametrize(
    "value", ["", "Bot ", "a b", "a\n", "\ta", '"abc"', "'abc'", "abcé", "a\x7f", "x" * 513]
)
def test_what_can_not_be_a_token_is_refused_before_discord_does(value: str) -> None:
    with pytest.raises(UnfitError) as caught:
        units.bot_token(value)
    assert "abc" not in str(caught.value)
