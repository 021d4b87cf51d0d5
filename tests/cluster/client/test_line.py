"""The sockets of a subscription."""

from __future__ import annotations

from typing import Any, cast

import zmq

from gwcluster.client.sockets import Socket, monitored


class Wary:
    """A socket that notes in which order it is asked for what; also the context that makes it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def socket(self, _: int) -> Wary:
        return self

    def setsockopt(self, option: int, value: int) -> None:
        """Take an option."""

    def get_monitor_socket(self, events: int) -> str:
        self.asked.append(f"monitor {events}")
        return "its monitor"

    def connect(self, address: str) -> None:
        self.asked.append(f"connect {address}")


def test_a_monitor_is_there_before_anything_can_happen_to_its_socket() -> None:
    # What a cluster refuses for good is told once, and may be within a millisecond.
    wary = Wary()
    made: tuple[Any, Any] = monitored(cast(zmq.Context[Socket], wary), zmq.DEALER, "ipc:///r", None, 7)
    assert made == (wary, "its monitor")
    assert wary.asked == ["monitor 7", "connect ipc:///r"]
