"""A connector as singer-sdk's tap: settings, catalog and state in, and whatever its streams have in common."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk import Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError, MapExpressionError, StreamMapConfigError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import TapCapabilities
from singer_sdk.mapper import PluginMapper
from singer_sdk.singerlib import CatalogEntry, StateMessage
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from vendortap.declare.model import Connector
from vendortap.declare.plan import partitions
from vendortap.decode import schemas
from vendortap.decode.drift import Drift
from vendortap.errors import CatalogError, ConfigError, StateError, UsageError, VendortapError
from vendortap.plugins import extensions, host
from vendortap.plugins.validation import EXTRA_STREAMS, Shape, settings, shapes, with_unknown
from vendortap.singer import progress_file
from vendortap.singer.catalogs import check_catalog
from vendortap.singer.serialisation import selected_schema
from vendortap.singer.stream import ConnectorStream, Usage
from vendortap.singer.writer import MessageWriter
from vendortap.support.files import parse_json, read_json
from vendortap.support.redact import shown_name, without_secrets
from vendortap.sync import context, open_items
from vendortap.sync.context import SyncContext
from vendortap.sync.failures import combined
from vendortap.sync.owner import adopt, owner_of
from vendortap.sync.state import check_state, has_bookmark, make_entry, read_fields, reset, way_back

if TYPE_CHECKING:
    from vendortap.http.client import Client
    from vendortap.http.traffic import Traffic
    from vendortap.sync.quarantine import Quarantine, QuarantineEntry
    from vendortap.sync.telemetry import Telemetry

REPLAYED = "replayed"
"""The member of a replay's STATE that has the ids of the entries whose records came before it."""
REPLAYED_BETWEEN_STATES = 1000
"""So many records of a replay come between two STATEs, at most."""


