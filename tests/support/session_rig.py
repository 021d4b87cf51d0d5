"""One session machine with a fake clock and no sockets: what happens to it, and all that it asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gwworker.effects import Abort, Dial, Effect, Hangup, Report, Say, SendBeat, TellSentAway
from gwworker.events import DialFailed, Event, Lost, Opened, Permitted, Resumed, Tick
from gwworker.phases import Phase
from gwworker.redial import Known
from gwworker.scan import Ack, Hello, Ready
from gwworker.session import Session

START = 10_000.0
RESUME_URL = "wss://gateway-us-east1-c.discord.gg"
NEW_RESUME_URL = "wss://gateway-us-east1-d.discord.gg"
SAVED = Known("5" * 32, RESUME_URL)
PERMIT = Permitted(until=float("inf"))


@dataclass
class Rig:
    """A shard at 10,000.0 s. With `known`, its log has 100 as the last seq of session 7.

    Attributes:
        log: each effect but `Say`, `Report` and `TellSentAway`, with its moment.
        said: those, in words for people and for the coordinator.
    """

    known: Known | None = None
    jitter: float = 0.5
    number: int | None = None
    now: float = START
    log: list[tuple[float, Effect]] = field(default_factory=list)
    said: list[Say | Report | TellSentAway] = field(default_factory=list)

    def __post_init__(self) -> None:
        saved = self.known is not None
        self.session = Session(
            number=(7 if saved else 0) if self.number is None else self.number,
            known=self.known,
            seq=100 if saved else None,
            jitter=lambda: self.jitter,
            now=self.now,
        )

    @property
    def phase(self) -> Phase:
        return self.session.phase

    def do(self, *events: Event) -> list[Effect]:
        """Apply events at this moment; return what the session asked for, words left out."""
        asked: list[Effect] = []
        for event in events:
            asked += self._note(self.session.step(event, self.now))
        return asked

    def dispatch(self, *seqs: int) -> list[int]:
        """Let dispatches come; return the seqs that are to be delivered."""
        self.session.heartbeat.heard(self.now)
        return [seq for seq in seqs if self.session.standing.accept(seq, self.now)]

    def run_for(self, seconds: float, *, acks: bool = False, dispatch_every: float | None = None) -> None:
        """Let time pass, timer by timer.

        Args:
            acks: each beat is acknowledged at once.
            dispatch_every: seconds between dispatches, the first after one such pause.
        """
        end = self.now + seconds
        inbound = None if dispatch_every is None else self.now + dispatch_every
        while True:
            moments = [moment for moment in (self.session.due, inbound) if moment is not None]
            if not moments or min(moments) > end:
                break
            self.now = max(self.now, min(moments))
            if inbound is not None and dispatch_every is not None and inbound <= self.now:
                self.session.heartbeat.heard(self.now)
                self.session.standing.accept(100_000 + int(self.now * 10), self.now)
                inbound += dispatch_every
                continue
            if SendBeat() in self.do(Tick()) and acks:
                self.ack()
        self.now = end

    def ack(self) -> None:
        self.session.heartbeat.heard(self.now)
        self.do(Ack())

    def at(self, kind: type[Effect]) -> list[float]:
        """Return the moments, from the start of the rig, at which such an effect was asked for."""
        return [moment - START for moment, effect in self.log if isinstance(effect, kind)]

    def all(self, *kinds: type[Effect]) -> list[Effect]:
        return [effect for _, effect in self.log if isinstance(effect, kinds)]

    def forget_log(self) -> Rig:
        self.log.clear()
        self.said.clear()
        return self

    # Ways into each phase

    def dialing(self) -> Rig:
        """Dial, after whatever wait there is."""
        while self.phase is not Phase.DIALING:
            assert self.session.due is not None
            self.now = max(self.now, self.session.due)
            self.do(Tick())
        return self

    def greeting(self) -> Rig:
        self.dialing().do(Opened())
        return self

    def queued(self, heartbeat_s: float = 41.25) -> Rig:
        self.greeting().do(Hello(heartbeat_s))
        assert self.phase is Phase.QUEUED
        return self

    def identifying(self, heartbeat_s: float = 41.25) -> Rig:
        self.queued(heartbeat_s).do(PERMIT)
        return self

    def resuming(self, heartbeat_s: float = 41.25) -> Rig:
        self.greeting().do(Hello(heartbeat_s))
        assert self.phase is Phase.RESUMING
        return self

    def live(self, heartbeat_s: float = 41.25) -> Rig:
        """Become live, by RESUME if the rig has a session (RESUMED has seq 101), else by IDENTIFY."""
        self.greeting().do(Hello(heartbeat_s))
        if self.phase is Phase.RESUMING:
            self.do(Resumed((self.seq or 0) + 1))
        else:
            self.do(PERMIT, ready())
        assert self.phase is Phase.LIVE
        return self

    @property
    def seq(self) -> int | None:
        return self.session.standing.received_seq

    def lose(self, code: int | None = None) -> list[Effect]:
        return self.do(Lost(code))

    def redial(self) -> Dial:
        """Let the wait pass; return the next dial."""
        self.dialing()
        last = self.log[-1][1]
        assert isinstance(last, Dial)
        return last

    def fail_dial(self, retry_after_s: float = 0.0) -> list[Effect]:
        return self.dialing().do(DialFailed("connection refused", retry_after_s))

    def _note(self, effects: Iterable[Effect]) -> list[Effect]:
        asked: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Say | Report | TellSentAway):
                self.said.append(effect)
            else:
                asked.append(effect)
                self.log.append((self.now, effect))
        return asked


def ready(seq: int = 1) -> Ready:
    return Ready(seq, "a" * 32, NEW_RESUME_URL)


def closes(effects: Iterable[Effect]) -> list[int | str]:
    """Return how connections were ended: codes, and "abort"."""
    ends: list[int | str] = []
    for effect in effects:
        if isinstance(effect, Hangup):
            ends.append(effect.code)
        elif isinstance(effect, Abort):
            ends.append("abort")
    return ends
