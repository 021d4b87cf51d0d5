"""What is behind a clerk, real but for the worker's process (does): who calls back does so when told to."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.cases import MIB
from gwcluster.log import Reader, Writer
from gwcluster.requests.replay import replay
from gwcluster.supervise.commands import Commands
from gwcluster.wire import control
from gwcluster.wire.requests import Replay, Restart, Send
from gwworker.command_rules import CommandRefusedError, check


class Office:
    """Shards 0 to 3, of which 3 has no worker, and only 0 has a log.

    Attributes:
        is_ready: whether it knows its shards.
        later: answers to be given.
    """

    def __init__(self, dice: random.Random, folder: Path) -> None:
        self.is_ready = True
        self.later: list[Callable[[], None]] = []
        self._dice = dice
        self._folder = folder
        self._reader: Reader | None = None
        self._commands = Commands(
            shards=4,
            ids=range(4),
            tell=self._worker,
            has_worker=lambda shard: shard != 3,
            later=lambda _seconds, _overdue: _Timer(),
        )

    def calls_back(self) -> bool:
        """Let one of those who were asked answer; say whether there was one."""
        if not self.later:
            return False
        self.later.pop(self._dice.randrange(len(self.later)))()
        return True

    def has_shard(self, shard: int) -> bool | None:
        """Say whether the cluster has it."""
        return shard < 4 if self.is_ready else None

    def restart(self, _ask: Restart, done: Callable[[str | None], None]) -> None:
        """Have workers restarted, or not; the answer comes later."""
        why = self._dice.choice((None, "the cluster is stopping"))
        self.later.append(lambda: done(why))

    def drain(self, done: Callable[[str | None], None]) -> None:
        """Have all shards handed to other hosts, or not; the answer comes later."""
        why = self._dice.choice((None, "this cluster runs on one host"))
        self.later.append(lambda: done(why))

    def send(self, ask: Send, done: Callable[[control.CommandDone], None]) -> None:
        """Route a payload; what the worker would do comes at once, the answer later."""
        self._commands.send(
            ask.payload,
            answer=lambda what: self.later.append(lambda: done(what)),
            shard=ask.shard,
            guild_id=ask.guild_id,
            ttl_s=ask.ttl_s,
        )

    def _worker(self, _shard: int, message: control.Message) -> None:
        (command,) = control.Unframer().feed(control.encode(message))
        assert isinstance(command, control.Command)
        code = said = None
        try:
            check(command.op, command.d, intents=2)
        except CommandRefusedError as error:
            code, said = error.code, str(error)
        self._commands.heard(control.CommandDone(command.id, code, said or "", None, 1.0))

    def status(self, told: Callable[[dict[str, Any]], None]) -> None:
        """Tell it later."""
        self.later.append(lambda: told({"name": "fuzz"}))

    def read(self, ask: Replay, done: Callable[[bytes], None]) -> None:
        """Read it later."""
        reader = self._logged() if ask.shard == 0 else Reader(self._folder / f"{ask.shard}")
        self.later.append(lambda: done(replay(reader, ask)))

    def _logged(self) -> Reader:
        if self._reader is None:
            writer = Writer.open(
                self._folder / "0",
                shard=0,
                shards=4,
                retention_bytes=MIB,
                retention_age_s=3600.0,
                new_epoch=lambda: "9f86d081884c7d65",
                wall=lambda: 10_000.0,
            )
            for seq in range(20):
                writer.append("READY" if seq == 0 else "X", b"{}" * 50, session=1, seq=seq, at=10_000.0)
            writer.close()
            self._reader = Reader(self._folder / "0")
        return self._reader


class _Timer:
    def cancel(self) -> None:
        """It never rings."""
