"""What vendortap.singer overrides and calls of singer-sdk beyond its documented surface.

Each name that the SDK may change without notice is here once. A test that fails after an upgrade of the SDK says
which assumption of vendortap.singer has to be looked at.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import click
import pytest
from singer_sdk import Stream, Tap
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import AbortedSyncFailedException, AbortedSyncPausedException
from singer_sdk.helpers._batch import BatchConfig, SDKBatchMessage, StorageTarget
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.mapper import PluginMapper
from singer_sdk.singerlib import MetadataMapping, RecordMessage
from singer_sdk.singerlib.encoding import GenericSingerWriter

from vendortap.singer.stream import ConnectorStream
from vendortap.singer.tap import ConnectorTap
from vendortap.singer.writer import MessageWriter

STREAM_OVERRIDES = {
    "metadata": None,
    "apply_catalog": ["self", "catalog"],
    "finalize_state_progress_markers": ["self", "state"],
    "get_replication_key_signpost": ["self", "context"],
    "get_batch_config": ["self", "config"],
    "log_sync_costs": ["self"],
    "get_records": ["self", "context"],
    "_sync_records": ["self", "context", "write_messages"],
    "_sync_batches": ["self", "batch_config", "context"],
}
TAP_OVERRIDES = {
    "discover_streams": ["self"],
    "setup_mapper": ["self"],
    "load_state": ["self", "state"],
    "_reset_state_progress_markers": ["self"],
    "_validate_config": ["self", "raise_errors"],
    "_handle_termination": ["self", "signum", "frame"],
    "cb_config": ["ctx", "param", "value"],
    "invoke": ["about", "about_format", "config", "state", "catalog"],
}
STREAM_CALLS = {
    "_write_schema_message": ["self"],
    "_write_state_message": ["self"],
    "_check_max_record_limit": ["self", "current_record_index"],
    "get_record_counter": ["self", "endpoint", "log_interval"],
    "get_sync_timer": ["self"],
}
STREAM_ATTRIBUTES = ("_metadata", "_tap", "_tap_input_catalog", "_stream_version")
"""Set by the SDK's __init__, read by ConnectorStream."""
TAP_ATTRIBUTES = ("_config", "_mapper")


class PlainStream(Stream):
    """A stream that notes how the SDK calls it."""

    name = "plain"
    schema: ClassVar[Any] = {"properties": {"id": {"type": "integer"}}}
    calls: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:  # noqa: ARG002 - the SDK's signature
        return [{"id": 1}, {"id": 2}]


class WatchedStream(PlainStream):
    def _sync_records(self, *args: Any, **named: Any) -> Iterator[Any]:  # type: ignore[override] # only that it is called counts
        assert not args
        self.calls.append(("_sync_records", named))
        yield from ()

    def _sync_batches(self, *args: Any, **named: Any) -> None:
        self.calls.append(("_sync_batches", {"args": args, **named}))


class PlainTap(Tap):
    name = "tap-plain"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}
    stream_class: ClassVar[type[Stream]] = PlainStream

    def discover_streams(self) -> list[Stream]:
        return [self.stream_class(self)]


class WatchedTap(PlainTap):
    stream_class = WatchedStream


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("sdk", "ours", "name", "names"),
    [
        *((Stream, ConnectorStream, name, names) for name, names in STREAM_OVERRIDES.items()),
        *((Tap, ConnectorTap, name, names) for name, names in TAP_OVERRIDES.items()),
    ],
)
def test_what_is_overridden_exists_and_takes_what_it_took(sdk: Any, ours: Any, name: str, names: Any) -> None:
    assert name in vars(ours), "no longer overridden: take it off the list"
    theirs = inspect.getattr_static(sdk, name)
    assert not getattr(theirs, "__final__", False)
    if names is None:
        assert isinstance(theirs, property)
    else:
        assert parameters(getattr(sdk, name)) == names
        assert parameters(getattr(ours, name)) == names


@pytest.mark.parametrize(("name", "names"), STREAM_CALLS.items())
def test_what_is_called_exists_and_takes_what_it_took(name: str, names: list[str]) -> None:
    assert parameters(getattr(Stream, name)) == names


def test_the_list_of_overridden_methods_is_complete() -> None:
    for ours, sdk, overrides in ((ConnectorStream, Stream, STREAM_OVERRIDES), (ConnectorTap, Tap, TAP_OVERRIDES)):
        replaced = {name for name in vars(ours) if not name.startswith("__") and hasattr(sdk, name)}
        known = {*overrides, "capabilities", "message_writer_class", "package_name", "_env_var_config", "_abc_impl"}
        assert replaced - known == set()


def test_attributes_are_set_by_the_sdk() -> None:
    tap = PlainTap()
    assert [name for name in TAP_ATTRIBUTES if name not in vars(tap)] == []
    assert [name for name in STREAM_ATTRIBUTES if name not in vars(tap.streams["plain"])] == []
    assert tap.streams["plain"].tap_state is tap.state


def test_sync_calls_sync_records_by_name() -> None:
    WatchedStream.calls.clear()
    WatchedTap().sync_all()
    assert WatchedStream.calls == [("_sync_records", {"context": None})]


