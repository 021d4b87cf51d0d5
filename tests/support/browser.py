"""A real Chromium without a window, spoken to over its DevTools protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.sync.client import ClientConnection, connect

from support.cluster import until

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")

KEYS: Final = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


class Page:
    """One page, from opening to closing.

    Attributes:
        requests: addresses of all that it asked for.
        complaints: what it wrote to the console as an error or warning, and exceptions that nobody caught.
    """

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._session = session
        self._numbers = itertools.count(1)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the protocol."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": arguments, "sessionId": self._session}
        self._socket.send(json.dumps(message))
        deadline = time.monotonic() + 60.0
        while True:
            told = json.loads(self._socket.recv(timeout=max(0.0, deadline - time.monotonic())))
            if told.get("id") == number:
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]
            self._heard(told)

    def open(self, address: str) -> None:
        """Go to an address; return when its first status is shown."""
        self.call("Page.navigate", url=address)
        self.until("document.querySelector('#link')?.className === 'on'")

    def js(self, expression: str) -> Any:
        """Return what an expression is, or what the promise gives that it is."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = 20.0) -> Any:
        """Wait until an expression is true."""
        return until(lambda: self.js(expression), expression, seconds)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def click(self, selector: str) -> None:
        """Click into the middle of an element, as a mouse does."""
        self.js(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        x, y = self.js(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look_like(self, width: int, height: int, *, dark: bool = False, still: bool = True) -> None:
        """Be a screen of this size, in CSS pixels, with these wishes."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        wishes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if still else "no-preference",
        }
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, *, whole: bool = False) -> bytes:
        """Return what is seen as PNG."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    def _heard(self, told: dict[str, Any]) -> None:
        what = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(what["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(what["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if what["type"] in {"error", "warning", "assert"}:
                self.complaints.append(str(what["args"]))
            case "Log.entryAdded" if what["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")


@contextlib.contextmanager
def browser() -> Iterator[ClientConnection]:
    """Run a browser as long as the block runs; skip the test where there is none."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium here; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="gwcluster-browser-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",  # it shows our own pages alone, and root has none
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder}",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            told = Path(folder, "DevToolsActivePort")
            port, path = (
                until(lambda: told.exists() and told.read_text().split(), "Chromium's port", 40) or []
            )
            with connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None) as socket:
                yield socket
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def page(socket: ClientConnection) -> Iterator[Page]:
    """Open an empty page as long as the block runs."""
    target = _ask(socket, "Target.createTarget", url="about:blank")["targetId"]
    session = _ask(socket, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    try:
        yield Page(socket, session)
    finally:
        _ask(socket, "Target.closeTarget", targetId=target)


def _ask(socket: ClientConnection, method: str, **arguments: Any) -> Any:
    socket.send(json.dumps({"id": 0, "method": method, "params": arguments}))
    while True:
        told = json.loads(socket.recv(timeout=60))
        if told.get("id") == 0 and "sessionId" not in told:
            assert "error" not in told, f"{method}: {told['error']}"
            return told["result"]
