from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gwcluster.config import ConfigError, load
from support.config_files import ENVIRON, LEAST, loaded, problems, written
from support.keys import Keys

SHIPPED = Path(__file__).parents[3] / "cluster.yaml"


def test_the_shipped_file_means_what_the_design_says() -> None:
    config = load(SHIPPED, environ={**ENVIRON, "DISCORD_TOKEN": "abc"})
    assert config.name == "example"
    assert config.token.get_secret_value() == "abc"
    assert config.intents == 1 << 0 | 1 << 9
    assert (config.shards.count, config.shards.ids) == (None, None)
    assert config.presence is None
    assert config.gateway.api == "https://discord.com/api/v10"
    assert (config.gateway.compression, config.gateway.large_threshold) == ("zstd-stream", 50)
    assert config.gateway.identify == {}
    assert config.events.bind == ("tcp://127.0.0.1:5570",)
    assert (config.events.include, config.events.exclude) == (None, frozenset())
    assert config.events.high_water_mark == 20_000
    assert config.requests.bind == ("tcp://127.0.0.1:5571",)
    assert config.http.bind == "127.0.0.1:5572"
    assert config.state == Path("/home/bot/.local/state/gwcluster/example")
    assert (config.log.retention.bytes, config.log.retention.age_s) == (67_108_864, 3600.0)
    assert config.identify.reserve == 0.1
    assert (config.supervision.restarts, config.supervision.within_s) == (5, 60.0)
    assert (config.notify.webhook, config.notify.webhook_file) == (None, None)
    assert config.notify.format == "discord"
    assert config.security.curve is None


def test_what_a_file_leaves_out_is_as_in_the_shipped_one(tmp_path: Path) -> None:
    shipped = load(SHIPPED, environ={**ENVIRON, "DISCORD_TOKEN": "not-a-real-token"})
    least = loaded(tmp_path, LEAST)
    assert least.name == "default"
    state = Path("/home/bot/.local/state/gwcluster/default")
    assert least == dataclasses.replace(shipped, name="default", intents=1, state=state)


def test_everything_can_be_set(tmp_path: Path) -> None:
    Keys(tmp_path / "keys")
    config = loaded(
        tmp_path,
        LEAST
        + """
shards: {count: 16, ids: "0-3,8"}
presence: {status: idle, activities: [{name: chess, type: 0}], afk: true}
gateway:
  api: http://localhost:8080/api/v10/
  compression: none
  large_threshold: 250
  identify: {capabilities: 32768}
events:
  bind: [tcp://*:7000, ipc:///run/bot/events]
  include: [MESSAGE_CREATE]
  exclude: [TYPING_START]
  high_water_mark: 1
requests: {bind: tcp://10.0.0.1:7001}
http: {bind: null}
state: run/state
log: {retention: {bytes: 500MB, age: 1d}}
identify: {reserve: 0.25}
supervision: {restarts: 0, within: 5m}
security: {curve: {secret_key_file: keys/cluster.key_secret, clients_dir: keys/clients}}
""",
    )
    assert (config.shards.count, config.shards.ids) == (16, frozenset({0, 1, 2, 3, 8}))
    assert config.presence == {
        "since": None,
        "activities": [{"name": "chess", "type": 0}],
        "status": "idle",
        "afk": True,
    }
    assert config.gateway.api == "http://localhost:8080/api/v10"
    assert config.gateway.identify == {"capabilities": 32768}
    assert config.events.bind == ("tcp://*:7000", "ipc:///run/bot/events")
    assert (config.events.include, config.events.exclude) == (
        frozenset({"MESSAGE_CREATE"}),
        frozenset({"TYPING_START"}),
    )
    assert config.http.bind is None
    assert config.state == tmp_path / "run" / "state"
    assert (config.log.retention.bytes, config.log.retention.age_s) == (500_000_000, 86_400.0)
    assert config.supervision.within_s == 300.0
    assert config.security.curve is not None
    assert config.security.curve.secret_key_file == tmp_path / "keys" / "cluster.key_secret"
    assert config.security.curve.clients_dir == tmp_path / "keys" / "clients"