class ConnectorTap(Tap):
    """A connector as singer-sdk wants it; ``tap_class`` makes the subclass of each."""

    connector: ClassVar[Connector]
    settings_schema: ClassVar[dict[str, Any]]
    message_writer_class = MessageWriter
    capabilities: ClassVar[list[Any]] = [
        capability for capability in Tap.capabilities if capability != TapCapabilities.ACTIVATE_VERSION
    ]

    @classproperty
    def package_name(cls) -> str:  # noqa: N805 - a property of the class
        """The distribution that brings the connector; looked up when a version is asked for, as that takes a while."""
        found = host.find().get(cls.connector.name)
        return found.package if found else "vendortap"

    def __init__(self, *, catalog: Any = None, **options: Any) -> None:
        self._shapes = shapes(self.connector)
        if isinstance(catalog, dict):
            check_catalog(catalog, self.connector, self._shapes)
        super().__init__(catalog=catalog, **options)

    def discover_streams(self) -> Sequence[ConnectorStream]:
        """Return the declared streams."""
        return [ConnectorStream(self, self, stream, self.shapes[stream.name]) for stream in self.connector.streams]

    def setup_mapper(self) -> None:
        """Set the stream maps up on what is selected, inside arrays too.

        Raises:
            ConfigError: the SDK cannot make a map of them.
        """
        try:
            self._mapper = PluginMapper(plugin_config=deepcopy(dict(self.config)), logger=self.logger)
            for stream in self.streams.values():
                # `--test` selects all streams after this
                schema = selected_schema(stream.schema, stream.mask) if stream.selected else stream.schema
                self._mapper.register_raw_stream_schema(stream.name, schema, stream.primary_keys)
        except ConfigValidationError:
            raise ConfigError(
                "the setting 'flattening_enabled' is of no use without 'flattening_max_depth'; give a number of levels"
            ) from None
        except (StreamMapConfigError, MapExpressionError, NotImplementedError, TypeError, ValueError) as error:
            raise ConfigError(f"the setting 'stream_maps' cannot be used: {error}") from None

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state, checked; the state written carries its version."""
        checked: Any = check_state(state)  # has more than the SDK's type
        taken: Any = self.state
        taken.clear()  # in place, as streams that have been made hold on to it
        taken.update(checked)

    def _reset_state_progress_markers(self) -> None:
        """Take the state over, before the first STATE is written: `sync_all`, which is final, begins with this.

        A stream without a bookmark says so in that STATE: whoever merges states would keep an older one. A stream that
        is read anew forgets its open items, too. There are no progress markers, as bookmarks advance in order.

        Raises:
            StateError: the state is another one's, or does not cover what the settings ask for.
        """
        self._tell_unselected()
        state: dict[str, Any] = self.state  # type: ignore[assignment] # has more than the SDK's type
        streams = [stream for stream in self._own_streams if stream.selected]
        incremental = [s.declared for s in streams if s.replication_method == REPLICATION_INCREMENTAL]
        owner = owner_of(self.connector, self.config, self.settings_schema)
        for warning in adopt(state, owner, incremental, self.config, self.settings_schema):
            self.logger.warning(warning)
        for stream in streams:
            is_anew = stream.declared not in incremental
            if is_anew:
                open_items.forget(make_entry(state, stream.name, {}))
            if is_anew or not has_bookmark(state, stream.name):
                reset(state, stream.name, partitions(stream.declared.plan, self.config))

    @property
    def _own_streams(self) -> list[ConnectorStream]:
        return [stream for stream in self.streams.values() if isinstance(stream, ConnectorStream)]

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The streams' shapes, as the settings have them."""
        if not self.config.get("keep_unknown"):
            return self._shapes
        return {name: with_unknown(shape) for name, shape in self._shapes.items()}

    @cached_property
    def quarantine(self) -> Quarantine | None:
        """The quarantine, where the operator named a folder for it.

        Raises:
            ConfigError: it is wanted, but cannot be used.
        """
        if self.config["on_bad_record"] == "fail" and not self.config.get("quarantine_dir"):
            return None
        from vendortap.sync import quarantine  # here, as most runs need none

        return quarantine.of(self.connector, self.config)

    @cached_property
    def drift(self) -> Mapping[str, Drift]:
        """What is noticed of each stream; empty where the operator does not care."""
        return context.watch(self.connector, self.config, self.shapes, self.client.redact, read_fields(self.state))

    @cached_property
    def extensions(self) -> extensions.Extensions:
        """What the installed plugins do in this run.

        Raises:
            ConfigError: the setting ``plugins`` names one that is not installed.
            PluginError: one cannot be used.
        """
        return extensions.extensions(self.connector, self.config, {name: s.record for name, s in self.shapes.items()})

    @cached_property
    def client(self) -> Client:
        """The connector's connection, made when it is first needed."""
        from vendortap.http.connect import connect  # here, as --discover and --about need no connection

        observe = self.telemetry.request if self.telemetry else None
        return connect(self.connector, self.config, self.settings_schema, observe)

    @cached_property
    def telemetry(self) -> Telemetry | None:
        """What tells OpenTelemetry of this run, where the environment asks for it."""
        if not any(name.startswith("OTEL_") for name in os.environ):
            return None
        from vendortap.sync import telemetry  # here, as most runs need none of it

        return telemetry.of_environment(self.connector.name)

    @property
    def traffic(self) -> Traffic:
        """What the connection did so far."""
        return self.client.traffic

    @property
    def writer(self) -> MessageWriter:
        """The writer of messages."""
        assert isinstance(self.message_writer, MessageWriter)  # noqa: S101 - see message_writer_class
        return self.message_writer

    def source(self) -> SyncContext:
        """Return what the pipeline reads from."""
        return SyncContext(
            self.connector,
            self.config,
            self.client.send,
            self.shapes,
            redact=self.client.redact,
            max_depth=self.config["max_depth"],
            quarantine=self.quarantine,
            drift=self.drift,
            extensions=self.extensions,
            telemetry=self.telemetry,
        )

    def hold_complete(self) -> None:
        """Raise what could not be read, once all streams have been.

        Raises:
            VendortapError: some documents or partitions could not be read; everything else has been.
        """
        if errors := [stream.failure for stream in self._own_streams if stream.failure]:
            raise combined(errors, f"{self.connector.name}: {len(errors)} streams have failures.", len(errors))

    def _tell_unselected(self) -> None:
        """Warn of what the connector has and the catalog given does not: it is not read."""
        if self.input_catalog is None:
            return
        streams = self._own_streams
        given: Mapping[str, CatalogEntry] = self.input_catalog
        absent = [f"the stream {stream.name}" for stream in streams if stream.is_named and stream.name not in given]
        absent += [f"{s.name}: {', '.join(s.undeclared)}" for s in streams if s.selected and s.undeclared]
        if absent:
            self.logger.warning(
                "%s: the catalog given does not have, and so nothing is read of: %s. `%s --discover` prints a catalog "
                "that has them (in Meltano: `meltano run --refresh-catalog %s`); select or deselect them there",
                self.connector.name,
                "; ".join(absent),
                self.name,
                self.name,
            )
        for stream in streams:
            if not stream.declared.selected_by_default and stream.name in given:
                self._tell_half_selected(stream, given[stream.name].metadata.root.selected)

    def _tell_half_selected(self, stream: ConnectorStream, selected: bool | None) -> None:
        if selected not in (None, stream.is_named):
            self.logger.warning(
                "%s: %s is not read: both the catalog given has to select it, and the setting '%s' to name it",
                self.connector.name,
                stream.name,
                EXTRA_STREAMS,
            )

    def _tell_open_items(self) -> None:
        """Warn of what has not been obtained, in this run or before; `vendortap run` says so itself."""
        if progress_file.ENVIRONMENT in os.environ:
            return
        found = self.open_items()
        if found["open"] > found["acknowledged"]:
            self.logger.warning(
                "%s: %s listed by the vendor and not obtained; the oldest since %s. Later runs ask for them again; "
                "`vendortap open list` shows them",
                self.connector.name,
                f"{found['open']:,} records or documents are" if found["open"] > 1 else "a record or document is",
                found["oldest"],
            )

    def open_items(self) -> dict[str, Any]:
        """Return how many open items the state has, as reports have it."""
        return open_items.summary(self.state, datetime.now(UTC).date())

    def replay(
        self, entries: Iterable[QuarantineEntry], *, states: bool = False
    ) -> Iterator[tuple[QuarantineEntry, str | None]]:
        """Write SCHEMA and RECORD messages of what is good now of a quarantine's entries, stream by stream.

        Yields each entry, with why it is not written, if it is not. With ``states``, a STATE says after each stream,
        and every so many entries, whose records are before it. It is for a target that hands it back: standard output
        has none, or whoever keeps states would take it for one of a run.
        """
        source = replace(self.source(), quarantine=None, drift={})
        waiting: dict[str, list[QuarantineEntry]] = {}
        for entry in entries:
            waiting.setdefault(entry.stream, []).append(entry)
        written: list[str] = []
        for of_stream in waiting.values():
            told = len(written)
            for entry, problem in self._write_redecoded(source, of_stream):
                if problem is None:
                    written.append(entry.id)
                yield entry, problem
                if states and len(written) == told + REPLAYED_BETWEEN_STATES:
                    self._write_replayed(written)
                    told = len(written)
            if states and len(written) > told:
                self._write_replayed(written)

    def _write_redecoded(
        self, source: SyncContext, entries: Sequence[QuarantineEntry]
    ) -> Iterator[tuple[QuarantineEntry, str | None]]:
        """Write the SCHEMA and RECORDs of one stream's entries; yields as ``replay`` does."""
        stream = self.streams.get(entries[0].stream)
        if isinstance(stream, ConnectorStream) and stream.selected:
            yield from stream.write_redecoded(source, entries)
        else:
            yield from ((entry, "its stream is not selected") for entry in entries)

    def _write_replayed(self, ids: Sequence[str]) -> None:
        self.writer.write_message(StateMessage({"bookmarks": {}, REPLAYED: list(ids)}))

    def usage(self) -> Usage:
        """Return what has been taken so far, by a clock that began at any time."""
        traffic = self.traffic
        return Usage(traffic.requests, traffic.retries, traffic.waited_seconds, traffic.bytes, time.monotonic())

    def snapshot(self) -> progress_file.Report:
        """Return what the run is told of how far the tap is; any thread may ask, once the sync may begin."""
        traffic = self.traffic
        return {
            "requests": traffic.requests,
            "retries": traffic.retries,
            "waiting": traffic.waiting,
            "waited_seconds": round(traffic.waited_seconds, 3),
            "bytes": traffic.bytes,
            "latencies": list(traffic.latencies),
            "open": self.open_items(),
            "drift": [asdict(event) for drift in self.drift.values() for event in list(drift.events)],
            "streams": {
                name: {
                    "fetched": stream.counters.fetched,
                    "records": stream.counters.emitted,
                    "filtered": stream.counters.filtered,
                    "quarantined": stream.counters.quarantined,
                    "skipped": stream.counters.skipped,
                    "known": stream.counters.known,
                    "repeated": stream.counters.repeated,
                    "missing": stream.counters.missing,
                    "conflicting": stream.counters.conflicting,
                    "slices": stream.counters.slices,
                    "expected": stream.counters.expected,
                    **stream.usage.snapshot(),
                    "totals": stream.totals.snapshot(shown_name) if stream.totals else [],
                }
                for name, stream in self.streams.items()
                if isinstance(stream, ConnectorStream) and stream.selected
            },
        }

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check the settings, values never shown, and fill the defaults in.

        Of the SDK's own settings only the type is checked here; a part of their schemas is no schema. What is
        wrong inside them shows when they are used.
        """
        self._config = schemas.with_defaults(self._config, self.settings_schema)
        if raise_errors:
            builtin = {name: {"type": s["type"]} for name, s in self.config_jsonschema["properties"].items()}
            properties = {**builtin, **self.settings_schema["properties"]}
            schemas.check_config(self._config, {**self.settings_schema, "properties": properties}, self.name)
        return []

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - a property of the class
        """Return the settings that the environment gives; all but texts are JSON there.

        The SDK's own reading knows no numbers with a fraction, and shows a value that it cannot read.
        """
        properties = cls.config_jsonschema["properties"]
        as_texts = {"properties": {name: {"type": "string"} for name in properties}}
        texts = parse_environment_config(as_texts, cls._env_var_prefix)
        return {name: _from_environment(text, properties[name]) for name, text in texts.items()}

    def _handle_termination(self, signum: int, frame: Any) -> None:
        """End; what is written is flushed, and STATE follows from where the stream stands."""
        del frame
        self.writer.end(signum)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the config files, each of which has to be a JSON object, once: one may be a pipe."""
        given = super().cb_config(ctx, param, tuple(name for name in value if name == "ENV"))
        for name in value:
            if name != "ENV":
                given.config |= read_json(name, ConfigError, f"{cls.name}: the config file {name}")
        return given

    @classmethod
    def invoke(  # type: ignore[override] # as the SDK itself does
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Run the tap: the files were named on the command line."""
        if about:
            cls.print_about(about_format)
            return
        tap = cls(
            config=config.config,
            parse_env_config=config.parse_env,
            catalog=catalog and _given(catalog, CatalogError, f"{cls.name}: the catalog {catalog.name}"),
            state=state and _given_state(state, cls.name),
        )
        tap.client  # noqa: B018 - from here on the settings' secrets are known
        tap.drift  # noqa: B018 - made before another thread asks for it
        try:
            with progress_file.telling(tap.snapshot):
                tap._sync_and_say()
        except BrokenPipeError:  # here, as click would end the program without a word
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains when it flushes
            raise VendortapError("the target closed the pipe; its own messages say why") from None

    def _sync_and_say(self) -> None:
        """Sync all streams; an error that ends it shows no secret, and telemetry has been sent."""
        try:
            self.sync_all()
            self._tell_open_items()
        except VendortapError as error:
            without_secrets(error)
            raise
        finally:
            if self.telemetry:
                self.telemetry.close(hurried=isinstance(sys.exc_info()[1], SystemExit))


def tap_class(connector: Connector) -> type[ConnectorTap]:
    """Return the Singer tap of a connector.

    Raises:
        DeclarationError: see vendortap.plugins.validation.
    """
    schema = settings(connector)
    members: dict[str, Any] = {
        "__doc__": f"{connector.title}: {connector.docs}",
        "name": f"tap-{connector.name}",
        "connector": connector,
        "settings_schema": schema,
        "config_jsonschema": {**schema, "properties": dict(schema["properties"])},
    }
    ConnectorTap.append_builtin_config(members["config_jsonschema"])
    return type(f"Tap{connector.name.title().replace('-', '')}", (ConnectorTap,), members)


def _from_environment(text: str, setting: Mapping[str, Any]) -> Any:
    """Return a setting's value; what cannot be read stays a text, and is refused with the setting's name."""
    if "string" in setting.get("type", ()):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _given_state(file: IO[str], name: str) -> dict[str, Any]:
    """Return the state in a file.

    Raises:
        StateError: it is not one; says what to give instead.
    """
    try:
        return check_state(_given(file, StateError, f"the state {file.name}"))
    except StateError as error:
        raise StateError(
            f"{name}: {error}. {way_back(Path(file.name))}Give the state that the last run wrote; without --state "
            "everything is fetched again"
        ) from None


def _given(file: IO[str], error: type[UsageError], what: str) -> Any:
    """Return the JSON object in a file that the command line names; raises as parse_json does."""
    try:
        text = file.read()
    except UnicodeDecodeError:
        raise error(f"{what} is not UTF-8 text") from None
    return parse_json(text, error, what)
