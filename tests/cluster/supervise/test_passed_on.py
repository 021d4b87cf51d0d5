from __future__ import annotations

from gwcluster.supervise.passed_on import passed_on


def test_other_processes_do_not_get_the_service_managers_socket() -> None:
    environ = {"PATH": "/bin", "NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2"}
    assert passed_on(environ, []) == {"PATH": "/bin"}


def test_nor_what_holds_a_secret() -> None:
    environ = {"PATH": "/bin", "DISCORD_TOKEN": "a.b.c", "HEADER": "Bot a.b.c", "HOOK": "x/d"}
    assert passed_on(environ, ["a.b.c", "d"]) == {"PATH": "/bin"}
