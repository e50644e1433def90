"""Singer targets, each with what is to be set and how what it stored is read back."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import executable

if TYPE_CHECKING:
    from pyarrow import fs

    from tests.integration.environments import Environment
    from tests.integration.postgres import Server
    from tests.integration.truth import Row


@dataclass(frozen=True)
class Stored:
    """A stream's table as it is stored: columns with their types in the store's own words, and rows."""

    types: Mapping[str, str]
    rows: list[Row]


@dataclass(frozen=True)
class Store:
    """A target and what it loads into.

    ``config`` gives its settings for a load of that name, ``read`` a stream of that load. ``upserts`` says that of
    rows with the same key the last remains, ``nested`` how objects and arrays have to be sent.
    """

    title: str
    command: str
    version: str
    config: Callable[[str], Mapping[str, Any]]
    read: Callable[[str, str], Stored]
    upserts: bool = False
    nested: str = "keep"
    nulls: bool = True
    """Whether null is told from the empty text."""
    strings: bool = True
    """Whether amounts as strings of format x-singer.decimal are taken at all."""

    def load(self, name: str, messages: bytes, folder: Path) -> None:
        """Pipe messages into the target, which must end well and hand the last state back."""
        config = folder / f"{name}.json"
        config.write_text(json.dumps(self.config(name)), encoding="utf-8")
        command = [self.command, "--config", str(config)]
        done = subprocess.run(command, input=messages, capture_output=True, cwd=folder, timeout=120, check=False)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        (*_, sent) = [line for line in map(json.loads, messages.splitlines()) if line["type"] == "STATE"]
        assert json.loads(done.stdout.splitlines()[-1]) == sent["value"]


# --- PostgreSQL --------------------------------------------------------------------------------------


def postgres(environment: Environment, server: Server) -> Store:
    """Return meltanolabs-target-postgres into a real server; a load is a schema of the database."""

    def config(name: str) -> dict[str, Any]:
        return server.settings(default_target_schema=name)

    def read(name: str, stream: str) -> Stored:
        types = server.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{name}' AND table_name = '{stream}'"
        )
        rows = server.query(f'SELECT to_json(t) FROM "{name}"."{stream}" AS t')
        return Stored(dict(types), [json.loads(row, parse_float=Decimal) for (row,) in rows])

    version = environment.version("meltanolabs-target-postgres")
    return Store("PostgreSQL", environment.command("target-postgres"), version, config, read, upserts=True)


# --- files -------------------------------------------------------------------------------------------


def jsonl(environment: Environment, folder: Path) -> Store:
    """Return target-jsonl; a load is a folder."""

    def config(name: str) -> dict[str, Any]:
        return {"destination_path": str(folder / name), "do_timestamp_file": False}

    def read(name: str, stream: str) -> Stored:
        lines = (folder / name / f"{stream}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line, parse_float=Decimal) for line in lines]
        types: dict[str, str] = {}
        for row in rows:
            types |= {name: _JSON[type(value)] for name, value in row.items() if value is not None}
        return Stored(types, rows)

    return Store("JSON Lines", environment.command("target-jsonl"), environment.version("target-jsonl"), config, read)


_JSON = {
    str: "string",
    int: "number",
    Decimal: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}


def csv_files(environment: Environment, folder: Path) -> Store:
    """Return meltanolabs-target-csv; a load is a folder."""

    def config(name: str) -> dict[str, Any]:
        (folder / name).mkdir()
        return {"output_path": str(folder / name), "file_naming_scheme": "{stream_name}.csv"}

    def read(name: str, stream: str) -> Stored:
        with (folder / name / f"{stream}.csv").open(encoding="utf-8", newline="") as file:
            rows: list[Row] = list(csv.DictReader(file))
        return Stored(dict.fromkeys(rows[0], "text"), rows)

    version = environment.version("meltanolabs-target-csv")
    command = environment.command("target-csv")
    return Store("CSV", command, version, config, read, nested="json", nulls=False)


def duckdb_file(folder: Path) -> Store:
    """Return the project's own target; a load is a schema of one file."""
    from importlib.metadata import version

    import duckdb

    path = folder / "loaded.duckdb"

    def config(name: str) -> dict[str, Any]:
        return {"path": str(path), "default_target_schema": name}

    def read(name: str, stream: str) -> Stored:
        with duckdb.connect(str(path), read_only=True) as database:
            database.execute("SET TimeZone = 'UTC'")
            table = database.execute(f'SELECT * FROM "{name}"."{stream}"')
            described = table.description or []
            names = [column[0] for column in described]
            rows = [dict(zip(names, row, strict=True)) for row in table.fetchall()]
            types = database.execute(f'DESCRIBE "{name}"."{stream}"').fetchall()
        return Stored({row[0]: _short(row[1]) for row in types}, rows)

    return Store("DuckDB", executable("target-vendortap-duckdb"), version("vendortap"), config, read, upserts=True)


