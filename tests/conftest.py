"""What every test starts from: no network, no keys, a home of its own."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

os.environ.update(
    COLUMNS="100",
    DO_NOT_TRACK="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HUB_OFFLINE="1",
    NO_COLOR="1",
    # Tests run beside each other: threads that look for work would take it from the others.
    OMP_WAIT_POLICY="PASSIVE",
    TOKENIZERS_PARALLELISM="false",
)
_LIVE = bool(os.environ.get("TUNEKIT_LIVE"))
"""Only `make live`, which buys a job, sees keys and the network."""
if not _LIVE:
    for _name in [name for name in os.environ if name.endswith(("_API_KEY", "_TOKEN"))]:
        del os.environ[_name]
for _name in ("CI", "FORCE_COLOR", "TUNEKIT_LOG_LEVEL"):
    os.environ.pop(_name, None)

if find_spec("hypothesis"):  # the environments for trackers and GPUs do without
    from hypothesis import settings

    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")

_NEEDS = {
    "unsloth": "TUNEKIT_UNSLOTH_PYTHON",
    "browser": "TUNEKIT_BROWSER",
    "trackers": "TUNEKIT_TRACKERS",
    "gpu": "TUNEKIT_GPU",
    "live": "TUNEKIT_LIVE",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need another machine or environment, unless it is named."""
    absent = [mark for mark, variable in _NEEDS.items() if not os.environ.get(variable)]
    out = [item for item in items if any(item.get_closest_marker(mark) for mark in absent)]
    if out:
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=out)


def _refuse(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if _LIVE or host is None or host in ("localhost", "::1") or str(host).startswith("127."):
        return
    raise AssertionError(f"a test reached for the network: {address!r}")


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            original = getattr(socket.socket, name)

            def guarded(self: socket.socket, address: Any, _original: Any = original) -> Any:
                _refuse(address)
                return _original(self, address)

            patch.setattr(socket.socket, name, guarded)
        yield


@pytest.fixture(scope="session")
def _converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where converted models outlive a test, and a session if it keeps a cache."""
    cache = getattr(request.config, "cache", None)
    return cache.mkdir("tunekit-models") if cache else tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def _compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled kernels outlive a test, and a session if it keeps a cache."""
    cache = getattr(request.config, "cache", None)
    return cache.mkdir("tunekit-kernels") if cache else tmp_path_factory.mktemp("kernels")


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest, _converted: Path, _compiled: Path) -> Iterator[Path]:
    """A `$TUNEKIT_HOME` for this test; models and kernels, once made, are shared by all tests."""
    room = None if request.node.get_closest_marker("slow") else _memory()
    with (
        tempfile.TemporaryDirectory(prefix="home-", dir=room, ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        (Path(folder) / "models").symlink_to(_converted)
        (Path(folder) / "kernels").symlink_to(_compiled)
        patch.setenv("TUNEKIT_HOME", folder)
        yield Path(folder)


def _memory() -> Path | None:
    """Give a place in memory: a run syncs its every step to disk, which may take its time."""
    place = Path("/dev/shm")
    return place if place.is_dir() and shutil.disk_usage(place).free > 1 << 30 else None
