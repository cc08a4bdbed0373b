"""Headless Chromium: what a page becomes there, measured from a frame around it."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.report.injections import MARK
from tests.report.pages import ACTIVE

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--virtual-time-budget=4000"),
)
_MAKERS = re.compile(r"\.(google|googleapis|gstatic)\.com(:\d+)?$")
_FRAME = """<!doctype html><meta charset=utf-8><title>frame</title>
<iframe id=page src="{page}" style="border:0;width:{width}px;height:{height}px"></iframe>
<pre id=found></pre>
<script>
const frame = document.getElementById("page");
frame.onload = () => setTimeout(() => {{
  const inner = frame.contentDocument, root = inner.documentElement;
  const all = [...inner.querySelectorAll("*")];
  const names = {active};
  const local = each => each.localName === "a" && each.getAttribute("href").startsWith("#");
  const lead = /^(on|href$|src|action|data$|xlink)/;
  document.getElementById("found").textContent = JSON.stringify({{
    elements: all.length,
    wide: root.scrollWidth,
    seen: root.clientWidth,
    active: all.filter(each => names.includes(each.localName) && !local(each))
      .map(each => each.outerHTML.slice(0, 80)),
    attributes: all.filter(each => !local(each)).flatMap(each => each.getAttributeNames()
      .filter(name => lead.test(name)).map(name => each.localName + " " + name)),
    hacked: [window, frame.contentWindow].some(each => each["{mark}"] !== undefined),
    ground: frame.contentWindow.getComputedStyle(inner.body).backgroundColor,
    ink: frame.contentWindow.getComputedStyle(inner.body).color,
  }});
}}, 300);
</script>
"""


@dataclass
class Served:
    """A folder on loopback, and what was asked of it."""

    url: str
    folder: Path
    asked: list[str] = field(default_factory=list)


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serve a folder; the browser is made to send everything here, whatever its host."""
    seen: list[str] = []

    def here() -> str:
        return f"127.0.0.1:{server.server_port}"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.path = self.path.removeprefix(f"http://{self.headers['Host']}")
            self._noted(self.path if self.headers["Host"] == here() else self.headers["Host"])
            super().do_GET()

        def do_CONNECT(self) -> None:
            self._noted(self.path)
            self.send_error(502)

        def _noted(self, what: str) -> None:
            # Not what the browser asks of its maker, page or no page.
            if not _MAKERS.search(what):
                seen.append(what)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Served(f"http://{here()}", folder, seen)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def looked_at(site: Served, page: str, *, width: int, dark: bool = False) -> dict[str, Any]:
    """Open a page in a frame of this width; gives what is in it and what it asked for."""
    frame = _FRAME.format(
        page=page, width=width, height=2000, active=json.dumps(sorted(ACTIVE)), mark=MARK
    )
    (site.folder / "frame.html").write_text(frame)
    site.asked.clear()
    done = _chromium(site, "--dump-dom", "--window-size=1400,2200", f"{site.url}/frame.html", dark)
    found = re.search(r'<pre id="found">(.*?)</pre>', done, re.DOTALL)
    assert found is not None, done[-2000:]
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return {**json.loads(text), "asked": list(site.asked)}


def screenshot(site: Served, page: str, path: Path, *, size: tuple[int, int], dark: bool) -> Path:
    """Take a picture of a page."""
    window = f"--window-size={size[0]},{size[1]}"
    _chromium(site, f"--screenshot={path}", window, f"{site.url}/{page}", dark)
    return path


def _chromium(site: Served, act: str, window: str, url: str, dark: bool) -> str:
    # 0 is dark and 1 is light, as Blink's settings name them.
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    profile = f"--user-data-dir={site.folder / 'profile'}"
    command = [os.environ["TUNEKIT_BROWSER"], *_FLAGS, scheme, profile, window]
    command += [f"--proxy-server={site.url}", "--proxy-bypass-list=<-loopback>", act, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