def _short(kind: str) -> str:
    """Name a type of DuckDB without what it is made of."""
    return "LIST" if kind.endswith("[]") else "STRUCT" if kind.startswith("STRUCT(") else kind


# --- Parquet on S3 -----------------------------------------------------------------------------------

_BUCKET = "invoices"
_KEY = {"access_key": "key", "secret_key": "secret"}
_REGION = "eu-central-1"


@contextmanager
def bucket(environment: Environment, folder: Path, port: int) -> Iterator[fs.S3FileSystem]:
    """Start moto's S3 server with an empty bucket; that of the target's environment."""
    from pyarrow import fs

    place = {"region": _REGION, "scheme": "http", "endpoint_override": f"127.0.0.1:{port}"}
    with (folder / "moto.log").open("wb") as log:
        command = [environment.command("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(command, stdout=log, stderr=log) as server:
            try:
                system = fs.S3FileSystem(**_KEY, **place, allow_bucket_creation=True)
                _await(lambda: system.create_dir(_BUCKET))
                yield system
            finally:
                server.terminate()


def parquet(environment: Environment, system: fs.S3FileSystem, port: int, *, by_schema: bool) -> Store:
    """Return plinxore-target-s3 writing Parquet to the bucket; a load is a prefix.

    By the schema, which is its default, amounts become doubles; otherwise types are those of the values.
    """
    from pyarrow import fs
    from pyarrow import parquet as files

    place = {"aws_region": _REGION, "aws_bucket": _BUCKET, "aws_endpoint_override": f"http://127.0.0.1:{port}"}
    aws = {"aws_access_key_id": _KEY["access_key"], "aws_secret_access_key": _KEY["secret_key"], **place}

    def config(name: str) -> dict[str, Any]:
        return {
            "format": {"format_type": "parquet", "format_parquet": {"get_schema_from_tap": by_schema}},
            "cloud_provider": {"cloud_provider_type": "aws", "aws": aws},
            "prefix": f"{by_schema}/{name}",
            "append_date_to_prefix": False,
        }

    def read(name: str, stream: str) -> Stored:
        found = system.get_file_info(fs.FileSelector(f"{_BUCKET}/{by_schema}/{name}/{stream}", recursive=True))
        (one,) = [info.path for info in found if info.is_file]
        table = files.read_table(one, filesystem=system)
        types = {field.name: re.split(r"[\[(<]", str(field.type))[0] for field in table.schema}
        types = {name: kind for name, kind in types.items() if kind != "null"}
        return Stored(types, table.to_pylist())

    version = environment.version("plinxore-target-s3")
    title = "Parquet" if by_schema else "Parquet, inferred"
    command = environment.command("target-s3")
    return Store(title, command, version, config, read, nested="json", strings=not by_schema)


def _await(act: Callable[[], Any]) -> None:
    import time

    deadline = time.monotonic() + 30
    while True:
        try:
            act()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
