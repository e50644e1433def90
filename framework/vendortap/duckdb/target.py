"""The Singer target on singer-sdk: sink, settings, and when to commit."""

from __future__ import annotations

import gzip
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click
import msgspec
from duckdb import DuckDBPyConnection
from singer_sdk import Target
from singer_sdk.exceptions import SingerSDKError
from singer_sdk.helpers.capabilities import TargetCapabilities
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.singerlib.json import serialize_json
from singer_sdk.sinks import BatchSink, Sink

from vendortap.duckdb import database, quick, states
from vendortap.duckdb.columns import Column, check_names, check_nested_names, fold, from_schema, widen_fields
from vendortap.duckdb.reader import LineReader
from vendortap.duckdb.settings import SETTINGS, setting_errors
from vendortap.duckdb.values import InvalidValue, converter
from vendortap.errors import ConfigError, ExitCode, LoadError, VendortapError
from vendortap.support import logs, signals, streams
from vendortap.support.files import private_umask
from vendortap.support.redact import one_line, unexpected

_encoder = msgspec.json.Encoder()
_MOST_UNDECLARED = 100
"""So many undeclared names of one object are passed over the quick way; one with ever new names is not worth it."""


class DuckdbSink(BatchSink):
    """One stream into one table. Rows are checked and written to a batch file as they come."""

    is_full = False
    """Never by itself: the target commits all sinks together."""

    def __init__(
        self, target: DuckdbTarget, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._target = target
        self._warned: set[str] = set()
        self._undeclared: dict[str, dict[str, bool]] = {}
        self._batch: database.Batch | None = None
        self.table = database.Table(self.config["default_target_schema"], stream_name)
        self.columns = self._plan_columns()
        row = Column("STRUCT", fields=self.columns)
        self._convert = converter(row, strict=self.config["validate_records"], notice=self._notice)
        self._prepared = False

    def get_validator(self) -> None:
        """None: the conversion to the table's types is the check."""

    def _plan_columns(self) -> dict[str, Column]:
        """Return the stream's columns with the types that the table must have; raises LoadError."""
        where = f"stream {self.stream_name!r}"
        given, required = self.schema.get("properties"), self.schema.get("required")
        properties = {"type": "object", "properties": given, "required": required}
        number = Column("DECIMAL", precision=self.config["decimal_precision"], scale=self.config["decimal_scale"])
        wanted = from_schema(properties, number).fields
        complain = self._target.reader.complaint
        try:
            check_names([self.stream_name], where)
            check_nested_names(Column("STRUCT", fields=wanted), where)
            existing = {} if self._replaces_table else database.columns_of(self._target.connection, self.table)
            grown = widen_fields(existing, wanted, where)
        except LoadError as error:
            raise complain(str(error)) from None
        columns = {name: grown[name] for name in wanted}
        if not columns:
            raise complain(f"{where} declares no properties")
        for key in self.key_properties:
            if key not in columns:
                raise complain(f"{where} has no property for its key {key!r}")
            if columns[key].kind in ("STRUCT", "LIST", "JSON"):
                raise complain(f"{where} has the key {key!r} of type {columns[key].kind}; a key must be a single value")
        return columns

    def _notice(self, path: str, name: str, has_value: bool) -> None:
        """Warn of an undeclared property that has a value, once; remember it, for the quick way to pass over."""
        where = f"{path}.{name}"
        if has_value and where not in self._warned:
            self._warned.add(where)
            self.logger.warning("%s is not declared by the schema of %r, and not loaded", where, self.stream_name)
        names = self._undeclared.setdefault(path, {})
        if (name not in names and len(names) < _MOST_UNDECLARED) or (has_value and names.get(name) is False):
            names[name] = has_value
            self._target.has_quick_ways = False

    def quick_way(self) -> quick.Table | None:
        """Return the quick way of this stream's records into the batch, if there is one."""
        if self.include_sdc_metadata_properties:
            return None
        strict = self.config["validate_records"]
        return quick.compile(self.stream_name, self.columns, self.key_properties, self._undeclared, strict=strict)

    # The SDK's own checks are replaced by process_record, which says line and path and shows no value.

    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        return record

    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        pass

    def _after_process_record(self, context: dict[str, Any]) -> None:
        pass

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002 (one batch)
        """Add the record to the batch; raises LoadError with line, stream and path where it does not fit."""
        try:
            row = self._convert(record)
            for key in self.key_properties:
                if row.get(key) is None:
                    raise InvalidValue(f"lacks a value for its key {key!r}")
        except InvalidValue as invalid:
            raise self._target.reader.complaint(f"stream {self.stream_name!r}: {invalid}") from None
        self._add(_encoder.encode(row), _encoder.encode([row[key] for key in self.key_properties]))

    def take(self, encoded: quick.Encoded) -> None:
        """Add a record that came the quick way, and count it as the SDK does. Raises LoadError."""
        self._add(*encoded)
        self.tally_record_read()
        self.record_counter_metric.increment()

    def _add(self, row: bytes, key: bytes) -> None:
        if self._batch is None:
            self._batch = database.Batch(self._target.folder)
        self._batch.add(row, key)

    def prepare(self) -> None:
        """Make the table ready for the columns, inside the transaction of the first commit."""
        if self._prepared:
            return
        if self._replaces_table:
            self._target.connection.execute(f"DROP TABLE IF EXISTS {self.table.sql}")
            self._target.replaced.add(self.stream_name)
        database.grow(self._target.connection, self.table, self.columns)
        self._prepared = True

    @property
    def _replaces_table(self) -> bool:
        """Whether the table that is there, its columns included, gives way to this run's."""
        return self.config["load_method"] == "overwrite" and self.stream_name not in self._target.replaced

    def process_batch(self, context: dict[str, Any]) -> None:  # noqa: ARG002 (one batch)
        """Load the batch, inside the target's transaction."""
        batch, self._batch = self._batch, None
        if batch is not None:
            keys = () if self.config["load_method"] == "append-only" else self.key_properties
            database.load(self._target.connection, self.table, self.columns, keys, batch)
            batch.remove()

    @property
    def needed(self) -> bool:
        """Whether there is anything to commit."""
        return not self._prepared or self.current_size > 0


class DuckdbTarget(Target):
    """Loads Singer streams into one DuckDB file: exact DECIMAL, STRUCT and LIST, upsert, one commit a batch."""

    name = "target-vendortap-duckdb"
    package_name = "vendortap"
    default_sink_class = DuckdbSink
    message_reader_class = LineReader
    capabilities = [*Target.capabilities, TargetCapabilities.TARGET_SCHEMA]  # noqa: RUF012 (as the SDK has it)
    config_jsonschema = SETTINGS

    def __init__(self, **options: Any) -> None:
        """Check the settings, and open the file if it is there already. Options are the SDK's.

        Raises ConfigError and LoadError.
        """
        self._signal: int | None = None
        self._state_of: str | None = None
        try:
            super().__init__(**options)
        except ValueError:
            prefix = f"{self._env_var_prefix}*"
            raise ConfigError(f"an environment variable {prefix} is not of its setting's type") from None
        except SingerSDKError as error:
            raise ConfigError(f"setting stream_maps: cannot be used ({type(error).__name__})") from None
        self.reader = cast(LineReader, self.message_reader)
        self.replaced: set[str] = set()
        self._names: dict[str, str] = {}
        self._pending = 0
        self._committed_at = time.monotonic()
        self._batch_size_rows: int = self.config["batch_size_rows"]
        self._emitted = ""
        self.has_quick_ways = True
        self._quick_ways: dict[str, tuple[quick.Table, DuckdbSink]] = {}
        self._read_message = quick.messages([])
        self.reader.take = self._take
        self._opened = ExitStack()
        self._path = database.checked_path(self.config["path"])
        if self._path.exists():
            _ = self.connection  # so that a file that cannot be used is told before anything is read
        if not self.logger.isEnabledFor(10):
            # The SDK logs two METRIC lines a stream and commit; at INFO one line a commit is enough.
            self.metrics_logger.setLevel("WARNING")

    @cached_property
    def connection(self) -> DuckDBPyConnection:
        """The file, made for the first SCHEMA where there is none; raises LoadError."""
        with ExitStack() as failed:
            connection = failed.enter_context(closing(database.connect(self._path)))
            database.spill_into(connection, self.folder)
            self._opened.push(failed.pop_all())  # behind the folder, to be closed while that is still there
        return connection

    @cached_property
    def folder(self) -> str:
        """Where batches wait for their commit, and what does not fit into memory; raises LoadError."""
        return self._opened.enter_context(database.batch_folder(self._path))

    @cached_property
    def _states(self) -> states.Writer:
        """What keeps the states in the file; raises LoadError."""
        return states.Writer(self.connection, self._state_of or "")

    def close(self) -> None:
        """Drop what was not committed, and close the file as of the last commit."""
        self._opened.close()

    # --- settings ---

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Raise ConfigError for the first bad setting, never with its value.

        ``state_of`` is no setting of an operator's: by it `vendortap run` says of whom the states are to be kept.
        """
        self.append_builtin_config(self.config_jsonschema)
        self._config = {name: value for name, value in self._config.items() if value is not None}
        if isinstance(self._config.get("state_of"), str):
            self._state_of = self._config.pop("state_of")
        errors = [*setting_errors(self._config, self.config_jsonschema)]
        if errors and raise_errors:
            raise ConfigError(errors[0])
        return errors

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the --config files; raises ConfigError."""
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError) as error:
            files = ", ".join(name for name in value if name != "ENV")
            problem = "is not a JSON object" if not isinstance(error, OSError) else "cannot be read"
            raise ConfigError(f"--config {files}: {problem}") from None

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the SDK's command, with --input read as bytes like standard input."""
        command = super().get_singer_command()
        for param in command.params:
            if param.name == "file_input":
                param.type = click.File("rb")
        return command

    @classmethod
    def invoke(  # type: ignore[override] # as the SDK itself does
        cls, *, about: bool = False, about_format: str | None = None, config: Any = None, file_input: Any = None
    ) -> None:
        """Run the target over the input, and close the file whatever happens."""
        if about:
            cls.print_about(about_format)
            return
        target = cls(config=config.config, parse_env_config=config.parse_env)
        with closing(target):
            target.listen(file_input)

    # --- messages ---

    def _stream_of(self, message: dict[str, Any], *fields: str) -> str:
        """Return the message's stream; raises LoadError where it or one of the fields is missing."""
        missing = [name for name in ("stream", *fields) if name not in message]
        if missing:
            raise self.reader.complaint(f"{message['type']} message without {', '.join(missing)}")
        stream = message["stream"]
        if not isinstance(stream, str) or not stream:
            raise self.reader.complaint(f"{message['type']} message whose stream is not a name")
        return stream

    def get_sink(
        self,
        stream_name: str,
        *,
        record: dict[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
        key_properties: Sequence[str] | None = None,
    ) -> Sink:
        """Return the stream's sink; one with a new schema starts after a commit, as it may alter the table."""
        if schema is not None:
            other = self._names.setdefault(fold(stream_name), stream_name)
            if other != stream_name:
                raise self.reader.complaint(
                    f"streams {other!r} and {stream_name!r} would be one table for DuckDB: give one an __alias__ "
                    "with a stream map"
                )
            if stream_name in self._sinks_active:
                self.drain_all()
        return super().get_sink(stream_name, record=record, schema=schema, key_properties=key_properties)

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        stream = self._stream_of(message_dict, "schema")
        keys = message_dict.get("key_properties")
        if keys is None:
            keys = []
        self._check_schema(stream, message_dict["schema"], keys)
        with self._mapping(stream):
            super()._process_schema_message({**message_dict, "key_properties": keys})
        for stream_map in self.mapper.stream_maps[stream]:
            if isinstance(stream_map, RemoveRecordTransform):
                self._sinks_active.pop(stream_map.stream_alias, None)  # or it would get an empty table
        self._plan_quick_ways()

    def _check_schema(self, stream: str, schema: Any, keys: Any) -> None:
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            raise self.reader.complaint(f"stream {stream!r}: the schema has no object 'properties'")
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise self.reader.complaint(f"stream {stream!r}: key_properties is not a list of names")

    def _plan_quick_ways(self) -> None:
        """Find the streams whose records nothing is made of: they need not pass through the SDK as dicts."""
        self._quick_ways = {}
        for stream, maps in self.mapper.stream_maps.items():
            plain = [type(each) for each in maps] == [SameRecordTransform] and not maps[0].flattening_enabled
            sink = cast(DuckdbSink, self._sinks_active[stream]) if plain else None
            if sink is not None and (way := sink.quick_way()) is not None:
                self._quick_ways[stream] = (way, sink)
        self._read_message = quick.messages(way for way, _ in self._quick_ways.values())
        self.has_quick_ways = True

    def _take(self, line: bytes) -> bool:
        """Take a RECORD that goes the quick way; raises LoadError where its batch cannot be written or committed."""
        found = self._read_message(line)
        if found is None:
            return False
        stream, encoded = found
        self._quick_ways[stream][1].take(encoded)
        self._count_record()
        return True

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        stream = self._stream_of(message_dict, "record")
        if stream not in self.mapper.stream_maps:
            raise self.reader.complaint(f"stream {stream!r}: a RECORD came before its SCHEMA")
        if type(message_dict["record"]) is not dict:
            raise self.reader.complaint(f"stream {stream!r}: the record is not an object")
        with self._mapping(stream):
            super()._process_record_message(message_dict)
        if not self.has_quick_ways:
            self._plan_quick_ways()
        self._count_record()

    def _count_record(self) -> None:
        self._pending += 1
        if self._pending >= self._batch_size_rows:
            self.drain_all()

    @contextmanager
    def _mapping(self, stream: str) -> Iterator[None]:
        """Turn what a stream map raises into a LoadError; its own text may hold values."""
        try:
            yield
        except VendortapError:
            raise
        except Exception as error:  # noqa: BLE001 (an expression in stream_maps can raise anything)
            raise self.reader.complaint(
                f"stream {stream!r}: cannot be mapped ({type(error).__name__}); check stream_maps"
            ) from None

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        if "value" not in message_dict:
            raise self.reader.complaint("STATE message without value")
        super()._process_state_message(message_dict)
        age = time.monotonic() - self._committed_at
        if not self._pending or age >= self.config["max_batch_age_seconds"]:  # without a row to wait for, at once
            self.drain_all()

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        self.logger.debug("ACTIVATE_VERSION of %r ignored", message_dict.get("stream"))

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        """Load the records of local JSONL files, one a line, as if they had come one by one."""
        stream = self._stream_of(message_dict, "encoding", "manifest")
        encoding, files = message_dict["encoding"], message_dict["manifest"]
        self._check_batch(stream, encoding, files)
        try:
            for number, url in enumerate(files, start=1):
                self.reader.inside = f", BATCH file {number}"
                with self._open_batch(stream, url, encoding.get("compression")) as file:
                    take = self._taker(stream)
                    for line, text in enumerate(self.reader.lines(file, f"stream {stream!r}: "), start=1):
                        self.reader.inside = f", BATCH file {number}, its line {line}"
                        if not text.isspace() and not take(text):
                            record = self.reader.deserialize_json(text)
                            self._process_record_message({"type": "RECORD", "stream": stream, "record": record})
        except (OSError, EOFError, zlib.error) as error:
            raise self.reader.complaint(
                f"stream {stream!r}: a BATCH file cannot be read to its end ({type(error).__name__})"
            ) from None
        self.reader.inside = ""

    def _check_batch(self, stream: str, encoding: Any, files: Any) -> None:
        if not isinstance(encoding, dict) or encoding.get("format") != "jsonl" or not isinstance(files, list):
            raise self.reader.complaint(f"stream {stream!r}: BATCH takes a manifest of files in format jsonl only")
        if encoding.get("compression") not in (None, "none", "gzip"):
            raise self.reader.complaint(f"stream {stream!r}: BATCH files may be gzip or not compressed, nothing else")

    def _taker(self, stream: str) -> Callable[[bytes], bool]:
        """Return what takes the bare records of a BATCH file, as ``_take`` takes messages."""
        if stream not in self._quick_ways:
            return lambda _: False
        way, sink = self._quick_ways[stream]
        read = quick.records(way)

        def take(line: bytes) -> bool:
            encoded = read(line)
            if encoded is None:
                return False
            sink.take(encoded)
            self._count_record()
            return True

        return take

    def _open_batch(self, stream: str, url: Any, compression: str | None) -> IO[bytes]:
        """Open a file of a manifest; raises OSError where it cannot be, and LoadError where it is no regular one."""
        try:
            parts = urlsplit(url)
            is_local = parts.scheme in ("", "file") and parts.netloc in ("", "localhost")
            path = Path(url2pathname(parts.path) if parts.scheme else url)
            is_regular = not is_local or stat.S_ISREG(path.stat().st_mode)
        except (AttributeError, TypeError, ValueError):
            raise self.reader.complaint(f"stream {stream!r}: BATCH has a file whose address is none") from None
        if not is_local:
            raise self.reader.complaint(f"stream {stream!r}: BATCH files must be local (file://)")
        if not is_regular:
            raise self.reader.complaint(f"stream {stream!r}: BATCH files must be regular files")
        return cast(IO[bytes], gzip.open(path, "rb")) if compression == "gzip" else open(path, "rb")

    # --- commits ---

    def _handle_max_record_age(self) -> None:
        """Nothing: by rows after a record, and by age at a STATE, is often enough."""

    def _drain_all(self, sink_list: Iterable[Sink], parallelism: int) -> None:  # noqa: ARG002 (one connection)
        """Load what is pending in all sinks in one transaction, and with it the state that covers it.

        The SDK calls this once for sinks whose schema has changed, and once for the others. The first call does it all,
        as no state may be committed before the last row that it covers.
        """
        pending = cast("Iterable[DuckdbSink]", (*self._sinks_to_clear, *self._sinks_active.values()))
        sinks = [sink for sink in pending if sink.needed]
        rows = {sink.stream_name: sink.current_size for sink in sinks}
        try:
            self._commit(sinks)
        except Exception:
            # What the signal handler raises inside a query, DuckDB turns into an error of its own.
            if self._signal is None:
                raise
            raise SystemExit(128 + self._signal) from None
        if sinks:
            counts = ", ".join(f"{name} {count}" for name, count in rows.items())
            self.logger.info("committed %d rows: %s", sum(rows.values()), counts)
        self._pending = 0
        self._committed_at = time.monotonic()

    def _commit(self, sinks: Sequence[DuckdbSink]) -> None:
        state: Any = self._latest_state if self._state_of else None
        is_new = bool(state) and self._states.is_new(state)
        if sinks or is_new:
            with database.transaction(self.connection):
                for sink in sinks:
                    sink.prepare()
                    self.drain_one(sink)
                if is_new:
                    self._states.write(state)

    def _write_state_message(self, state: dict[str, Any]) -> None:
        """Print the state with its numbers as they came; once, although the SDK repeats it at each commit.

        Where the file keeps it, the state says so: a state file is compared by that.
        """
        if self._state_of:
            state = {**state, "generation": self._states.generation}
        text = serialize_json(state)
        if text != self._emitted:
            self._emitted = text
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def _handle_termination(self, signum: int, frame: Any) -> None:  # noqa: ARG002 - the SDK's signature
        """Stop; what is not committed is rolled back. A commit from inside a signal handler would not be safe."""
        self._signal = signum
        signals.end(signum)


def run() -> None:
    """Run the command line and end the process: 0 done, 1 not loaded, 2 wrong settings or usage."""
    try:
        streams.replace_closed()
        command = DuckdbTarget.cli
        logs.set_up()
        with private_umask():
            command()
    except VendortapError as error:
        logs.say(f"{DuckdbTarget.name}: {one_line(str(error))}", "error")
        sys.exit(error.exit_code)
    except OSError as error:
        logs.say(f"{DuckdbTarget.name}: input or output failed: {error.strerror}", "error")
        sys.exit(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - a defect, whose own text may hold data
        logs.say(f"{DuckdbTarget.name}: {unexpected(error)}", "error")
        sys.exit(ExitCode.FAILED)
    except SystemExit as stop:
        if isinstance(stop.code, int) and stop.code > 128:
            logs.say(f"{DuckdbTarget.name}: stopped by a signal; the file is as of the last commit", "error")
        raise
