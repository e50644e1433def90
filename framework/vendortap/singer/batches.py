"""BATCH files: JSON Lines, compressed as the message says."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig, StorageTarget
from singer_sdk.singerlib.json import serialize_json

from vendortap.declare.model import Record
from vendortap.errors import ConfigError, VendortapError
from vendortap.support.files import private_umask

_NEEDS = (
    "the setting 'batch_config' needs 'encoding' with 'format' (jsonl) and 'compression' (gzip or none), and 'storage' "
    "with 'root', such as file:///tmp/batches; 'prefix' and 'batch_size' may be added"
)


def batch_config(setting: Mapping[str, Any]) -> BatchConfig:
    """Return the setting ``batch_config`` as the SDK has it.

    Raises:
        ConfigError: a part of it is missing or unknown, or asks for files that are not written here.
    """
    try:
        config = BatchConfig.from_dict(dict(setting))
    except TypeError:
        raise ConfigError(_NEEDS) from None
    encoding, storage, size = config.encoding, config.storage, config.batch_size
    if not isinstance(encoding, BaseBatchFileEncoding) or not isinstance(storage, StorageTarget):
        raise ConfigError(_NEEDS)
    if encoding.format != "jsonl":
        raise ConfigError("the setting 'batch_config' has another 'format' than jsonl, the only one that is written")
    if encoding.compression not in (None, "none", "gzip"):
        raise ConfigError("the setting 'batch_config' has another 'compression' than gzip and none; choose one of them")
    if type(size) is not int or size < 1:
        raise ConfigError("the setting 'batch_config' has a 'batch_size' that is not a whole number from 1 on")
    try:
        storage.get_url(_name(storage, "x"))
    except Exception as error:  # noqa: BLE001 - a storage raises errors of its own, and its texts may hold a password
        raise ConfigError(
            f"the setting 'batch_config' has a 'storage' that cannot be used ({type(error).__name__}); check 'root' "
            "and 'prefix', and that the package of the storage is installed"
        ) from None
    return config


def write(config: BatchConfig, name: str, records: Iterable[Record]) -> list[str]:
    """Write records to a file whose name begins with ``name``; return the manifest, which is its URL.

    Raises:
        OSError: as the file system has it.
        VendortapError: a storage that is not a file system does not take it.
    """
    zipped = config.encoding.compression == "gzip"
    file_name = _name(config.storage, f"{name}-{uuid4()}.json{'.gz' if zipped else ''}")
    try:
        with (
            private_umask(),  # fsspec makes local files by itself
            config.storage.open(file_name, "wb") as file,
            gzip.GzipFile(fileobj=file, mode="wb") if zipped else nullcontext(file) as lines,
        ):
            lines.writelines(f"{serialize_json(record)}\n".encode() for record in records)
        return [config.storage.get_url(file_name)]
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - of a storage that is no file system, with texts of its own
        raise VendortapError(f"a BATCH file cannot be written ({type(error).__name__}); check 'storage'") from None


def _name(storage: StorageTarget, rest: str) -> str:
    return f"{storage.prefix or ''}{rest}"
