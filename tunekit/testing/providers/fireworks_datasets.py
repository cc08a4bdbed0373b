"""Datasets: registered, uploaded in one of two ways, and ready a little later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from tunekit.testing.providers import fireworks_rows as rows
from tunekit.testing.providers.fireworks_errors import (
    Refusal,
    invalid,
    missing,
    taken,
    too_early,
)
from tunekit.testing.providers.fireworks_links import Links
from tunekit.testing.providers.fireworks_place import TIME, Place, paged
from tunekit.testing.providers.fireworks_requests import body_of, check_id, check_table, checked
from tunekit.testing.providers.fireworks_settings import Settings
from tunekit.testing.providers.fireworks_tables import UPLOAD_ENDPOINT
from tunekit.testing.providers.server import Reply, Request

MOST_BYTES = 150 * 1000 * 1000
"""What `:upload` takes; more goes through signed addresses."""


@dataclass
class Dataset:
    """What the server knows of a dataset."""

    id: str
    name: str
    given: Mapping[str, Any]
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    registered: dict[str, int] = field(default_factory=dict[str, int])
    kind: rows.RowKind = "chat"
    rows: int = 0
    refused: Refusal | None = None
    validated: bool = False
    gets: int = 0
    """Looks since the rows were accepted."""
    ready: bool = False
    uploads: int = 0

    def view(self) -> dict[str, Any]:
        """Describe it as the service does."""
        code = self.refused.code if self.refused else "OK"
        message = self.refused.message if self.refused else ""
        return {
            "name": self.name,
            "displayName": "",
            "createTime": TIME,
            "updateTime": TIME,
            "createdBy": "me@example.com",
            "state": "READY" if self.ready else "UPLOADING",
            "status": {"code": code, "message": message},
            "estimatedTokenCount": str(sum(map(len, self.files.values())) // 4),
            **self.given,
        }


class Datasets:
    """Answer what concerns datasets."""

    def __init__(self, links: Links, settings: Settings) -> None:
        self.kept: dict[str, Dataset] = {}
        self._links = links
        self._settings = settings

    def create(self, request: Request, place: Place) -> Reply:
        """Register a dataset under an id that is not taken."""
        body = checked(request, "datasets")
        given = body.get("dataset", {})
        key = check_id("datasetId", body.get("datasetId", ""))
        if not re.fullmatch(r"[0-9]+", given.get("exampleCount", "")):
            raise invalid("dataset.exampleCount", "is required, as digits in a string")
        name = f"accounts/{place.account}/datasets/{key}"
        if key in self.kept:
            raise taken("dataset")
        self.kept[key] = Dataset(key, name, given)
        return Reply(self.kept[key].view())

    def get(self, request: Request, place: Place) -> Reply:
        """Describe a dataset; looking at it lets time pass."""
        dataset = self._found(place)
        dataset.gets += dataset.validated
        self._ripen(dataset)
        return Reply(dataset.view())

    def page(self, request: Request, place: Place) -> Reply:
        """Describe all datasets, a page at a time."""
        views = [one.view() for one in self.kept.values()]
        return paged(request, "datasets", views)

    def delete(self, request: Request, place: Place) -> Reply:
        """Forget a dataset."""
        del self.kept[self._found(place).id]
        return Reply({})

    def upload(self, request: Request, place: Place) -> Reply:
        """Take a small file in one request."""
        dataset = self._found(place)
        name, content = _file_of(request)
        if len(content) > MOST_BYTES:
            raise invalid(
                "file", f"{len(content)} bytes are more than {MOST_BYTES}", what="TOO_BIG"
            )
        self._register(dataset, {name: len(content)})
        dataset.files[name] = content
        self._accept(dataset)
        answer = {"filename": name, "object": "file", "bytes": len(content), "created_at": 0}
        return Reply(answer | {"id": dataset.name, "purpose": "fine-tune"})

    def upload_endpoint(self, request: Request, place: Place) -> Reply:
        """Give signed addresses for these files, in place of those registered before."""
        dataset = self._found(place)
        body = body_of(request)
        check_table(body, UPLOAD_ENDPOINT, "")
        sizes = {name: _size(size) for name, size in body.get("filenameToSize", {}).items()}
        if not sizes:
            raise invalid("filenameToSize", "names no file", what="REQUIRED")
        self._register(dataset, sizes)
        urls = {name: self._address(dataset, name, size) for name, size in sizes.items()}
        return Reply({"filenameToSignedUrls": urls})

    def validate(self, request: Request, place: Place) -> Reply:
        """Read the rows once every registered file is there."""
        dataset = self._found(place)
        lacking = sorted(dataset.registered.keys() - dataset.files.keys())
        if lacking or not dataset.registered:
            raise too_early(f"not uploaded: {', '.join(lacking) or 'any file'}")
        self._accept(dataset)
        return Reply({})

    def download_endpoint(self, request: Request, place: Place) -> Reply:
        """Give signed addresses of what was uploaded."""
        dataset = self._found(place)
        urls = {
            name: self._links.to_read(f"{dataset.name}/{name}", content)
            for name, content in dataset.files.items()
        }
        return Reply({"filenameToSignedUrls": urls})

    def ready(self, name: str, *, field: str) -> Dataset:
        """Find a dataset that a job may read.

        Raises:
            Refusal: there is none of this name, or it is not ready.
        """
        dataset = next((one for one in self.kept.values() if one.name == name), None)
        if dataset is None:
            raise invalid(field, f"{name} not found", what="NOT_FOUND")
        if not dataset.ready:
            raise too_early(f"{name} is not READY", reason="DATASET_NOT_READY")
        return dataset

    def _found(self, place: Place) -> Dataset:
        if place.id not in self.kept:
            raise missing(place.name)
        return self.kept[place.id]

    def _ripen(self, dataset: Dataset) -> None:
        dataset.ready |= dataset.validated and dataset.gets >= self._settings.ticks

    def _register(self, dataset: Dataset, sizes: dict[str, int]) -> None:
        self._links.forget(f"{dataset.name}/")
        dataset.registered, dataset.files, dataset.refused = sizes, {}, None
        dataset.validated, dataset.ready, dataset.gets = False, False, 0
        dataset.uploads += 1

    def _address(self, dataset: Dataset, name: str, size: int) -> str:
        def keep(content: bytes) -> None:
            dataset.files[name] = content

        return self._links.to_write(f"{dataset.name}/{dataset.uploads}/{name}", size, keep)

    def _accept(self, dataset: Dataset) -> None:
        try:
            dataset.kind, dataset.rows = rows.read(list(dataset.files.values()))
        except Refusal as refusal:
            dataset.refused = refusal
            raise
        dataset.validated = True
        self._ripen(dataset)


def _size(size: Any) -> int:
    if not isinstance(size, str) or not size.isdigit():
        raise invalid("filenameToSize", "sizes are digits in strings")
    return int(size)


def _file_of(request: Request) -> tuple[str, bytes]:
    """Name and bytes of the one field `file` of a multipart body (RFC 7578)."""
    message = Message()
    message["Content-Type"] = request.headers.get("content-type", "")
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise invalid("file", "expected multipart/form-data", what="REQUIRED")
    for part in request.body.split(b"--" + boundary.encode()):
        head, _, content = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            name = re.search(rb'filename="([^"]*)"', head)
            return (name.group(1).decode() if name else "file"), content.removesuffix(b"\r\n")
    raise invalid("file", "there is no field of this name", what="REQUIRED")
