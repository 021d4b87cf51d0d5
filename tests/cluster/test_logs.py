from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from gwcluster.logs import LogFormat, log_to

TOKEN = "MTIz.not-a-token"
FORMATS: list[LogFormat] = ["text", "json"]

log = logging.getLogger("gwcluster.some.module")


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


def said(log_format: LogFormat, say: Callable[[], object]) -> list[str]:
    """Return the lines that the log has after `say`."""
    stream = io.StringIO()
    log_to(logging.StreamHandler(stream), log_format, TOKEN, "https://example.com/hook")
    say()
    return stream.getvalue().splitlines()


def fail(text: str) -> None:
    try:
        raise ZeroDivisionError(text)
    except ZeroDivisionError:
        log.exception("it failed")


def test_a_text_line_is_time_level_and_text() -> None:
    (line,) = said("text", lambda: log.warning("shard %d: %s", 3, "no “network”"))
    date, clock, level, text = line.split(maxsplit=3)
    datetime.strptime(f"{date} {clock}", "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC)
    assert (level, text) == ("WARNING", "shard 3: no “network”")


def test_a_json_line_is_one_object_with_these_keys() -> None:
    (line,) = said("json", lambda: log.warning("shard %d: %s", 3, "no “network”\nagain"))
    fields = json.loads(line)
    assert datetime.fromisoformat(fields.pop("time")).utcoffset() == UTC.utcoffset(None)
    assert fields == {
        "level": "warning",
        "logger": "gwcluster.some.module",
        "text": "shard 3: no “network”\nagain",
    }


@pytest.mark.parametrize("log_format", FORMATS)
def test_other_secrets_are_taken_out_like_the_token(log_format: LogFormat) -> None:
    lines = said(log_format, lambda: log.warning("%s to %s", TOKEN, "https://example.com/hook"))
    assert "[token] to [secret]" in lines[0]
    lines = said(log_format, lambda: fail("https://example.com/hook"))
    assert "example.com" not in "".join(lines)


def test_a_traceback_is_part_of_its_json_object_and_lines_below_the_text() -> None:
    (line,) = said("json", lambda: fail("by nothing"))
    assert json.loads(line)["text"] == "it failed"
    assert json.loads(line)["traceback"].splitlines()[-1] == "ZeroDivisionError: by nothing"
    first, *lines = said("text", lambda: fail("by nothing"))
    assert first.endswith("it failed")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "ZeroDivisionError: by nothing"


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize(
    "say",
    [
        lambda: log.error(f"Bot {TOKEN} was refused"),
        lambda: log.error("Bot %s was %s", TOKEN, "refused"),
        lambda: log.error("%(header)s was refused", {"header": f"Bot {TOKEN}"}),
        lambda: log.error("Bot %s was refused", [TOKEN]),
        lambda: logging.getLogger("aiohttp").error("Bot %s was refused", ValueError(TOKEN)),
        lambda: fail(f"Bot {TOKEN} was refused"),
    ],
)
def test_the_token_is_taken_out_wherever_it_is(log_format: LogFormat, say: Callable[[], object]) -> None:
    text = "\n".join(said(log_format, say))
    assert TOKEN not in text
    assert "[token]" in text
    assert "refused" in text


def test_a_record_that_does_not_fit_its_arguments_is_said_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def say() -> None:
        log.error("%d of %d", TOKEN)
        log.error("next")

    lines = said("text", say)
    assert [line.split(maxsplit=3)[3] for line in lines] == ["'%d of %d' does not fit ('[token]',)", "next"]
    assert capsys.readouterr().err == ""


def test_debug_records_are_left_out() -> None:
    def say() -> None:
        log.debug("a message")
        log.info("a start")

    lines = said("json", say)
    assert [json.loads(line)["text"] for line in lines] == ["a start"]


def test_the_log_goes_to_stderr_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    log_to(None, "text", TOKEN)
    log.info("a start")
    assert capsys.readouterr().err.endswith("INFO    a start\n")
    assert [getattr(handler, "stream", None) for handler in logging.getLogger().handlers] == [sys.stderr]
