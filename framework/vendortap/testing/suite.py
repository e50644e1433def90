"""The conformance suite as a class of tests for pytest: every check, and singer-sdk's own tests of taps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from singer_sdk.testing import get_tap_test_class

from vendortap.declare.model import Connector
from vendortap.errors import UsageError
from vendortap.plugins import host
from vendortap.plugins.validation import EXTRA_STREAMS
from vendortap.singer.tap import tap_class
from vendortap.testing import replaying, tape
from vendortap.testing.checks import CHECKS, Check
from vendortap.testing.harness import Harness, NotApplicable, first_settings, served, signals

SINGER = "singer_sdk"
"""What ``skip`` calls singer-sdk's own tests."""
_NOWHERE = "http://127.0.0.1:9"
"""Where the settings lead before a server runs: singer-sdk's class of tests is made of a tap that has settings."""


def make(
    connector: str | Connector,
    *,
    config: Mapping[str, Any],
    invoices: int,
    options: Mapping[str, Any],
    recording: Path | None,
    unlike: Mapping[str, Iterable[str]],
    skip: Mapping[str, str],
) -> type[Any]:
    """Return the class; see ``vendortap.testing.connector_suite``.

    Raises:
        PluginError: there is no such connector, or it cannot be used.
        UsageError: ``skip`` names no check, or the recording cannot be used.
    """
    for unknown in sorted(set(skip) - {*CHECKS, SINGER}):
        raise UsageError(f"there is no check {unknown!r} to skip; there are {', '.join((*CHECKS, SINGER))}")
    loaded = host.load(connector, fully=True) if isinstance(connector, str) else connector
    kept = tape.load(recording, loaded.name) if recording else None
    seen = replaying.pointed(loaded, kept, _NOWHERE) if kept else loaded
    more = _with_all_streams(seen, config)
    singer_config = {**first_settings(loaded, _NOWHERE, kept), **more}

    @pytest.fixture(scope="class", autouse=True)  # type: ignore[misc] # mypy sees no class: it is a method of one below
    @classmethod
    def harness(_: type[Any]) -> Iterator[Harness]:
        """The connector, and a server that runs for as long as the class's tests."""
        where = served(loaded, config=config, invoices=invoices, options=options, recording=recording, unlike=unlike)
        with where as running:
            singer_config.clear()
            singer_config.update({**running.config, **more})
            yield running

    streams = [stream.name for stream in seen.streams]
    tests = {f"test_{check.name}": _test(check, streams, skip.get(check.name)) for check in CHECKS.values()}
    base = object if SINGER in skip else _singer_tests(seen, singer_config)
    members = {
        "__doc__": f"Whether {loaded.title} keeps to what every connector has to.",
        "harness": harness,
        "pytestmark": [pytest.mark.filterwarnings("ignore:No records were available to test")],  # of what is null
        **tests,
    }
    return type("ConnectorSuite", (base,), members)


def _with_all_streams(connector: Connector, config: Mapping[str, Any]) -> Mapping[str, Any]:
    extra = [stream.name for stream in connector.streams if not stream.selected_by_default]
    return {**config, EXTRA_STREAMS: extra} if extra else config


def _test(check: Check, streams: list[str], reason: str | None) -> Callable[..., None]:
    """Return the test of a check, once for each stream where it takes one."""

    def test(self: Any, harness: Harness) -> None:  # noqa: ARG001 - a method
        _run(check, harness)

    def test_stream(self: Any, harness: Harness, stream: str) -> None:  # noqa: ARG001 - a method
        _run(check, harness, stream)

    made: Callable[..., None] = pytest.mark.parametrize("stream", streams)(test_stream) if check.each_stream else test
    made.__doc__ = check.run.__doc__
    return pytest.mark.skip(reason=reason)(made) if reason else made


def _run(check: Check, harness: Harness, *stream: str) -> None:
    __tracebackhide__ = True
    try:
        check.run(harness, *stream)
    except NotApplicable as error:
        pytest.skip(str(error))
    except AssertionError as error:
        pytest.fail(f"{check.name}: {error}", pytrace=False)


# --- singer-sdk's own tests --------------------------------------------------------------------------


def _singer_tests(connector: Connector, config: dict[str, Any]) -> type[Any]:
    """Return singer-sdk's class of tests; ``config`` is what its taps are made with, filled in when a server runs."""
    with signals():
        made: type[Any] = get_tap_test_class(tap_class(connector), config=config, parse_env_config=False)
    return made
