"""Debug files from debuginfod servers, kept where elfutils' own client keeps them.

Asked only when DEBUGINFOD_URLS is set. A server that fails is not asked again in this run, and one
line says so. https://sourceware.org/elfutils/Debuginfod.html describes variables and layout.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Final

from heaptide.symbols._elf import ElfError, ElfFile

_BUILD_ID: Final = re.compile(r"[0-9a-f]{8,128}")
_PIECE: Final = 1 << 16
_DEFAULT_TIMEOUT: Final = 30.0  # seconds without a byte
_DEFAULT_MAX_TIME: Final = 600.0
_DEFAULT_MAX_BYTES: Final = 4 << 30


class Debuginfod:
    """A client of the servers in `environment`. Raises nothing: a failure is a warning."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        env = os.environ if environment is None else environment
        urls = env.get("DEBUGINFOD_URLS", "").split()
        self._urls = [url.rstrip("/") for url in urls if url.startswith(("http://", "https://"))]
        self._timeout = _number(env, "DEBUGINFOD_TIMEOUT", _DEFAULT_TIMEOUT)
        self._max_time = _number(env, "DEBUGINFOD_MAXTIME", _DEFAULT_MAX_TIME)
        self._max_bytes = _number(env, "DEBUGINFOD_MAXSIZE", _DEFAULT_MAX_BYTES)
        base = Path(env.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
        self._cache = Path(env.get("DEBUGINFOD_CACHE_PATH") or base / "debuginfod_client")
        self._failed: set[str] = set()
        self._missing: set[str] = set()
        self.warnings: list[str] = [
            f"DEBUGINFOD_URLS: {url} is not an http or https address; left out"
            for url in urls
            if not url.startswith(("http://", "https://"))
        ]

    @property
    def enabled(self) -> bool:
        return bool(self._urls)

    def fetch(self, build_id: str) -> Path | None:
        """Path of the debug file of `build_id`, from the cache or a server, or None."""
        if not self._urls or not _BUILD_ID.fullmatch(build_id) or build_id in self._missing:
            return None
        path = self._cache / build_id / "debuginfo"
        if _has_build_id(path, build_id):
            return path
        for url in self._urls:
            if url not in self._failed and self._download(url, build_id, path):
                return path
        self._missing.add(build_id)
        return None

    def _download(self, url: str, build_id: str, path: Path) -> bool:
        request = urllib.request.Request(
            f"{url}/buildid/{build_id}/debuginfo", headers={"User-Agent": "heaptide"}
        )
        partial: Path | None = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                descriptor, name = tempfile.mkstemp(prefix=".part-", dir=path.parent)
                partial = Path(name)
                with os.fdopen(descriptor, "wb") as file:
                    self._copy(response, file)
            if not _has_build_id(partial, build_id):
                self._warn(url, f"answered {build_id} with a file of another build")
                return False
            partial.replace(path)
            return True
        except urllib.error.HTTPError as error:
            if error.code != 404:
                self._fail(url, f"answered with status {error.code}")
        except (OSError, ValueError) as error:
            self._fail(url, str(getattr(error, "reason", None) or error) or type(error).__name__)
        finally:
            with contextlib.suppress(OSError):
                if partial is not None:
                    partial.unlink(missing_ok=True)
                if not path.exists():
                    path.parent.rmdir()
        return False

    def _copy(self, response: http.client.HTTPResponse, file: BinaryIO) -> None:
        deadline = time.monotonic() + self._max_time
        size = 0
        while True:
            piece = response.read(_PIECE)
            if not piece:
                return
            size += len(piece)
            if size > self._max_bytes or time.monotonic() > deadline:
                raise OSError("the file is too large or comes too slowly")
            file.write(piece)

    def _fail(self, url: str, reason: str) -> None:
        self._failed.add(url)
        self._warn(url, f"{reason}; it is not asked again")

    def _warn(self, url: str, what: str) -> None:
        self.warnings.append(f"debuginfod server {url}: {what}")


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    """A limit by elfutils' rules: absent, malformed or 0 is the default."""
    try:
        value = float(env.get(name, ""))
    except ValueError:
        return default
    return value if value > 0 else default


def _has_build_id(path: Path, build_id: str) -> bool:
    try:
        with ElfFile.open(path) as found:
            return found.build_id == build_id
    except (OSError, ElfError):
        return False
