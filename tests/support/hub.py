"""A hub of models on the loopback, for the real client, and plain files."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def commit_of(files: dict[str, bytes]) -> str:
    return hashlib.sha1(b''.join(files.values())).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answer the routes of ``snapshot_download``, and ``/files/NAME``."""

    protocol_version = 'HTTP/1.1'

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        server.asked.append((self.command, self.path))
        path, _, _ = self.path.partition('?')
        parts = path.strip('/').split('/')
        if parts[:1] == ['files'] and parts[-1] in server.files:
            self.send(server.files[parts[-1]])
        elif parts[:2] == ['api', 'models']:
            self.send_model('/'.join(parts[2:4]), parts[4:])
        elif parts[2:3] == ['resolve'] and self.find(parts):
            data = self.find(parts)
            etag = hashlib.sha256(data).hexdigest()
            self.send(data, ETag=f'"{etag}"', **{'X-Repo-Commit': parts[3]})
        else:
            self.send(b'', 404)

    def find(self, parts: list[str]) -> bytes | None:
        repository = self.server.models.get('/'.join(parts[:2]), {})
        return repository.get('/'.join(parts[4:]))

    def send_model(self, name: str, rest: list[str]) -> None:
        files = self.server.models.get(name)
        if files is None:
            self.send(b'{"error": "Repository not found"}', 404)
        elif rest[:1] == ['tree']:
            self.send_json(
                [
                    dict(
                        type='file',
                        path=path,
                        size=len(data),
                        oid=hashlib.sha1(data).hexdigest(),
                    )
                    for path, data in files.items()
                ]
            )
        else:
            siblings = [dict(rfilename=path) for path in files]
            self.send_json(
                dict(id=name, sha=commit_of(files), siblings=siblings)
            )

    def send_json(self, content) -> None:
        kind = {'Content-Type': 'application/json'}
        self.send(json.dumps(content).encode(), **kind)

    def send(self, data: bytes, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def log_message(self, *args) -> None:
        pass


@contextlib.contextmanager
def serve() -> Iterator[ThreadingHTTPServer]:
    """Yield a server; ``models`` and ``files`` are what it has.

    ``models`` maps OWNER/NAME to its files, ``files`` names to bytes;
    ``asked`` lists the requests.
    """
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.models, server.files, server.asked = {}, {}, []
    server.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
