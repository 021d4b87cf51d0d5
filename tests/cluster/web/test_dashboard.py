"""The dashboard in a real browser, on a cluster that a test moves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from support.browser import Page, browser, page
from support.cluster import until
from support.shown_cluster import Served, served, three_hosts
from support.statuses import NATS, SILENT

pytestmark = pytest.mark.e2e

STATES = [
    "starting",
    "backoff",
    "connecting",
    "queued",
    "identifying",
    "resuming",
    "live",
    "stopped",
    "failed",
]

CONTRASTS = """(() => {
  const numbers = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(at).backgroundColor);
      if (a > 0.99) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode());) {
    const node = text.parentElement;
    if (!text.textContent.trim() || !node.checkVisibility() || node.closest("noscript, :disabled")) continue;
    const back = ground(node);
    let front = numbers(getComputedStyle(node).color).slice(0, 3);
    const opacity = Number(getComputedStyle(node).opacity);
    front = front.map((c, i) => c * opacity + back[i] * (1 - opacity));
    const [one, other] = [light(front), light(back)].sort((a, b) => b - a);
    const where = node.className || node.id;
    found.push([(one + 0.05) / (other + 0.05), text.textContent.trim().slice(0, 30), where]);
  }
  return found;
})()"""
"""WCAG's contrast of each text that is shown: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[ClientConnection]:
    with browser() as socket:
        yield socket


@pytest.fixture
def server() -> Iterator[Served]:
    with served(16) as server:
        yield server


@pytest.fixture
def shown(chromium: ClientConnection, server: Served) -> Iterator[Page]:
    with page(chromium) as opened:
        opened.look_like(1200, 800)
        opened.open(server.origin)
        yield opened
        assert opened.complaints == []
        assert {address.partition("/static")[0] for address in opened.requests} <= {
            server.origin,
            *(f"{server.origin}{path}" for path in ("/", "/api/stream", "/api/history", "/api/restart")),
        }


def cell(number: int) -> str:
    return f"document.querySelector('.cell[data-shard=\"{number}\"]')"


def focused(shown: Page) -> Any:
    return shown.js("document.activeElement.dataset.shard ?? document.activeElement.id")


def test_every_shard_is_a_cell_in_the_colour_and_with_the_sign_of_its_state(
    server: Served, shown: Page
) -> None:
    for number, state in enumerate(STATES):
        server.move(number, state)
    server.cluster.shards[9]["fresh"] = False
    server.cluster.shards[10]["degraded"] = "disk full"
    wanted = [*STATES, "stale", "degraded", *["live"] * 5]
    shown.until(f"{cell(10)}.classList.contains('degraded')")
    cells = shown.js(
        "[...document.querySelectorAll('.cell')].map((c) => [c.dataset.shard, c.className.split(' ')[1],"
        " c.querySelector('b').textContent, getComputedStyle(c).backgroundColor, c.ariaLabel])"
    )
    assert [(number, state) for number, state, *_ in cells] == [
        (str(number), state) for number, state in enumerate(wanted)
    ]
    signs = {state: sign for _, state, sign, *_ in cells}
    assert len(set(signs.values())) == len(signs) == 11, "each state has a sign of its own"
    colours = {state: colour for _, state, _, colour, _ in cells}
    assert len(set(colours.values())) == 10, "degraded is live, with a frame"
    assert cells[1][4] == "shard 1: waiting to dial again"
    assert shown.js("document.querySelector('#ready').textContent") == "7"
    legend = shown.js("document.querySelector('#legend').textContent")
    assert "6 live" in legend
    assert "1 failed: given up" in legend


def test_a_change_is_seen_within_two_seconds_and_is_listed(server: Served, shown: Page) -> None:
    shown.until("document.querySelector('#changes-sum').textContent === 'nothing'")
    server.move(5, "backoff", "no network")
    shown.until(f"{cell(5)}.classList.contains('backoff')", 2.0)
    shown.until("/shard 5 .*live → backoff.*no network/.test(document.querySelector('#changes').textContent)")
    assert "shard 5" in shown.js("document.querySelector('#trouble').textContent")
    server.move(5, "live", "RESUMED")
    shown.until(f"{cell(5)}.classList.contains('live')", 2.0)
    shown.until("document.querySelector('#trouble').hidden")
    shown.open(server.origin)  # what came before the page was opened is there, too
    shown.until("document.querySelectorAll('#changes li').length === 2")


