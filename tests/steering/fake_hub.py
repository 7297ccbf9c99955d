"""A Hugging Face hub of one machine: the few addresses that pushing and fetching files ask for.

It keeps the newest files of every repo, answers over real HTTP, and asks for a token to write.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_right"


class FakeHub:
    """`repos[name][path]` is a file's bytes; `pushes` counts commits; `seen` are the requests."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.pushes = 0
        self.seen: list[str] = []
        self.private: set[str] = set()

    def commit_of(self, repo: str) -> str:
        """A name for the present state, as long as git's."""
        found = hashlib.sha1(repo.encode())
        for path, content in sorted(self.repos[repo].items()):
            found.update(path.encode() + content)
        return found.hexdigest()

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        """Do what the lines of a commit say."""
        files = self.repos[repo]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.pushes += 1


@contextmanager
def serving(hub: FakeHub) -> Iterator[str]:
    """Serve a hub on a free port of this machine while the block runs; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(b"")

        def do_HEAD(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        def _answer(self, body: bytes) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.seen.append(f"{self.command} {path}")
            allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            status, headers, content = _respond(hub, self.command, path, body, allowed)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


Answer = tuple[int, dict[str, str], bytes]


def _respond(hub: FakeHub, method: str, path: str, body: bytes, allowed: bool) -> Answer:
    if method == "POST" and not allowed:
        return _json({"error": "Invalid credentials"}, 401)
    if path == "/api/repos/create":
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in hub.repos:
            return _json({"error": "exists", "url": f"https://huggingface.co/{repo}"}, 409)
        hub.repos[repo] = {".gitattributes": b""}
        if asked.get("private") or asked.get("visibility") == "private":
            hub.private.add(repo)
        return _json({"url": f"https://huggingface.co/{repo}"})
    if path == "/api/validate-yaml":
        return _json({"errors": [], "warnings": []})
    found = re.match(r"/api/models/([^/]+/[^/]+)(.*)", path)
    if found:
        return _about(hub, found[1], found[2], body, allowed)
    found = re.match(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
    if not found:
        return _json({"error": f"no address {path}"}, 404)
    repo, _, file = found.groups()
    if repo not in hub.repos or (repo in hub.private and not allowed):
        return _missing("RepoNotFound")
    if file not in hub.repos[repo]:
        return _missing("EntryNotFound")
    content = hub.repos[repo][file]
    tag = hashlib.sha1(content).hexdigest()
    return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": hub.commit_of(repo)}, content


def _about(hub: FakeHub, repo: str, rest: str, body: bytes, allowed: bool) -> Answer:
    """What is asked about a repo, or done to it."""
    if repo not in hub.repos or (repo in hub.private and not allowed):
        return _missing("RepoNotFound")
    if rest.startswith("/preupload"):
        paths = [one["path"] for one in json.loads(body)["files"]]
        modes = [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]
        return _json({"files": modes})
    if rest.startswith("/commit"):
        hub.commit(repo, [json.loads(line) for line in body.splitlines()])
        commit = hub.commit_of(repo)
        return _json(
            {"commitUrl": f"https://huggingface.co/{repo}/commit/{commit}", "commitOid": commit}
        )
    if rest.startswith("/revision/") and not fnmatch(rest, "/revision/main"):
        known = rest.removeprefix("/revision/") == hub.commit_of(repo)
        if not known:
            return _missing("RevisionNotFound")
    files = hub.repos[repo]
    if rest.startswith("/tree"):
        return _json(
            [{"type": "file", "oid": "0", "path": p, "size": len(c)} for p, c in files.items()]
        )
    siblings = [{"rfilename": name} for name in files]
    return _json({"id": repo, "sha": hub.commit_of(repo), "siblings": siblings, "tags": []})


def _missing(code: str) -> Answer:
    return 404, {"X-Error-Code": code, "X-Error-Message": code}, b"{}"


def _json(value: Any, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()
