from __future__ import annotations

import pytest

from gwcluster.web.access import may_operate

HERE = {"Host": "127.0.0.1:5572", "X-Gwcluster": "operate"}


def refusal(headers: dict[str, str], *, token: str | None = None, local: bool = True) -> int | None:
    found = may_operate(headers, token=token, local=local)
    return None if found is None else found.status


@pytest.mark.parametrize("host", ["127.0.0.1:5572", "localhost:5572", "[::1]:5572", "localhost"])
def test_on_this_machine_the_header_is_enough(host: str) -> None:
    assert refusal({**HERE, "Host": host}) is None
    assert refusal({**HERE, "Host": host, "Origin": f"http://{host}"}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"X-Gwcluster": "Operate"},
        {"X-Gwcluster": ""},
        {"Host": "evil.example:5572"},  # its name leads to 127.0.0.1 since a moment
        {"Host": "evil.example:5572", "Origin": "http://evil.example:5572"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8080"},  # another program's page on this machine
        {"Origin": "https://127.0.0.1:5572"},
    ],
)
def test_a_page_of_another_site_may_not_operate_this_cluster(changes: dict[str, str]) -> None:
    assert refusal({**HERE, **changes}) == 403


def test_where_other_machines_can_ask_nobody_may_without_a_token() -> None:
    assert refusal(HERE, local=False) == 403
    assert refusal({**HERE, "Authorization": "Bearer "}, local=False) == 403


@pytest.mark.parametrize("local", [True, False])
def test_with_a_token_it_alone_counts(local: bool) -> None:
    given = {"Host": "bot.example", "Authorization": "Bearer s3cret", "Origin": "https://bot.example"}
    assert refusal(given, token="s3cret", local=local) is None
    assert refusal({"Authorization": "bearer s3cret"}, token="s3cret", local=local) is None
    for wrong in ("Bearer s3cret2", "Bearer S3CRET", "Bearer", "Basic s3cret", "s3cret", "Bearer sécret"):
        assert refusal({**given, "Authorization": wrong}, token="s3cret", local=local) == 401
    assert refusal(HERE, token="s3cret", local=local) == 401