def test_a_state_that_was_left_only_shortly_is_listed_too(server: Served, shown: Page) -> None:
    server.move(5, "live", "RESUMED")
    shown.until("/shard 5 live → … → live.*RESUMED/.test(document.querySelector('#changes').textContent)")


def test_what_the_reasons_say_is_text_and_nothing_else(server: Served, shown: Page) -> None:
    server.move(5, "failed", "<img src=x onerror=alert(1)><script>alert(1)</script>")
    shown.until("document.querySelector('#trouble').textContent.includes('<img src=x')")
    assert shown.js("document.querySelectorAll('main img, main script').length") == 0


def test_a_restart_asks_first_and_then_posts(server: Served, shown: Page) -> None:
    shown.click(".cell[data-shard='3']")
    shown.until("!document.querySelector('#detail').hidden")
    shown.click("#restart-one")
    assert shown.js("document.querySelector('#ask').open")
    assert shown.js("document.querySelector('#ask-title').textContent") == "Restart shard 3?"
    shown.press("Enter")  # the focus is on Cancel
    shown.until("!document.querySelector('#ask').open")
    shown.click("#restart-one")
    shown.press("Escape")
    shown.until("!document.querySelector('#ask').open")
    assert server.cluster.restarted == []
    shown.click("#restart-one")
    shown.click("#ask-yes")
    shown.until("!document.querySelector('#ask').open")
    assert server.cluster.restarted == [(3, False)]
    shown.click("#restart-all")
    assert "all 16 shards" in shown.js("document.querySelector('#ask-title').textContent")
    shown.click("#ask-yes")
    shown.until("!document.querySelector('#ask').open")
    assert server.cluster.restarted == [(3, False), (None, True)]
    assert not shown.js("document.querySelector('#said').hidden")


def test_why_a_restart_is_refused_is_said(server: Served, chromium: ClientConnection) -> None:
    server.cluster.refuses = "the cluster is stopping"
    with page(chromium) as shown:
        shown.open(server.origin)
        shown.click("#restart-all")
        shown.click("#ask-yes")
        shown.until("document.querySelector('#ask-error').textContent === 'the cluster is stopping'")


def test_where_a_token_is_needed_the_page_asks_for_it(chromium: ClientConnection) -> None:
    with served(token="s3cret") as server, page(chromium) as shown:
        shown.open(server.origin)
        shown.click("#restart-all")
        shown.click("#ask-yes")
        shown.until("document.activeElement.id === 'token'")
        shown.call("Input.insertText", text="wrong")
        shown.press("Enter")
        shown.until("document.querySelector('#ask-error').textContent === 'That is not the token.'")
        shown.js("document.querySelector('#token').value = ''")
        shown.call("Input.insertText", text="s3cret")
        shown.press("Enter")
        shown.until("!document.querySelector('#ask').open")
        assert server.cluster.restarted == [(None, True)]
        assert shown.js("JSON.stringify([localStorage, sessionStorage, document.cookie])") == '[{},{},""]'


def test_the_keyboard_reaches_everything(server: Served, shown: Page) -> None:
    assert shown.js("document.querySelectorAll('.cell[tabindex=\"0\"]').length") == 1
    shown.press("Tab")
    assert focused(shown) == "restart-all"
    shown.press("Tab")
    assert focused(shown) == "0"
    columns = shown.js(
        "getComputedStyle(document.querySelector('#cells')).gridTemplateColumns.split(' ').length"
    )
    for key, at in [
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowUp", 1),
        ("ArrowUp", 1),
        ("End", 15),
        ("ArrowRight", 15),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("ArrowRight", 1),
    ]:
        shown.press(key)
        assert focused(shown) == str(at), key
    shown.press("Enter")
    shown.until("document.querySelector('#detail-title').textContent === 'Shard 1'")
    assert shown.js(f"{cell(1)}.ariaPressed") == "true"
    shown.press("Tab")
    assert focused(shown) == "restart-one"
    shown.press("Enter")
    shown.until("document.querySelector('#ask').open")
    assert focused(shown) == "ask-no"
    shown.press("Tab")
    assert focused(shown) == "ask-yes"
    shown.press("Enter")
    until(lambda: server.cluster.restarted == [(1, False)], "a restart")
    shown.until("!document.querySelector('#ask').open")
    assert focused(shown) == "restart-one"
    shown.press("Tab")
    shown.press("Enter")
    shown.until("document.querySelector('#detail').hidden")
    assert focused(shown) == "1", "back where it came from"


