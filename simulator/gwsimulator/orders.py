"""Decides nothing: how a control becomes an order that the rules carry out."""

from __future__ import annotations

import abc
from collections.abc import Callable

from gwsimulator.effects import Effect
from gwsimulator.faults import Faults
from gwsimulator.links import Link, Links
from gwsimulator.rules import Gateway

Order = Callable[[Gateway, float], list[Effect]]
"""Decides at a moment; what it returns is performed."""

Shard = int | None
"""A shard's id; None: all of them, and connections that have none yet."""


class Orders(abc.ABC):
    """What the controls are made of."""

    @abc.abstractmethod
    def order(self, order: Order) -> None:
        """Carry out an order before returning."""

    def _do(self, *effects: Effect) -> None:
        self.order(lambda _, __: list(effects))

    def _plan(self, change: Callable[[Faults], object]) -> None:
        def order(gateway: Gateway, _: float) -> list[Effect]:
            change(gateway.faults)
            return []

        self.order(order)

    def _each(self, shard: Shard, act: Callable[[Links, Link, float], list[Effect]]) -> None:
        """Do something to the shard's connections: those that have asked for it, whatever the answer."""

        def order(gateway: Gateway, now: float) -> list[Effect]:
            links = [link for link in gateway.links.all() if shard is None or link.shard == shard]
            return [effect for link in links for effect in act(gateway.links, link, now)]

        self.order(order)
