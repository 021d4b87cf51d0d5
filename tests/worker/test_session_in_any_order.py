"""Whatever happens in whatever order: what a session machine must never do, and must always come to."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gwcluster.wire.control import Conditions
from gwworker import effects as do
from gwworker.events import (
    DialFailed,
    Doubted,
    Draining,
    Event,
    Faulty,
    Lost,
    Opened,
    Permitted,
    Resumed,
    Slept,
    Tick,
    Unsent,
)
from gwworker.phases import Phase
from gwworker.redial import Known
from gwworker.scan import Ack, BareResumed, BeatRequest, Hello, InvalidSession, Ready, Reconnect, UnknownOp
from gwworker.session import Session
from support.session_rig import NEW_RESUME_URL, RESUME_URL, START

FINAL = {Phase.STOPPED, Phase.REFUSED}
CODES = st.sampled_from([None, 1000, 1001, 1006, 4000, 4001, 4003, 4005, 4007, 4008, 4009, 4999])
REFUSALS = st.sampled_from([4004, 4010, 4011, 4012, 4013, 4014])
SEQS = st.integers(1, 12)


class AnyOrder(RuleBasedStateMachine):
    """Feeds one session, and keeps a book of one socket and one permit beside it."""

    @initialize(saved=st.booleans(), url=st.sampled_from([None, RESUME_URL]), jitter=st.floats(0.0, 0.999))
    def begin(self, saved: bool, url: str | None, jitter: float) -> None:
        self.now = START
        known = Known("5" * 32, url) if saved else None
        self.session = Session(
            number=7 if saved else 0,
            known=known,
            seq=5 if saved else None,
            jitter=lambda: jitter,
            now=self.now,
        )
        self.socket: str | None = None
        self.dials = 0
        self.opened_with: do.Effect | None = None
        self.asked = False
        self.told_lost: set[int] = set()
        self.delivered_seq = 5 if saved else None

    # What happens

    @rule(interval_s=st.sampled_from([0.1, 41.25, 3600.0]), closing=st.integers(0, 3))
    def hello(self, interval_s: float, closing: int) -> None:
        asked = self.feed(Hello(interval_s))
        if closing == 0 and any(isinstance(effect, do.SendResume) for effect in asked):
            assert do.ReturnPermit() not in self.feed(Unsent())

    @rule()
    def opened(self) -> None:
        self.feed(Opened())

    @rule(retry_after_s=st.sampled_from([0.0, 30.0]))
    def dial_failed(self, retry_after_s: float) -> None:
        self.feed(DialFailed("connection refused", retry_after_s))

    @rule(code=CODES)
    def lost(self, code: int | None) -> None:
        self.feed(Lost(code))

    @rule(left_s=st.sampled_from([-1.0, 5.0]), closing=st.integers(0, 3))
    def permitted(self, left_s: float, closing: int) -> None:
        usable = self.asked and self.session.phase is Phase.QUEUED and left_s > 0
        asked = self.feed(Permitted(self.now + left_s), permit=True)
        assert asked.count(do.SendIdentify()) == int(usable)
        assert asked.count(do.ReturnPermit()) == int(not usable), "no permit is ever kept"
        if usable and closing == 0:
            assert do.ReturnPermit() in self.feed(Unsent()), "nor one whose IDENTIFY was not written"

    @rule(seq=SEQS)
    def ready(self, seq: int) -> None:
        new = self.session.phase is Phase.IDENTIFYING
        self.feed(Ready(seq, "a" * 32, NEW_RESUME_URL))
        if new:
            self.delivered_seq = seq

    @rule(seq=SEQS)
    def resumed(self, seq: int) -> None:
        if do.Deliver() in self.feed(Resumed(seq)):
            self.delivers(seq)

    @rule(seq=SEQS)
    def dispatch(self, seq: int) -> None:
        self.session.heartbeat.heard(self.now)
        if self.session.standing.accept(seq, self.now):
            self.delivers(seq)

    @rule(
        event=st.sampled_from(
            [Ack(), BeatRequest(), Reconnect(), Faulty("not JSON"), UnknownOp(99), BareResumed()]
        )
    )
    def message(self, event: Event) -> None:
        self.session.heartbeat.heard(self.now)
        self.feed(event)

    @rule(resumable=st.booleans())
    def invalid_session(self, resumable: bool) -> None:
        self.feed(InvalidSession(resumable))

    @rule(bad=st.booleans(), storm_s=st.sampled_from([-1.0, 5.0]), ready_s=st.sampled_from([-9e9, 0.0]))
    def told(self, bad: bool, storm_s: float, ready_s: float) -> None:
        hosts = {RESUME_URL: self.now + 600.0} if bad else {}
        assert self.feed(Conditions(hosts, self.now + storm_s, self.now + ready_s)) == []

    @rule(surprise=st.sampled_from([Slept(6.0), Slept(1200.0), Doubted("the time of day jumped")]))
    def surprised(self, surprise: Event) -> None:
        self.feed(surprise)

    @rule(code=REFUSALS, really=st.integers(0, 9))
    def refused(self, code: int, really: int) -> None:
        if really == 0:  # seldom, as nothing follows it
            self.feed(Lost(code))

    @rule(really=st.integers(0, 9))
    def draining(self, really: int) -> None:
        if really == 0:
            self.feed(Draining("asked to stop"))

    @rule()
    def until_due(self) -> None:
        if self.session.due is not None:
            self.now = max(self.now, self.session.due)
            self.ticks()

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 45.0, 1200.0]))
    def stall(self, seconds: float) -> None:
        """This process slept; all timers pass at once."""
        self.now += seconds
        self.ticks()

    @rule()
    def tick_early(self) -> None:
        due = self.session.due
        if due is not None and due > self.now:
            assert self.feed(Tick()) == []

    # What follows

    def ticks(self) -> None:
        """A tick at or after `due` moves it; no timer is stuck in the past."""
        for _ in range(6):
            if self.session.due is None or self.session.due > self.now:
                return
            self.feed(Tick())
        raise AssertionError(f"still due in phase {self.session.phase.name}")

    def delivers(self, seq: int) -> None:
        assert self.delivered_seq is None or seq > self.delivered_seq
        self.delivered_seq = seq

    def feed(self, event: Event, *, permit: bool = False) -> list[do.Effect]:
        final = self.session.phase in FINAL
        if isinstance(event, Opened) and self.socket == "dialing":
            self.socket = "open"
        elif (isinstance(event, DialFailed) and self.socket == "dialing") or (
            isinstance(event, Lost) and self.socket in {"open", "closing"}
        ):
            self.socket = None
        effects = self.session.step(event, self.now)
        assert not final or set(effects) <= {do.ReturnPermit()}
        for effect in effects:
            self.book(effect, permit=permit)
        final = self.session.phase in FINAL
        assert (self.session.due is None) == final, "a phase that waits for others only, for ever"
        return effects

    def book(self, effect: do.Effect, *, permit: bool) -> None:
        match effect:
            case do.Dial():
                assert self.socket is None, "two connections at once"
                assert self.session.phase is Phase.DIALING
                self.socket, self.opened_with = "dialing", None
                self.dials += 1
            case do.Abort():
                assert self.socket is not None
                self.socket = None
            case do.Hangup():
                assert effect.code not in {1000, 1001}
                assert self.socket == "open"
                self.socket = "closing"
            case do.SendBeat():
                assert self.socket == "open"
            case do.SendIdentify() | do.SendResume():
                assert self.socket == "open"
                assert self.opened_with is None, "one IDENTIFY or RESUME for each connection"
                self.opened_with = effect
                if isinstance(effect, do.SendIdentify):
                    assert permit, "IDENTIFY without a permit"
                    self.asked = False
            case do.AskPermit():
                assert not self.asked or permit, "asked once"
                self.asked = True
            case do.WithdrawPermit():
                assert self.asked
                self.asked = False
            case do.TellLost():
                assert effect.session not in self.told_lost
                self.told_lost.add(effect.session)
            case _:
                pass

    def teardown(self) -> None:
        """Left alone from now on, a shard dials again, whatever happened before, unless it is final."""
        if not hasattr(self, "session"):
            return
        dials = self.dials
        for _ in range(60):
            if self.session.phase in FINAL:
                assert self.session.due is None
                return
            assert self.session.due is not None
            if self.dials > dials:
                return
            self.until_due()
        raise AssertionError(f"stuck in phase {self.session.phase.name}")


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
