"""Decides nothing: what a test may do to dials: ports, upgrades, HELLO, and the first moments after it."""

from __future__ import annotations

from collections.abc import Mapping

from gwsimulator.effects import Listen, SwapResumeHost
from gwsimulator.faults import Dial, Ending, Faults, Greeting, Host, HttpAnswer, LateEnd
from gwsimulator.orders import Orders


class DialControls(Orders):
    """Faults of a connection until it has its HELLO.

    `host`: `gateway` or `resume`; None: any. `times`: for so many dials; None: until `answer_dials`.
    """

    def host_down(self, host: Host, down: bool = True) -> None:
        """Have a host refuse TCP connections, or listen again; on `gateway` REST goes down with it."""
        self._do(Listen(host, not down))

    def resume_host_down(self, down: bool = True) -> None:
        """Have the first resume host refuse TCP connections, or listen again."""
        self.host_down("resume", down)

    def swap_resume_host(self) -> None:
        """Have READY name another resume host from now on; the ones before it still listen."""
        self._do(SwapResumeHost())

    def reset_dials(self, *, host: Host | None = None, times: int | None = 1) -> None:
        """Reset the TCP connection instead of answering an upgrade; REST still answers."""
        self._dial("reset", host, times)

    def refuse_upgrades(
        self,
        status: int = 503,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        host: Host | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer upgrades with this status, e.g. 429 with `Retry-After`, or 403 with `cf-mitigated`."""
        raw = body.encode() if isinstance(body, str) else body
        self._dial(HttpAnswer(status, raw, dict(headers or {})), host, times)

    def hang_dials(self, *, host: Host | None = None, times: int | None = 1) -> None:
        """Accept TCP and never answer the upgrade."""
        self._dial("hang", host, times)

    def garble_dials(self, *, host: Host | None = None, times: int | None = 1) -> None:
        """Answer upgrades with something that isn't HTTP."""
        self._dial("garbage", host, times)

    def silence_dials(self, *, host: Host | None = None, times: int | None = 1) -> None:
        """Upgrade, and then say nothing at all."""
        self.greet("silent", host=host, times=times)

    def greet(self, *how: Greeting, host: Host | None = None, times: int | None = 1) -> None:
        """Have the next connections met by silence, op 7, a strange HELLO, ... instead of a plain HELLO."""
        self._plan(lambda faults: faults.greetings.add(*how, where=host, times=times))

    def close_on_connect(
        self, how: Ending, *, after_s: float = 0.0, host: Host | None = None, times: int | None = 1
    ) -> None:
        """End the next connections with a close code, `abort` or `eof`, so long after their HELLO."""
        self._plan(lambda faults: faults.hello_ends.add(LateEnd(how, after_s), where=host, times=times))

    def answer_dials(self, *, host: Host | None = None) -> None:
        """Forget what is planned for dials, greetings and connections that have just had their HELLO."""

        def forget(faults: Faults) -> None:
            faults.dials.clear(host)
            faults.greetings.clear(host)
            faults.hello_ends.clear(host)

        self._plan(forget)

    def _dial(self, how: Dial, host: Host | None, times: int | None) -> None:
        self._plan(lambda faults: faults.dials.add(how, where=host, times=times))