def test_a_presence_is_completed_because_discord_refuses_half_of_one(tmp_path: Path) -> None:
    assert loaded(tmp_path, LEAST + "presence: {status: dnd}\n").presence == {
        "since": None,
        "activities": [],
        "status": "dnd",
        "afk": False,
    }


def test_intents_can_be_the_integer(tmp_path: Path) -> None:
    assert loaded(tmp_path, "token: abc\nintents: 33281\n").intents == 33281
    assert loaded(tmp_path, "token: abc\nintents: 0\n").intents == 0
    assert loaded(tmp_path, "token: abc\nintents: [GUILDS, GUILDS]\n").intents == 1


def test_the_state_folder_follows_the_environment(tmp_path: Path) -> None:
    def state(more: str, environ: dict[str, str]) -> str:
        return str(loaded(tmp_path, LEAST + more, environ).state)

    assert state("name: a.b\n", {"XDG_STATE_HOME": "/var/state"}) == "/var/state/gwcluster/a.b"
    assert state("", {"XDG_STATE_HOME": "relative", "HOME": "/h"}) == "/h/.local/state/gwcluster/default"
    assert state("state: ~/gw\n", {"HOME": "/h"}) == "/h/gw"
    assert state("state: /srv/../gw\n", {}) == "/gw"


def test_without_any_home_the_remedy_is_a_path(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, LEAST, environ={})
    assert (problem.line, problem.key) == (1, "state")
    assert "HOME is not set" in problem.message
    assert "/var/lib/gwcluster" in problem.message


def test_the_token_may_stand_in_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("Bot abc.def \nsecond line\n")
    config = loaded(tmp_path, "token_file: token\nintents: 0\n")
    assert config.token.get_secret_value() == "abc.def"


def test_a_webhook_may_stand_in_a_file_or_in_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    url = "https://discord.com/api/webhooks/1/secret"
    (tmp_path / "hook").write_text(f"{url}\nsecond line\n")
    for text, environ in (
        ("notify: {webhook_file: hook, format: json}\n", ENVIRON),
        ("notify:\n  webhook: ${HOOK}\n  format: json\n", {**ENVIRON, "HOOK": url}),
    ):
        config = loaded(tmp_path, LEAST + text, environ)
        assert config.notify.webhook is not None
        assert config.notify.webhook.get_secret_value() == url
        assert config.notify.format == "json"
        assert "secret" not in f"{config!r} {dataclasses.asdict(config)}"


def test_a_simulated_run_posts_nowhere(tmp_path: Path) -> None:
    for text in ("notify: {webhook_file: nowhere}\n", "notify:\n  webhook: ${UNSET}\n"):
        assert loaded(tmp_path, LEAST + text, simulate=True).notify.webhook is None


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("notify: {webhook: 'http://example.com/secret'}", "notify.webhook", "would go unencrypted"),
        ("notify: {webhook: 'secret'}", "notify.webhook", "this value is no address that can be posted to"),
        ("notify: {webhook: 'https://a b/secret'}", "notify.webhook", "this value is no address;"),
        ("notify: {webhook: 'https://x:secret@a'}", "notify.webhook", "is no address"),
        ("notify: {webhook: 5}", "notify.webhook", "this value is not a webhook's address; write null"),
        ("notify: {webhook_file: nowhere}", "notify.webhook_file", "can't be read: no such file"),
        ("notify: {webhook_file: bad}", "notify.webhook_file", "the first line of this file is no address"),
        ("notify: {webhook_file: bytes}", "notify.webhook_file", "is not text; write the webhook's address"),
        (
            "notify: {webhook_file: bad, webhook: 'https://example.com/'}",
            "notify.webhook_file",
            "there is a webhook as well; keep one of the two",
        ),
        ("notify: {format: slack}", "notify.format", "write discord, or json"),
    ],
)
def test_a_webhook_that_can_not_be_posted_to_is_told_without_a_word_of_it(
    tmp_path: Path, text: str, key: str, message: str
) -> None:
    (tmp_path / "bad").write_text("secret")
    (tmp_path / "bytes").write_bytes(b"\xffsecret")
    (problem,) = problems(tmp_path, LEAST + text + "\n")
    assert problem.key == key
    assert message in problem.message
    assert "secret" not in problem.message


