"""What a job leaves: the files of its model, fetched one by one from signed addresses."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tunekit.adapters.allowed import is_allowed
from tunekit.backends.download import Link, download
from tunekit.backends.fireworks.account import Account
from tunekit.backends.fireworks.look import table
from tunekit.backends.wait import until
from tunekit.errors import AdapterError, BackendDown

_LIMIT = 900.0
"""Seconds that a model may take to be ready after its job."""


def bring(account: Account, model: str, into: Path, *, pause: float) -> None:
    """Leave the files of a model in `into`; what a cut left is taken up again.

    Names are taken by their last part, and only those of an adapter or a model.

    Raises:
        AdapterError: there are none.
        BackendDown: the model is not ready, or the connection fails.
    """
    _wait(account, model, pause)
    urls = _urls(account, model)
    part = into.with_name(into.name + ".download")
    part.mkdir(mode=0o700, exist_ok=True)
    for name, key in _wanted(urls, model).items():
        download(account.http, _link(account, model, key, urls[key]), part / name)
    for file in sorted(part.iterdir()):
        if is_allowed(file.name):
            file.replace(into / file.name)
    shutil.rmtree(part)


def _wait(account: Account, model: str, pause: float) -> None:
    until(
        lambda state: state == "READY",
        lambda: str(account.get(model).get("state")),
        pause=pause,
        patience=_LIMIT,
        late=lambda state: BackendDown(
            f"fireworks: {model} is still {state}; try again later", backend="fireworks"
        ),
    )


def _urls(account: Account, model: str) -> Mapping[str, str]:
    answer = account.get(f"{model}:getDownloadEndpoint")
    urls = table(answer, "filenameToSignedUrls")
    return {name: url for name, url in urls.items() if isinstance(url, str)}


def _wanted(urls: Mapping[str, str], model: str) -> dict[str, str]:
    """Give the file names to keep, each with the service's own key."""
    found: dict[str, str] = {}
    for key in sorted(urls):
        name = key.rpartition("/")[2]
        if not is_allowed(name):
            continue
        if name in found:
            raise AdapterError(f"{model}: has two files named {name}: {found[name]} and {key}")
        found[name] = key
    if not found:
        raise AdapterError(f"{model}: Fireworks gives no file of an adapter or a model")
    return found


def _link(account: Account, model: str, key: str, first: str) -> Callable[[], Link]:
    """Give the address at hand first, and a fresh one each time after that."""
    at_hand = [first]

    def link() -> Link:
        url = at_hand.pop() if at_hand else _urls(account, model).get(key, "")
        return Link(url=url, signed=True, size=None, sha256=None)

    return link