def test_sync_calls_sync_batches_with_the_config_first() -> None:
    WatchedStream.calls.clear()
    config = {"encoding": {"format": "jsonl", "compression": "gzip"}, "storage": {"root": "file:///nowhere"}}
    WatchedTap(config={"batch_config": config}).sync_all()
    ((name, given),) = WatchedStream.calls
    assert (name, given) == ("_sync_batches", {"args": (BatchConfig.from_dict(config),), "context": None})


def test_the_config_is_checked_while_the_tap_is_made() -> None:
    seen: list[Any] = []

    class Checked(PlainTap):
        def _validate_config(self, **named: Any) -> list[str]:
            seen.append((named, dict(self._config)))
            self._config = {"filled": "in"}
            return []

    assert dict(Checked(config={"a": 1}, validate_config=False).config) == {"filled": "in"}
    assert seen == [({"raise_errors": False}, {"a": 1})]


def test_the_tap_takes_the_signals() -> None:
    tap = PlainTap()
    for number in (signal.SIGINT, signal.SIGTERM):
        assert signal.getsignal(number) == tap._handle_termination


def test_the_environment_is_read_through_a_property_of_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    class Environment(PlainTap):
        @classproperty
        def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - a property of the class
            return {"from": cls._env_var_prefix}

    assert dict(Environment(parse_env_config=True).config) == {"from": "TAP_PLAIN_"}
    monkeypatch.setenv("TAP_PLAIN_A", "[1]")
    assert parse_environment_config({"properties": {"a": {"type": "string"}}}, "TAP_PLAIN_") == {"a": "[1]"}


def test_the_mapper_is_set_up_while_the_tap_is_made_and_gives_the_streams_their_maps() -> None:
    class Mapped(PlainTap):
        def setup_mapper(self) -> None:
            self._mapper = PluginMapper(plugin_config={}, logger=self.logger)
            self._mapper.register_raw_stream_schema("plain", {"properties": {}}, None)

    tap = Mapped()
    assert tap.streams["plain"].stream_maps is tap.mapper.stream_maps["plain"]


def test_state_is_loaded_last_and_written_first(capsys: pytest.CaptureFixture[str]) -> None:
    tap = PlainTap(state={"bookmarks": {"plain": {"x": 1}}, "other": 2})
    assert tap.state == {"bookmarks": {"plain": {"x": 1}}}
    tap.sync_all()
    assert capsys.readouterr().out.startswith('{"type":"STATE","value":{"bookmarks":{"plain":{"x":1}}}}')


def test_a_state_message_is_written_when_the_state_is_not_flushed(capsys: pytest.CaptureFixture[str]) -> None:
    stream = PlainTap().streams["plain"]
    stream.tap_state["x"] = 1  # type: ignore[typeddict-unknown-key] # not in the SDK's type
    stream.state_manager.is_flushed = True
    stream._write_state_message()
    assert capsys.readouterr().out == ""
    stream.state_manager.is_flushed = False
    stream._write_state_message()
    assert '"x":1' in capsys.readouterr().out
    assert stream.state_manager.is_flushed


def test_the_record_limit_ends_a_stream() -> None:
    stream = PlainTap().streams["plain"]
    stream._check_max_record_limit(current_record_index=10**6)
    stream.ABORT_AT_RECORD_COUNT = 1
    stream._check_max_record_limit(current_record_index=0)
    with pytest.raises((AbortedSyncFailedException, AbortedSyncPausedException)):
        stream._check_max_record_limit(current_record_index=1)


def test_messages_go_through_the_writer_class() -> None:
    assert isinstance(PlainTap().message_writer, Tap.message_writer_class)
    assert {"serialize_message", "write_message"} == GenericSingerWriter.__abstractmethods__
    assert ConnectorTap.message_writer_class is MessageWriter


def test_messages_and_batches_are_made_as_assumed() -> None:
    assert parameters(RecordMessage) == ["stream", "record", "version", "time_extracted"]
    assert parameters(SDKBatchMessage) == ["stream", "encoding", "manifest", "version"]
    assert parameters(StorageTarget) == ["root", "prefix", "params"]
    assert parameters(StorageTarget.open) == ["self", "filename", "mode"]
    assert parameters(StorageTarget.get_url) == ["self", "filename"]


def test_a_breadcrumb_that_a_mask_does_not_name_follows_its_parent() -> None:
    metadata = MetadataMapping.from_iterable(
        [
            {"breadcrumb": [], "metadata": {"selected": True}},
            {"breadcrumb": ["properties", "a"], "metadata": {"selected": False}},
        ]
    )
    mask = metadata.resolve_selection()
    assert mask["properties", "b"]
    assert not mask["properties", "a"]
    assert not mask["properties", "a", "properties", "c"]


def test_the_command_hands_the_merged_config_on() -> None:
    class Command(PlainTap):
        @classmethod
        def invoke(cls, **given: Any) -> Any:
            return given

    command: click.Command = Command.cli
    given = command.main(args=["--config", "ENV"], standalone_mode=False)
    assert (given["config"].config, given["config"].parse_env) == ({}, True)
    assert set(given) == {"about", "about_format", "config", "state", "catalog"}
