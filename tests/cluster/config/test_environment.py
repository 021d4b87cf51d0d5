from __future__ import annotations

from pathlib import Path

import pytest

from gwcluster.config.environment import core_schema
from support.config_files import ENVIRON, LEAST, loaded, problems


def test_a_variable_stands_for_its_value(tmp_path: Path) -> None:
    environ = {**ENVIRON, "TOKEN": "abc", "WHO": "web"}
    config = loaded(tmp_path, "token: ${TOKEN}\nintents: 0\nname: bot-${WHO}-1\n", environ)
    assert (config.token.get_secret_value(), config.name) == ("abc", "bot-web-1")


def test_a_variable_that_is_the_whole_value_may_be_a_number_or_null(tmp_path: Path) -> None:
    environ = {**ENVIRON, "N": "16", "ID": "3", "OFF": ""}
    text = LEAST + "shards:\n  count: ${N}\n  ids: ${ID}\nhttp:\n  bind: ${OFF}\nstate: ${OFF}\n"
    config = loaded(tmp_path, text, environ)
    assert (config.shards.count, config.shards.ids, config.http.bind) == (16, frozenset({3}), None)


def test_a_quoted_variable_stays_text(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, LEAST + 'shards: {count: "${N}"}\n', {**ENVIRON, "N": "16"})
    assert (problem.line, problem.key) == (3, "shards.count")


def test_a_name_or_token_of_digits_stays_text(tmp_path: Path) -> None:
    environ = {**ENVIRON, "T": "0123", "N": "007"}
    config = loaded(tmp_path, "token: ${T}\nintents: 0\nname: ${N}\n", environ)
    assert (config.token.get_secret_value(), config.name) == ("0123", "007")


def test_a_default_holds_where_a_variable_is_unset_or_empty(tmp_path: Path) -> None:
    text = LEAST + "name: ${A:-fallback}\nshards:\n  count: ${B:-8}\n  ids: ${C:-all}\n"
    config = loaded(tmp_path, text, {**ENVIRON, "B": "", "C": "1"})
    assert (config.name, config.shards.count, config.shards.ids) == ("fallback", 8, frozenset({1}))


def test_two_dollars_are_one(tmp_path: Path) -> None:
    config = loaded(tmp_path, LEAST + "state: /srv/$${HOME}/$$\n")
    assert config.state == Path("/srv/${HOME}/$")


def test_a_value_never_becomes_structure(tmp_path: Path) -> None:
    environ = {**ENVIRON, "X": "[GUILDS]", "Y": "x\nhttp: {bind: null}", "Z": "${HOME} $$ &a *a !!int"}
    (problem,) = problems(tmp_path, "token: abc\nintents: ${X}\n", environ)
    assert problem.message.startswith("the value of ${X} is not a list of intents")
    (problem,) = problems(tmp_path, LEAST + "name: ${Y}\n", environ)
    assert problem.message.startswith("the value of ${Y} is not a name")
    assert loaded(tmp_path, LEAST + "state: /a/${Z}\n", environ).state == Path("/a/${HOME} $$ &a *a !!int")


def test_a_missing_variable_is_named_with_both_ways_out(tmp_path: Path) -> None:
    token, shards = problems(tmp_path, "token: ${DISCORD_TOKEN}\nintents: 0\nshards:\n  count: ${N}\n")
    assert (token.line, token.key) == (1, "token")
    assert token.message == (
        "the environment variable DISCORD_TOKEN is not set; "
        "set it (export DISCORD_TOKEN=…), or name a file that holds the token with token_file"
    )
    assert (shards.line, shards.key) == (4, "shards.count")
    assert shards.message == (
        "the environment variable N is not set; set it (export N=…), or give a default: ${N:-value}"
    )


@pytest.mark.parametrize("text", ["$HOME", "a$", "${}", "${1}", "${A-b}", "${A", "$(date)"])
def test_a_stray_dollar_is_an_error_that_says_how_to_write_one(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, LEAST + f"state: '{text}'\n")
    assert (problem.line, problem.key) == (3, "state")
    assert problem.message == "a $ begins ${NAME} or ${NAME:-default}; write $$ for the sign itself"


def test_a_variable_in_a_list_is_told_by_its_line(tmp_path: Path) -> None:
    text = 'token: abc\nintents:\n  - GUILDS\n  - "${UNSET}"\n  - GUILD_BAN\n'
    unset, unknown = problems(tmp_path, text)
    assert (unset.line, unset.key) == (4, "intents[1]")
    assert (unknown.line, unknown.key) == (5, "intents[2]")


SECRET = "MTE2.s3cr3t-and-wrong"


@pytest.mark.parametrize(
    "text",
    [
        "token: {S} x\nintents: 0\n",
        "token: '{S}\"'\nintents: 0\n",
        "token: [{S}]\nintents: 0\n",
        "token: {{{S}: 1}}\nintents: 0\n",
        "token: {S}é\nintents: 0\n",
        "token: {S}$a\nintents: 0\n",
        "token: {S}${{E}}\nintents: 0\n",
        "token: ${{E:-{S} x}}\nintents: 0\n",
        "token: ${{T}}\nintents: 0\n",
        "token: 12${{T}}\nintents: 0\n",
        "token: *{S}\nintents: 0\n",
        "token: !{S} x\nintents: 0\n",
        "token: '{S}\nintents: 0\n",
        "token: {S}: x\nintents: 0\n",
        "token: {S}\ntoken: {S}\nintents: 0\n",
        "tokn: {S}\nintents: 0\n",
        "token: a\nintents: ${{T}}\nname: ${{T}}\nshards: {{count: '${{T}}', ids: '${{T}}'}}\n",
        "token: a\nintents: ['${{T}}']\nevents: {{bind: '${{T}}', include: ['${{T}}']}}\n",
        "token: a\nintents: 0\nhttp: {{bind: '${{T}}'}}\nlog: {{retention: {{age: '${{T}}'}}}}\n",
        "token: a\nintents: 0\ngateway: {{api: '${{T}}', compression: '${{T}}'}}\n",
        "token_file: secret\nintents: 0\n",
    ],
)
def test_no_error_repeats_a_token(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(f"{SECRET} x\n")
    environ = {**ENVIRON, "T": f"{SECRET} x", "E": " "}
    found = problems(tmp_path, text.format(S=SECRET), environ)
    assert "s3cr3t" not in "\n".join(map(str, found))


def test_what_looks_like_a_token_is_cut_out_wherever_it_stands(tmp_path: Path) -> None:
    token = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcDE." + "k" * 38
    found = problems(tmp_path, f"token_file: {token}\nintents: [{token}]\nname: /{token}\n{token}: 1\n")
    assert len(found) == 4
    assert "MTIz" not in "\n".join(map(str, found))
    assert "[redacted]" in str(found[1])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("-12", -12),
        ("007", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_unquoted_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    meant = core_schema(text)
    assert (meant, type(meant)) == (value, type(value))