def test_a_focus_stays_where_it_is_while_figures_change(server: Served, shown: Page) -> None:
    shown.click(".cell[data-shard='7']")
    for _ in range(3):
        server.move(7, "resuming")
        shown.until(f"{cell(7)}.classList.contains('resuming')")
        server.move(7, "live")
        shown.until(f"{cell(7)}.classList.contains('live')")
    assert focused(shown) == "7"
    shown.js("document.querySelector('#changes button').focus()")
    shown.js(
        "globalThis.touched = []; new MutationObserver((all) => touched.push(...all))"
        ".observe(document.querySelector('#cells'), {attributes: true, childList: true, subtree: true})"
    )
    server.cluster.changes = {"name": "another"}  # as good a sign as any that the page was drawn anew
    shown.until("document.querySelector('#name').textContent === 'another'")
    assert shown.js("document.activeElement.textContent") == "shard 7"
    assert shown.js("touched.length") == 0, "no cell was touched, since none changed"


def test_one_shard_is_shown_in_detail_with_ages_as_they_are_now(server: Served, shown: Page) -> None:
    server.cluster.shards[4].update(ack_age_s=30.0, pulse_age_s=3.0, latency_s=0.0426, fresh=False)
    shown.click(".cell[data-shard='4']")
    shown.until("document.querySelector('#detail-state').textContent.includes('figures stale')")
    told = shown.js(
        "Object.fromEntries([...document.querySelectorAll('#detail dt')].map("
        "(dt) => [dt.textContent, dt.nextSibling.textContent]))"
    )
    assert told["Last heartbeat ACK"] == "33 s ago"
    assert told["Heartbeat latency"] == "43 ms"
    assert told["Worker"] == "process 20004"


def test_the_identify_budget_is_shown_with_its_reset(shown: Page) -> None:
    text = shown.js("document.querySelector('.budget').textContent.replace(/\\s+/g, ' ')")
    assert "940 of 1,000" in text
    assert "840 to spend; resets in 8 h" in text
    assert shown.js("document.querySelectorAll('#budget rect').length") == 2


def test_when_the_stream_breaks_the_page_says_since_when_it_is_stale_and_recovers(
    chromium: ClientConnection,
) -> None:
    with page(chromium) as shown:
        with served(4) as server:
            shown.open(server.origin)
            port = server.port
            shown.js(
                "globalThis.staleAt = null; globalThis.leftAt = performance.now();"
                " const line = document.querySelector('#stale'); new MutationObserver(() => {"
                " if (!line.hidden) staleAt ??= performance.now() }).observe(line, {attributes: true})"
            )
        shown.until("!document.querySelector('#stale').hidden")
        assert shown.js("staleAt - leftAt") < 3000, "at once, not only when five seconds have passed"
        since = shown.js("document.querySelector('#stale').textContent")
        assert since.startswith("Stale since ")
        assert shown.js("document.body.classList.contains('is-stale')")
        assert shown.js("document.querySelectorAll('.cell').length") == 4
        time.sleep(2.2)
        assert shown.js("document.querySelector('#stale').textContent") == since
        with served(6, port=port) as server:
            shown.until("document.querySelector('#stale').hidden")
            shown.until("document.querySelectorAll('.cell').length === 6")


def test_a_cluster_that_hangs_is_stale_too(server: Served, shown: Page) -> None:
    server.loop.call_soon_threadsafe(time.sleep, 9.0)
    shown.until("!document.querySelector('#stale').hidden")
    shown.until("document.querySelector('#stale').hidden")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1200, 320])
def test_all_text_has_contrast_enough(server: Served, shown: Page, dark: bool, width: int) -> None:
    for number, state in enumerate(STATES):
        server.move(number, state)
    server.cluster.shards[9]["fresh"] = False
    server.cluster.shards[10]["degraded"] = "disk full"
    shown.look_like(width, 800, dark=dark)
    shown.until(f"{cell(10)}.classList.contains('degraded')")
    shown.click(".cell[data-shard='3']")
    shown.until("!document.querySelector('#detail').hidden")
    found = shown.js(CONTRASTS)
    shown.click("#restart-one")
    shown.js("document.querySelector('#ask-error').textContent = 'what is wrong'")
    shown.js("document.querySelector('#stale').hidden = document.querySelector('#ask-token').hidden = false")
    shown.js("document.querySelector('#stale').textContent = 'Stale since 12:00:00'")
    found += shown.js(CONTRASTS)
    assert len(found) > 150
    assert {text for _, text, _ in found} >= {"what is wrong", "Stale since 12:00:00", "Q", "!"}
    assert [entry for entry in found if entry[0] < 4.5] == []


