"""The pages: filled by jinja2, every text escaped, nothing that runs, nothing that loads."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from tunekit.files import write_atomic
from tunekit.report import curves, figures, headline, spectra
from tunekit.report.answers import telling
from tunekit.report.clean import clean
from tunekit.report.labels import by_label
from tunekit.report.overview import Overview
from tunekit.report.reading import Reading
from tunekit.report.recipe import Recipe
from tunekit.report.settings import written
from tunekit.report.strip import Strip

_TEMPLATES = Path(__file__).parent / "templates"


def write(path: Path, readings: Sequence[Reading]) -> Path:
    """Write the page of one run, or the one that compares several, as a whole; gives its path."""
    page = of_run(readings[0]) if len(readings) == 1 else of_runs(readings)
    write_atomic(path, page)
    return path


def of_run(reading: Reading) -> str:
    """Give the page of a run."""
    found = reading.comparison
    gains, losses, others = telling(found) if found else ([], [], [])
    return _filled(
        "run.html",
        title=f"{reading.title}: report",
        reading=reading,
        record=reading.record,
        comparison=found,
        head=headline.Headline.of(reading),
        charts=curves.of_run(reading),
        rank=_rank(reading),
        gains=gains,
        losses=losses,
        others=others,
        labels=by_label(found.confusion) if found and found.confusion else (),
        recipe=Recipe.of(reading.record),
    )


def of_runs(readings: Sequence[Reading]) -> str:
    """Give the page that compares several runs."""
    return _filled(
        "runs.html",
        title=f"{len(readings)} runs compared",
        readings=readings,
        heads=[headline.Headline.of(reading) for reading in readings],
        overview=Overview.of(readings),
        charts=curves.of_runs(readings),
    )


def _rank(reading: Reading) -> dict[str, Any] | None:
    rank = reading.comparison.rank if reading.comparison else None
    if rank is None:
        return None
    decay, used = spectra.decay(rank), spectra.used(rank)
    charts: list[curves.Figure] = []
    if decay:
        title = "Singular values, largest = 1"
        charts.append(curves.Figure.of(title, decay, across="direction", zero=True))
    if used:
        title = "Effective rank by layer"
        charts.append(curves.Figure.of(title, used, across="layer", zero=True))
    return {"found": rank, "charts": charts, "extremes": spectra.extremes(rank)}


def _filled(template: str, **values: Any) -> str:
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    text: str = (
        _environment()
        .get_template(template)
        .render(
            **values,
            style=Markup(style),
            policy=_policy(style),
            version=_version(),
            written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        )
    )
    return text


def _version() -> str:
    try:
        return version("tunekit-sdk")
    except PackageNotFoundError:
        return "from source"


def _policy(style: str) -> str:
    """Allow this one style sheet and nothing else: no script, image, font, frame or request."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@functools.lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made: Any = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        strip=Strip.of, limits=Strip.limits, called=headline.called, unit=headline.unit
    )
    made.filters.update(
        tone=_tone,
        number=figures.number,
        measured=figures.measured,
        change=figures.change,
        between=figures.between,
        duration=figures.duration,
        setting=written,
        code=_code,
        pretty=_pretty,
        stamp=_stamp,
    )
    return made


def _shown(value: Any) -> Any:
    """Take from each text what a page may not hold; what we drew ourselves stays."""
    if value is None:
        return ""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _tone(word: str) -> headline.Tone:
    return headline.TONES.get(word, "plain")


def _code(text: str) -> Markup:
    """Set what stands between backticks as code; everything is escaped."""
    parts = clean(text).split("`")
    if len(parts) % 2 == 0:
        return escape(clean(text))
    set_as = (Markup("<code>%s</code>") if at % 2 else Markup("%s") for at in range(len(parts)))
    return Markup("").join(form % part for form, part in zip(set_as, parts, strict=True))


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
