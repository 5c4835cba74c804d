"""An imitation of the hub's HTTP API, with one repository, on a real socket."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.app.texts import write_text

REPOSITORY, COMMIT = "org/tiny", "c" * 40


@dataclass
class Hub:
    """A repository with one commit, on a real socket. Once, after `break_after` bytes, the connection breaks."""

    files: dict[str, bytes]
    url: str = ""
    break_after: int | None = None
    damage: bool = False
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def listing(self) -> dict[str, Any]:
        siblings = [self._described(name, data) for name, data in self.files.items()]
        return {"id": REPOSITORY, "modelId": REPOSITORY, "sha": COMMIT, "siblings": siblings, "tags": []}

    def tree(self) -> list[dict[str, Any]]:
        listed = [self._described(name, data) for name, data in self.files.items()]
        return [
            {"type": "file", "path": file["rfilename"], "size": file["size"], "oid": file["blobId"]}
            | ({"lfs": {**file["lfs"], "oid": file["lfs"]["sha256"]}} if "lfs" in file else {})
            for file in listed
        ]

    @staticmethod
    def _described(name: str, data: bytes) -> dict[str, Any]:
        described: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": hashlib.sha1(data).hexdigest()}  # noqa: S324
        if name.endswith(".safetensors"):
            described["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 100}
        return described


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if re.fullmatch(rf"/api/models/{REPOSITORY}(/revision/[\w.]+)?", path):
            self._send(200, json.dumps(self.hub.listing()).encode(), {}, with_body=with_body)
        elif re.fullmatch(rf"/api/models/{REPOSITORY}/tree/{COMMIT}", path):
            self._send(200, json.dumps(self.hub.tree()).encode(), {}, with_body=with_body)
        elif match := re.fullmatch(rf"/{REPOSITORY}/resolve/\w+/(.+)", path):
            self._file(match[1], with_body=with_body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body=with_body)

    def _file(self, name: str, *, with_body: bool) -> None:
        if name not in self.hub.files:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body=with_body)
            return
        data = self.hub.files[name]
        etag = hashlib.sha256(data).hexdigest()
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if self.hub.damage and name.endswith(".safetensors"):
            data = data[:-1] + bytes([data[-1] ^ 1])
        status, start = 200, 0
        if given := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, start = 206, int(given[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        breaks = with_body and name == "more.safetensors" and self.hub.break_after
        self._send(status, data[start:], headers, with_body=with_body, upto=int(breaks) if breaks else None)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], *, with_body: bool, upto: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body and upto is None:
            self.wfile.write(body)
        elif with_body:
            self.hub.break_after = None
            self.wfile.write(body[:upto])
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True


@contextmanager
def serve_hub(folder: Path) -> Iterator[Hub]:
    """Serve a tiny checkpoint, which is written into the folder, with a pickle and a card beside it."""
    checkpoint = write_text(folder, "transformers/bert", vocab_size=20_000, width=24)
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    stand_in = Hub(files={**files, "pytorch_model.bin": b"not wanted", "README.md": b"# tiny"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": stand_in}))
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield stand_in
    server.shutdown()
    server.server_close()
