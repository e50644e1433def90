"""Documents inside records: from Base64 text into files, or fsspec's storages, named by what they hold."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from pathlib import Path
from typing import Any

from vendortap.declare.model import Record
from vendortap.errors import ConfigError, RecordError
from vendortap.support.files import open_private, real_path, remove_temporary, write_atomically

_SUFFIXES = {
    "application/pdf": ".pdf",
    "application/xml": ".xml",
    "text/xml": ".xml",
    "text/html": ".html",
    "text/plain": ".txt",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tiff",
    "application/zip": ".zip",
}
_ZIP = b"PK\x03\x04"
_FILE_NAME = r"[0-9a-f]{64}(\.\w+)?"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ABANDONED_SECONDS = 3600.0
"""A temporary file as old as this is no other process's any more: it was killed while it wrote."""
_SURE = 0.3
"""Less than this is a signature of two letters, with which many a text begins."""


def companion_names(name: str) -> tuple[str, ...]:
    """Return the properties that say where the document in property ``name`` went, and what it is."""
    return (f"{name}_path", f"{name}_size", f"{name}_sha256", f"{name}_media_type")


class Documents:
    """A folder of documents; ``keep`` may be called by any number of threads.

    ``directory`` is a local path or any URL that fsspec knows. A document's name is its SHA-256, so nothing a
    vendor sends can name a place, and the same document twice is one file. What lies under that name already is
    believed once its content has been compared, and replaced otherwise.

    Raises:
        ConfigError: the folder cannot be made, or fsspec does not know the URL.
    """

    def __init__(self, directory: str) -> None:
        self._storage: Any = None
        self._local: Path | None = None
        scheme = _SCHEME.match(directory)
        self._scheme = f" {scheme[1]!r}" if scheme else ""
        try:
            if "://" in directory:
                import fsspec  # a dependency of singer-sdk; the storage's own package is the operator's choice
                from fsspec.implementations.local import LocalFileSystem

                self._storage, self._root = fsspec.core.url_to_fs(directory)
                is_local = isinstance(self._storage, LocalFileSystem)
            else:
                self._root, is_local = directory, True
            if is_local:
                self._local = Path(self._root)
                self._local = real_path(self._local)
                self._local.mkdir(mode=0o700, parents=True, exist_ok=True)
                remove_temporary(self._local, _FILE_NAME, _ABANDONED_SECONDS)
            else:
                self._storage.makedirs(self._root, exist_ok=True)
        except Exception as error:  # noqa: BLE001 - a storage raises errors of its own
            raise ConfigError(f"the folder 'documents_dir' cannot be used: {self._reason(error)}") from None

    def keep(self, record: Record, name: str) -> None:
        """Put the Base64 text in property ``name`` into a file; the record then says where, and what it is.

        ``<name>_path``, ``<name>_size`` (bytes), ``<name>_sha256`` (hexadecimal) and ``<name>_media_type`` (told
        from the bytes) take its place.

        Raises:
            RecordError: the text is not Base64 (RFC 4648, 4).
            ConfigError: the file cannot be written.
        """
        if (text := record[name]) is None:
            return
        try:
            data = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise RecordError(f"the document in {name} is not Base64; report it to the vendor") from None
        digest, kind = hashlib.sha256(data).hexdigest(), media_type(data)
        path = self._write(f"{digest}{_SUFFIXES.get(kind, '')}", data)
        record[name] = None
        for companion, value in zip(companion_names(name), (path, len(data), digest, kind), strict=True):
            record[companion] = value

    def _write(self, file_name: str, data: bytes) -> str:
        try:
            if self._local:
                if not _has(self._local / file_name, data):
                    write_atomically(self._local / file_name, data, follow=False)
                path = str(Path(self._root) / file_name)
                return str(self._storage.unstrip_protocol(path)) if self._storage else path
            url = f"{self._root.rstrip('/')}/{file_name}"
            if not self._stores(url, data):
                self._storage.pipe_file(url, data)
            return str(self._storage.unstrip_protocol(url))
        except Exception as error:  # noqa: BLE001 - a storage raises errors of its own
            raise ConfigError(f"a document cannot be written to 'documents_dir': {self._reason(error)}") from None

    def _stores(self, url: str, data: bytes) -> bool:
        """Whether a storage has just this; its size tells most of what was cut short without another transfer."""
        storage = self._storage
        return bool(storage.exists(url) and storage.size(url) == len(data) and storage.cat_file(url) == data)

    def _reason(self, error: Exception) -> str:
        """Say why, without the address: it may hold a password. What is not installed is told in full."""
        if isinstance(error, OSError) and error.errno:
            return (self._local and error.strerror) or os.strerror(error.errno)
        if isinstance(error, ValueError) and not self._local:  # its text quotes parts of the URL
            return f"fsspec cannot use its URL; check the scheme{self._scheme}, and percent-encode what is behind it"
        return str(error) if isinstance(error, ImportError) else type(error).__name__


def _has(path: Path, data: bytes) -> bool:
    """Whether a file of ours holds just this; what is another user's, or no file, does not."""
    try:
        with open(path, "rb", opener=open_private) as file:
            return os.fstat(file.fileno()).st_size == len(data) and file.read() == data
    except OSError:
        return False


def media_type(data: bytes) -> str:
    """Tell the media type from the bytes; text that nothing else lays good claim to is ``text/plain``.

    A ZIP is just that: its first bytes do not tell which of the formats made of one it is.
    """
    import puremagic

    if data.startswith(_ZIP):
        return "application/zip"
    try:
        best = puremagic.magic_string(data)[0]
        found, is_sure = best.mime_type, best.confidence >= _SURE
    except (puremagic.PureError, ValueError):
        found, is_sure = "", False
    if _is_text(data) and not (found and is_sure):
        return "text/plain"
    return found or "application/octet-stream"


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return bool(text) and "\0" not in text
