"""Documents inside records: from Base64 text into files, or fsspec's storages, named by what they hold."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from pathlib import Path
from typing import Any

from vendortap.errors import ConfigError, RecordError
from vendortap.files import write_atomically
from vendortap.model import Record

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


def companion_names(name: str) -> tuple[str, ...]:
    """Return the properties that say where the document in property ``name`` went, and what it is."""
    return (f"{name}_path", f"{name}_size", f"{name}_sha256", f"{name}_media_type")


class Documents:
    """A folder of documents; ``keep`` may be called by any number of threads.

    ``directory`` is a local path or any URL that fsspec knows. A document's name is its SHA-256, so nothing a
    vendor sends can name a place, and the same document twice is one file.

    Raises:
        ConfigError: the folder cannot be made, or fsspec does not know the URL.
    """

    def __init__(self, directory: str) -> None:
        self._local = Path(directory) if "://" not in directory else None
        try:
            if self._local:
                self._local.mkdir(parents=True, exist_ok=True)
                self._storage: Any = None
            else:
                import fsspec  # a dependency of singer-sdk; the storage's own package is the operator's choice

                self._storage, self._root = fsspec.core.url_to_fs(directory)
                self._storage.makedirs(self._root, exist_ok=True)
        except (OSError, ValueError, ImportError) as error:
            raise ConfigError(f"the folder 'documents_dir' cannot be used: {error}") from None

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
        record.update(zip(companion_names(name), (path, len(data), digest, kind), strict=True))

    def _write(self, file_name: str, data: bytes) -> str:
        try:
            if self._local:
                path = self._local / file_name
                if not path.exists():
                    write_atomically(path, data)
                return str(path)
            url = f"{self._root.rstrip('/')}/{file_name}"
            if not self._storage.exists(url):
                self._storage.pipe_file(url, data)
            return str(self._storage.unstrip_protocol(url))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise ConfigError(f"a document cannot be written to 'documents_dir': {reason}") from None


def media_type(data: bytes) -> str:
    """Tell the media type from the first bytes; text that nothing else claims is ``text/plain``."""
    import puremagic

    try:
        return str(puremagic.from_string(data, mime=True)) or "application/octet-stream"
    except (puremagic.PureError, ValueError):
        pass
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain" if data else "application/octet-stream"