@pytest.mark.parametrize("shards", [4, 16, 64, 300])
def test_on_a_phone_nothing_sticks_out(chromium: ClientConnection, shards: int) -> None:
    with served(shards) as server, page(chromium) as shown:
        shown.look_like(320, 640)
        shown.open(server.origin)
        server.move(0, "failed", "areasonthatisonelongword" * 5)
        shown.until("!document.querySelector('#trouble').hidden")
        shown.click(".cell[data-shard='1']")
        shown.until("!document.querySelector('#detail').hidden")
        assert shown.js("document.documentElement.scrollWidth") == 320
        lists = "[...document.querySelectorAll('.list')].filter((e) => e.scrollWidth > e.clientWidth).length"
        assert shown.js(lists) == 0
        shown.click("#restart-one")
        right = shown.js("document.querySelector('#ask').getBoundingClientRect().right")
        assert right <= 320
        small = shown.js(
            "[...document.querySelectorAll('.cell, .actions button, header button')]"
            ".filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect())"
            ".filter((r) => r.width < 22 || r.height < 22).length"
        )
        assert small == 0, "fingers are not that small"


def test_who_wants_no_motion_gets_none(server: Served, shown: Page) -> None:
    def moves() -> Any:
        server.move(2, "resuming")
        shown.until(f"{cell(2)}.classList.contains('resuming')")
        server.move(2, "live")
        shown.until(f"{cell(2)}.classList.contains('live')")
        return shown.js(f"getComputedStyle({cell(2)}).animationName")

    assert moves() == "none"
    shown.look_like(1200, 800, still=False)
    assert moves() == "changed"


def test_a_thousand_shards_are_shown_and_the_page_stays_quick(chromium: ClientConnection) -> None:
    with served(1000) as server, page(chromium) as shown:
        shown.look_like(1200, 800)
        shown.open(server.origin)
        shown.until("document.querySelectorAll('.cell').length === 1000")
        # How long the page keeps a key or a click waiting, while figures of 1,000 shards come every second.
        shown.js(
            "globalThis.worst = 0; let last = performance.now(); setInterval(() => {"
            " worst = Math.max(worst, performance.now() - last); last = performance.now(); }, 10)"
        )
        for number in range(0, 1000, 40):
            server.move(number, "resuming", "op 7")
        shown.until("document.querySelectorAll('.cell.resuming').length === 25", 5.0)
        shown.click(".cell[data-shard='999']")
        shown.until("document.querySelector('#detail-title').textContent === 'Shard 999'")
        for number in range(0, 1000, 40):
            server.move(number, "live", "RESUMED")
        shown.until("document.querySelectorAll('.cell.live').length === 1000", 5.0)
        shown.until("document.querySelector('#changes-sum').textContent === '50 changes of state, 25 shards'")
        assert shown.js("worst") < 1000, "of a second"
        assert shown.complaints == []


def test_before_the_shards_are_known_there_is_a_page(chromium: ClientConnection) -> None:
    with served(0) as server, page(chromium) as shown:
        server.cluster.changes = {"shards": None, "guilds": None, "identifies": None}
        shown.open(server.origin)
        assert shown.js("document.querySelector('#restart-all').disabled")
        assert shown.js("document.querySelector('#identifies').textContent") == "–"
        assert shown.complaints == []


def test_what_the_page_shows_is_what_the_status_tells(server: Served, shown: Page) -> None:
    told = json.loads(server.ask("/api/status")[1])
    guilds = sum(one["guilds"] for one in told["shard"])
    assert shown.js("document.querySelector('#guilds').textContent") == f"{guilds:,}"
    assert shown.js("document.title") == "16/16 ready · example"


@pytest.fixture
def hosted(chromium: ClientConnection) -> Iterator[tuple[Served, Page]]:
    with served(24) as server, page(chromium) as opened:
        three_hosts(server.cluster)
        opened.look_like(1200, 800)
        opened.open(server.origin)
        opened.until("document.querySelectorAll('.cell.elsewhere').length === 16")
        yield server, opened
    assert opened.complaints == []


def test_one_host_has_no_panel_of_hosts_and_no_banner(shown: Page) -> None:
    shown.until("document.querySelector('#ready').textContent === '16'")
    assert shown.js("document.querySelector('#hosts').hidden && document.querySelector('#silent').hidden")


