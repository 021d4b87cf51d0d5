"""What logs in NATS cost is worked out and written down as it should be."""

from __future__ import annotations

import pytest

from bench.hosts_table import FILES, Row, centiles_ms, cpu_us, for_each, in_order, lines


def test_cpu_is_of_each_event_by_part_and_together() -> None:
    assert cpu_us({"workers": 0.5, "NATS": 1.5}, 1_000) == {
        "workers": 500.0,
        "NATS": 1_500.0,
        "together": 2_000.0,
    }
    with pytest.raises(ValueError, match="no events"):
        cpu_us({"workers": 0.5}, 0)


def test_latencies_are_told_in_milliseconds_and_none_are_no_figures() -> None:
    assert centiles_ms([0.001 * number for number in range(1, 101)]) == {
        "p50": pytest.approx(50.0),
        "p99": pytest.approx(99.0),
    }
    assert centiles_ms([]) == {}


def test_what_each_further_stream_takes_is_the_difference_divided() -> None:
    assert for_each({16: 30.0, 64: 54.0}) == 0.5
    assert for_each({64: 54.0, 16: 30.0}) == 0.5
    with pytest.raises(ValueError, match="with 16 alone"):
        for_each({16: 30.0})


def test_rows_of_a_kind_stand_together_and_parts_in_their_order() -> None:
    found = ["CPU: coordinator", "CPU: together", "CPU: workers", "latency: p50", "latency: p99", "CPU: NATS"]
    assert in_order(found) == [
        "CPU: workers",
        "CPU: coordinator",
        "CPU: NATS",
        "CPU: together",
        "latency: p50",
        "latency: p99",
    ]


def test_a_table_compares_with_files_where_there_is_something_to_compare() -> None:
    rows = [
        Row("CPU", {FILES: 100.0, "3 servers": 250.0}),
        Row("NATS", {"3 servers": 12.34}),
        Row("nothing", {FILES: 0.0, "3 servers": 2.0}),
        Row("alone", {FILES: 1_000.0, "3 servers": 2_000.0}, compared=False),
    ]
    assert [line.split() for line in lines("16 shards", [FILES, "3 servers"], rows)] == [
        ["16", "shards", "files", "3", "servers"],
        ["CPU", "100", "250", "(×2.5)"],
        ["NATS", "–", "12.3"],
        ["nothing", "0.00", "2.00"],
        ["alone", "1,000", "2,000"],
    ]
