"""Files at Together: registered, put to a signed address, validated."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tunekit.testing.providers.checks import Refused, check
from tunekit.testing.providers.routes import Handler
from tunekit.testing.providers.server import Reply, Request
from tunekit.testing.providers.together_requests import ABORT, COMPLETE, INITIATE, REGISTER
from tunekit.testing.providers.together_rows import report


@dataclass
class StoredFile:
    """A file and what became of it."""

    id: str
    name: str
    kind: str
    purpose: str
    checksum: str
    """What the client said; sha256 in hexadecimal."""
    content: bytes | None = None
    status: str = ""
    """Empty until the client asks for validation."""
    report: dict[str, Any] | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    def advance(self) -> None:
        """Go one step on in validation."""
        if self.status == "PENDING":
            self.status = "RUNNING"
        elif self.status == "RUNNING":
            self._validate()

    def _validate(self) -> None:
        content = self.content or b""
        if hashlib.sha256(content).hexdigest() != self.checksum:
            self.status = "FAILED"
            self.report = {"valid": False, "error": "The bytes do not have the checksum told"}
            return
        self.report = {**report(content, self.kind), "file_id": self.id}
        self.status = "COMPLETED" if self.report["valid"] else "INVALID_FORMAT"

    def wire(self) -> dict[str, Any]:
        """Give the file as Together writes it."""
        told: dict[str, Any] = {
            "id": self.id,
            "object": "file",
            "created_at": self.created,
            "filename": self.name,
            "bytes": len(self.content or b""),
            "purpose": self.purpose,
            "FileType": self.kind,
            "Processed": self.status == "COMPLETED",
            "LineCount": (self.report or {}).get("nlines", 0),
        }
        if self.status:
            told["processing_status"] = self.status
        if self.report is not None:
            told["validation_report"] = self.report
        return told


@dataclass
class _Multipart:
    file: StoredFile
    parts: dict[int, bytes] = field(default_factory=dict[int, bytes])
    count: int = 0


class FileStore:
    """All files of the account, and the signed addresses they are put to."""

    def __init__(self, url: str) -> None:
        self.files: dict[str, StoredFile] = {}
        self._url = url
        self._uploads: dict[str, _Multipart] = {}
        self._signed: dict[str, tuple[str, int]] = {}
        self._expiring = 0
        self._count = 0

    def routes(self) -> dict[str, Handler]:
        """Give what is answered here."""
        one = "/v1/files/{}"
        return {
            "POST /v1/files": self.register,
            "GET /v1/files": self.listing,
            f"GET {one}": self.retrieve,
            f"DELETE {one}": self.delete,
            f"GET {one}/content": self.content,
            f"POST {one}/preprocess": self.preprocess,
            "POST /v1/files/multipart/initiate": self.initiate,
            "POST /v1/files/multipart/complete": self.complete,
            "POST /v1/files/multipart/abort": self.abort,
        }

    def expire(self, count: int = 1) -> None:
        """Let the next uploads to a signed address find that its time is over."""
        self._expiring += count

    def register(self, request: Request) -> Reply:
        """Give the address to put a file to, or 409 with the id of the file with these bytes."""
        told = check(_form(request), REGISTER)
        known = self._known(told["checksum"])
        if known is not None:
            return Reply({"file_id": known.id}, 409)
        file = self._new(told)
        where = self._sign(file.id, 0)
        return Reply(None, 302, {"Location": where, "X-Together-File-Id": file.id})

    def put(self, signature: str, content: bytes, *, authorized: bool) -> Reply:
        """Take the bytes of a file or part, as an object store does."""
        if authorized:
            return Reply(b"<Error><Code>InvalidArgument</Code></Error>", 400)
        if self._expiring:
            self._expiring -= 1
            self._signed.pop(signature, None)
        if signature not in self._signed:
            return Reply(b"<Error><Code>AccessDenied</Code></Error>", 403)
        owner, part = self._signed[signature]
        if part:
            self._uploads[owner].parts[part] = content
        else:
            self.files[owner].content = content
        return Reply(b"", 200, {"ETag": f'"{hashlib.md5(content).hexdigest()}"'})

    def preprocess(self, request: Request, file_id: str) -> Reply:
        """Begin to validate a file that was put."""
        file = self.get(file_id)
        if file.content is None:
            raise Refused(400, f"{file_id} has no content yet", param="id")
        file.status = file.status or "PENDING"
        return Reply(file.wire())

    def get(self, file_id: str) -> StoredFile:
        """Give a file.

        Raises:
            Refused: 404.
        """
        if file_id not in self.files:
            raise Refused(404, f"File not found: {file_id}", param="id")
        return self.files[file_id]

    def retrieve(self, request: Request, file_id: str) -> Reply:
        """Show a file, one step further in its validation."""
        file = self.get(file_id)
        file.advance()
        return Reply(file.wire())

    def content(self, request: Request, file_id: str) -> Reply:
        """Give the bytes back."""
        return Reply(self.get(file_id).content or b"")

    def listing(self, request: Request) -> Reply:
        """Show all files that have content."""
        held = [file for file in self.files.values() if file.content is not None]
        return Reply({"data": [file.wire() for file in held]})

    def delete(self, request: Request, file_id: str) -> Reply:
        """Forget a file."""
        del self.files[self.get(file_id).id]
        return Reply({"id": file_id, "deleted": True})

    def initiate(self, request: Request) -> Reply:
        """Begin an upload in parts."""
        told = check(request.json(), INITIATE)
        known = self._known(told["checksum"])
        if known is not None:
            return Reply({"file_id": known.id}, 409)
        file = self._new(told)
        upload = f"upload-{self._count}"
        self._uploads[upload] = _Multipart(file, count=told["num_parts"])
        parts: list[dict[str, Any]] = [
            {"PartNumber": part, "URL": self._sign(upload, part), "Headers": {}}
            for part in range(1, told["num_parts"] + 1)
        ]
        return Reply({"upload_id": upload, "file_id": file.id, "parts": parts})

    def complete(self, request: Request) -> Reply:
        """Join the parts, if all are there under the tags they were answered with."""
        told = check(request.json(), COMPLETE)
        upload = self._upload(told)
        tags = {part["part_number"]: part["etag"].strip('"') for part in told["parts"]}
        held = {part: hashlib.md5(data).hexdigest() for part, data in upload.parts.items()}
        if tags != held or len(held) != upload.count:
            raise Refused(400, "parts are missing or their ETags differ", param="parts")
        del self._uploads[told["upload_id"]]
        upload.file.content = b"".join(upload.parts[part] for part in sorted(upload.parts))
        upload.file.status = "PENDING"
        return Reply({"file": upload.file.wire()})

    def abort(self, request: Request) -> Reply:
        """Forget an upload in parts."""
        told = check(request.json(), ABORT)
        upload = self._upload(told)
        del self._uploads[told["upload_id"]]
        self.files.pop(upload.file.id, None)
        return Reply({})

    def _upload(self, told: Mapping[str, Any]) -> _Multipart:
        upload = self._uploads.get(told["upload_id"])
        if upload is None or upload.file.id != told["file_id"]:
            raise Refused(404, f"Upload not found: {told['upload_id']}", param="upload_id")
        return upload

    def _known(self, checksum: str) -> StoredFile | None:
        held = (file for file in self.files.values() if file.content is not None)
        return next((file for file in held if file.checksum == checksum), None)

    def _new(self, told: Mapping[str, Any]) -> StoredFile:
        self._count += 1
        digest = hashlib.sha256(f"{self._count}{told['checksum']}".encode()).hexdigest()
        file_id = f"file-{digest[:8]}-{digest[8:12]}-{digest[12:16]}"
        file = StoredFile(
            file_id, told["file_name"], told["file_type"], told["purpose"], told["checksum"]
        )
        self.files[file_id] = file
        return file

    def _sign(self, owner: str, part: int) -> str:
        signature = hashlib.sha256(f"{owner}/{part}/{len(self._signed)}".encode()).hexdigest()[:24]
        self._signed[signature] = (owner, part)
        return f"{self._url}/_blob/{owner}?signature={signature}"


def _form(request: Request) -> dict[str, str]:
    """Read the fields of a `multipart/form-data` body.

    Raises:
        Refused: 400, it is none.
    """
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise Refused(400, "the body must be multipart/form-data")
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_content().strip()
        for part in message.iter_parts()
    }