def test_shards_of_other_hosts_are_pale_named_and_no_trouble(hosted: tuple[Served, Page]) -> None:
    _, shown = hosted
    assert shown.js(f"{cell(0)}.title") == "shard 0: run by another host, host ams-1"
    assert shown.js(f"{cell(0)}.ariaLabel") == "shard 0: run by another host, host ams-1"
    assert shown.js(f"{cell(8)}.title") == "shard 8: live, host fra-1"
    assert shown.js("document.querySelector('#trouble').hidden")
    assert shown.js("document.querySelector('#ready').textContent") == "8"
    assert shown.js("document.querySelector('#ready-of').textContent") == "of 8"
    assert "16 run by another host" in shown.js("document.querySelector('#legend').textContent")
    shown.click(".cell[data-shard='16']")
    shown.until("/live on host lon-1/.test(document.querySelector('#detail-state').textContent)")
    assert "lon-1" in shown.js("document.querySelector('#detail-figures').textContent")


def test_hosts_have_a_panel(hosted: tuple[Served, Page]) -> None:
    server, shown = hosted
    assert shown.js("document.querySelector('#hosts-title').textContent") == "Hosts: 3"
    found = shown.js(
        "[...document.querySelectorAll('#hosts-list li')].map((li) => [li.dataset.host, li.className])"
    )
    assert found == [["ams-1", ""], ["fra-1", "me"], ["lon-1", ""]]
    assert shown.js("document.querySelector('#hosts-sum').textContent") == (
        "This is fra-1, with 8 of 24 shards · NATS at 10.0.0.1:4222"
    )
    first, *_, last = server.cluster.changes["hosts"]["hosts"]
    first["draining"], last["seen_s"] = True, 20.0
    shown.until("document.querySelector('[data-host=\"ams-1\"]').className === 'draining'")
    shown.until("document.querySelector('[data-host=\"lon-1\"]').className === 'late'")
    assert "draining · 8 shards · seen 2 s ago" in shown.js(
        "document.querySelector('#hosts-list').textContent"
    )


def test_a_shard_that_moves_has_another_host_at_once(hosted: tuple[Served, Page]) -> None:
    server, shown = hosted
    server.move(0, "elsewhere", "live on host lon-1", host="lon-1")
    shown.until(f"{cell(0)}.title === 'shard 0: run by another host, host lon-1'", 2.0)
    server.move(8, "elsewhere", "no host runs it", host=None, free=True)
    shown.until(f"{cell(8)}.classList.contains('free')", 2.0)
    assert shown.js(f"{cell(8)}.title") == "shard 8: run by no host"
    assert "shard 8" in shown.js("document.querySelector('#trouble').textContent")


def test_while_nats_does_not_answer_a_banner_says_since_when_and_what_follows(
    hosted: tuple[Served, Page],
) -> None:
    server, shown = hosted
    assert shown.js("document.querySelector('#silent').hidden")
    told = server.cluster.changes["hosts"]
    told["nats"] = {**NATS, **SILENT}
    shown.until("!document.querySelector('#silent').hidden")
    words = "NATS has not answered for 9 s (no servers available): shards pause in 3 s."
    assert shown.js("document.querySelector('#silent').textContent") == words
    told["nats"] = {**NATS, **SILENT, "pause_s": None, "why": "<img src=x>"}
    words = "NATS has not answered for 9 s (<img src=x>): no shard runs here, and none can be taken."
    shown.until(f"document.querySelector('#silent').textContent === {json.dumps(words)}")
    told["nats"] = NATS
    shown.until("document.querySelector('#silent').hidden")


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_shown_of_hosts_has_the_contrast_of_wcag_aa_and_fits(
    hosted: tuple[Served, Page], dark: bool
) -> None:
    server, shown = hosted
    told = server.cluster.changes["hosts"]
    told["nats"] = {**NATS, **SILENT}
    told["hosts"][0]["draining"], told["hosts"][2]["seen_s"] = True, 20.0
    server.move(8, "elsewhere", "no host runs it", host=None, free=True)
    shown.until("document.querySelectorAll('.late').length === 1")
    shown.look_like(320, 800, dark=dark)
    shown.until(f"{cell(8)}.classList.contains('free')")
    assert [found for found in shown.js(CONTRASTS) if found[0] < 4.5] == []
    assert shown.js("document.documentElement.scrollWidth") <= 320
