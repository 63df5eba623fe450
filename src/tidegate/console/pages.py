"""The built web console as the server hands it out: files whose names change with their content, one page for every
address of the console, and the headers that keep anything foreign out of it.

The page and its files say nothing of any task: they are open to everybody, and what they show they ask of the API.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import secrets
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from tidegate.errors import NotFound

PREFIX = "/console"
STATIC = Path(__file__).parent / "static"
NONCE_MARK = "__CSP_NONCE__"
"""Where the built page has the place of the nonce."""

ASSETS = "assets/"
FOREVER = "public, max-age=31536000, immutable"
GZIP_LEAST_BYTES = 1400
"""Less fits into one packet anyway."""

# A nonce for the one style element that the components write; nothing inline else, and nothing from elsewhere.
# `style-src-attr`: charts and meters set sizes on elements, by the object model and not as text.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

NOT_BUILT = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tidegate</title></head>
<body><h1>The console is not built</h1>
<p>This Tidegate was installed from its sources, and npm was not there or did not succeed. Everything else works: the
API and the command line need no console.</p>
<p>With Node.js 20 or newer, this builds it, in the folder of the sources, and says what it lacks:</p>
<pre>make console</pre>
<p>Then install from that folder once more (<code>pip install --force-reinstall --no-deps .</code>), unless the server
runs from it, and start the server again. A wheel of Tidegate has the console built in.</p></body></html>
"""


class Console:
    """The files under `static`, as they were when the server started: an address can lead to nothing else."""

    def __init__(self, static: Path = STATIC) -> None:
        self._files = {
            path.relative_to(static).as_posix(): path for path in sorted(static.rglob("*")) if path.is_file()
        }
        page = self._files.pop("index.html", None)
        self._page = page.read_text(encoding="utf-8") if page else None
        self._packed = lru_cache(maxsize=None)(_packed)

    @property
    def build(self) -> str:
        """Names what was built: a page that is still open can tell that it is of another. Empty: nothing was."""
        return hashlib.sha256((self._page or "").encode()).hexdigest()[:12] if self._page else ""

    def page(self) -> Response:
        """The page, whatever address of the console was asked for: which view it shows is its own affair."""
        headers = {"Cache-Control": "no-store", **HEADERS}
        if self._page is None:
            policy = "default-src 'none'; frame-ancestors 'none'"
            return _html(NOT_BUILT, {**headers, "Content-Security-Policy": policy}, status=503)
        nonce = secrets.token_urlsafe(18)
        headers["Content-Security-Policy"] = POLICY.format(nonce=nonce)
        return _html(self._page.replace(NONCE_MARK, nonce), headers)

    def file(self, name: str, *, gzipped: bool) -> Response:
        """One of the built files. Raises `NotFound`."""
        path = self._files.get(name)
        if path is None:
            raise NotFound(f"the console has no file {name[:200]}")
        whole, packed = self._packed(path)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        headers = {"Cache-Control": FOREVER if name.startswith(ASSETS) else "no-cache", "Vary": "Accept-Encoding"}
        if gzipped and packed is not None:
            return Response(packed, media_type=kind, headers={**headers, "Content-Encoding": "gzip"})
        return Response(whole, media_type=kind, headers=headers)

    def has(self, name: str) -> bool:
        return name.startswith(ASSETS) or name in self._files


def _packed(path: Path) -> tuple[bytes, bytes | None]:
    whole = path.read_bytes()
    packed = gzip.compress(whole, 6) if len(whole) >= GZIP_LEAST_BYTES else whole
    return whole, packed if len(packed) < len(whole) else None


def _html(text: str, headers: dict[str, str], *, status: int = 200) -> Response:
    return Response(text, status_code=status, media_type="text/html; charset=utf-8", headers=headers)


def open_to_all(path: str) -> bool:
    """Whether an address is the console's, which anybody may load."""
    return path in ("/", PREFIX) or path.startswith(f"{PREFIX}/")


def router(console: Console) -> APIRouter:
    """The routes of the console."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    @routes.get(PREFIX)
    def enter() -> Response:
        return RedirectResponse(f"{PREFIX}/", status_code=307)

    @routes.get(f"{PREFIX}/{{name:path}}")
    def give(request: Request, name: str) -> Response:
        if console.has(name):
            return console.file(name, gzipped="gzip" in request.headers.get("accept-encoding", ""))
        return console.page()

    return routes
