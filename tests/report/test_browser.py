"""The page in a real browser: nothing runs or loads, it fits a phone, light and dark; and `vnu`."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report import browser, hostile, made
from tests.report.pages import save
from tunekit.events import JobState

pytestmark = pytest.mark.browser

PAGES = ("run", "runs", "hostile", "failed")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[browser.Served]:
    """A folder with every kind of page."""
    hot = {**made.record("x").spec, "training": {"learning_rate": 2e-2}}
    run, other = made.run(), made.run("hot", name="hot", spec=hot)
    save(tmp_path / "run.html", run)
    save(tmp_path / "runs.html", run, other)
    save(tmp_path / "hostile.html", hostile.run("hostile"))
    save(tmp_path / "failed.html", hostile.run("failed", JobState.FAILED))
    with browser.served(tmp_path) as site:
        yield site


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_runs_nothing_and_asks_for_nothing(site: browser.Served, width: int) -> None:
    for page in PAGES:
        found = browser.looked_at(site, f"{page}.html", width=width)

        assert found["elements"] > 100, page
        assert (found["seen"], found["wide"]) == (width, width), page
        assert (found["active"], found["attributes"]) == ([], []), page
        assert found["hacked"] is False, page
        # The browser asks for an icon of the frame, which has no policy.
        assert {*found["asked"]} - {"/favicon.ico"} == {"/frame.html", f"/{page}.html"}, page


def test_a_page_without_our_care_would_be_found_out(site: browser.Served) -> None:
    wild = (
        "<!doctype html><title>x</title><p style='width:900px'>wide</p>"
        f"<script>{browser.MARK}=1</script><img src=/loaded.png>"
    )
    (site.folder / "wild.html").write_text(wild)

    found = browser.looked_at(site, "wild.html", width=390)

    assert found["hacked"] is True
    assert found["wide"] > 390
    assert len(found["active"]) == 2
    assert "/loaded.png" in found["asked"]


def test_a_page_is_light_or_dark_as_the_reader_likes(site: browser.Served) -> None:
    light, dark = (
        browser.looked_at(site, "run.html", width=390, dark=dark) for dark in (False, True)
    )

    assert _brightness(light["ground"]) > 0.9 > 0.3 > _brightness(light["ink"])
    assert _brightness(dark["ground"]) < 0.1 < 0.7 < _brightness(dark["ink"])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_picture_can_be_taken(site: browser.Served, width: int, dark: bool) -> None:
    path = site.folder / "page.png"

    browser.screenshot(site, "run.html", path, size=(width, 1200), dark=dark)

    header = path.read_bytes()[:24]
    assert struct.unpack(">II", header[16:]) == (width, 1200)
    assert path.stat().st_size > 20_000, "the picture is empty"


def test_the_validator_of_the_w3c_finds_no_error(site: browser.Served) -> None:
    files = [str(site.folder / f"{page}.html") for page in PAGES]

    done = subprocess.run(
        ["java", "-jar", os.environ["TUNEKIT_VNU"], "--format", "json", *files],
        capture_output=True,
        text=True,
        timeout=120,
    )

    messages = json.loads(done.stderr)["messages"]
    # It does not compute the hash by which the policy allows the style sheet; the browser does.
    known = [each for each in messages if "Inline style violates" in each["message"]]
    assert [each for each in messages if each not in known] == []
    assert len(known) == len(PAGES)


def _brightness(colour: str) -> float:
    red, green, blue = (int(number) / 255 for number in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