def test_the_word_bot_before_a_token_is_dropped(tmp_path: Path) -> None:
    assert loaded(tmp_path, "token: Bot abc\nintents: 0\n").token.get_secret_value() == "abc"


def test_a_configuration_never_shows_its_token(tmp_path: Path) -> None:
    config = loaded(tmp_path, LEAST)
    assert "not-a-real-token" not in f"{config!r} {config} {dataclasses.asdict(config)}"


def test_a_simulated_run_needs_neither_token_nor_api(tmp_path: Path) -> None:
    text = "token: ${UNSET}\ntoken_file: nowhere\nintents: 0\ngateway: {api: [5], compression: none}\n"
    config = loaded(tmp_path, text, simulate=True)
    assert config.token.get_secret_value() == ""
    simulated = config.simulated(api="http://127.0.0.1:1234/api/v10", token="simulated")
    assert simulated.gateway.api == "http://127.0.0.1:1234/api/v10"
    assert simulated.gateway.compression == "none"
    assert simulated.token.get_secret_value() == "simulated"
    assert simulated.name == config.name


def test_a_client_needs_neither_token_nor_the_files_of_keys(tmp_path: Path) -> None:
    text = "intents: 0\ntoken: ${NONE}\nsecurity: {curve: {secret_key_file: a/b, clients_dir: ../c}}\n"
    curve = load(written(tmp_path, text), environ=ENVIRON, client=True).security.curve
    assert curve is not None
    assert curve.secret_key_file == tmp_path / "a" / "b"


def test_a_simulated_run_needs_its_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file; make keys with gwcluster keygen"):
        loaded(
            tmp_path,
            "intents: 0\nsecurity: {curve: {secret_key_file: a, clients_dir: .}}\n",
            simulate=True,
        )


def test_a_simulated_run_still_wants_the_rest_to_be_right(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shards"):
        loaded(tmp_path, "intents: 0\nshard: 3\n", simulate=True)


def test_a_configuration_can_not_be_changed(tmp_path: Path) -> None:
    config = loaded(tmp_path, LEAST)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.name = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        config.events.high_water_mark = 5  # type: ignore[misc]


def test_the_file_is_named_as_the_caller_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "token: abc\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^cluster\.yaml:1: intents: is missing"):
        load(Path("cluster.yaml"), environ=ENVIRON)


def test_the_token_for_http_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "http-token").write_text("a-token-of-enough-characters\nnotes\n")
    config = loaded(tmp_path, LEAST + "http: {token_file: http-token}\n")
    assert config.http_token is not None
    assert config.http_token.get_secret_value() == "a-token-of-enough-characters"
    assert "a-token-of" not in repr(config)
    assert loaded(tmp_path, LEAST).http_token is None


@pytest.mark.parametrize("text", ["short", "", "with a space in the middle", "ü" * 20, "x" * 257])
def test_what_is_no_token_for_http_is_said_and_not_repeated(tmp_path: Path, text: str) -> None:
    (tmp_path / "http-token").write_text(text)
    (problem,) = problems(tmp_path, LEAST + "http: {token_file: http-token}\n")
    assert problem.key == "http.token_file"
    assert "openssl rand -hex 32" in problem.message
    assert not text or text not in problem.message


def test_who_only_needs_the_sockets_needs_no_token_for_http(tmp_path: Path) -> None:
    file = written(tmp_path, LEAST + "http: {token_file: nowhere}\n")
    assert load(file, environ=ENVIRON, simulate=True).http_token is None


def test_http_may_be_open_without_curve_since_it_is_guarded_in_other_ways(tmp_path: Path) -> None:
    assert loaded(tmp_path, LEAST + "http: {bind: '0.0.0.0:5572'}\n").http.bind == "0.0.0.0:5572"
