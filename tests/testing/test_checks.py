"""Each check of the conformance suite fails at a connector that is broken in what it checks, and says so."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from vendortap.declare.model import Bookmark, Connector, Page, Record, RecordSelector, Reply, Request
from vendortap.declare.request import get
from vendortap.decode.structs import as_dict
from vendortap.errors import CredentialsError, MissingError, TransportError, UsageError
from vendortap.plugins import host
from vendortap.sandbox import faults
from vendortap.singer.stream import ConnectorStream
from vendortap.singer.tap import ConnectorTap
from vendortap.sync.context import BookmarkUpdate, Records, SyncContext
from vendortap.testing import connector_suite
from vendortap.testing.checks import CHECKS
from vendortap.testing.harness import Harness, NotApplicable, served

LIST, DOCUMENTS = "invoices", "invoice_details"
Change = Callable[[Connector], Connector]


def of_stream(name: str, **changes: Any) -> Change:
    """What declares something else of a stream."""

    def change(connector: Connector) -> Connector:
        streams = [replace(s, **changes) if s.name == name else s for s in connector.streams]
        return replace(connector, streams=tuple(streams))

    return change


def of_all(**changes: Any) -> Change:
    """What declares something else of the connector."""
    return lambda connector: replace(connector, **changes)


def finished(name: str, finish: Callable[[Record], Any]) -> Change:
    return of_stream(name, finish=finish)


# --- taps that are broken ----------------------------------------------------------------------------

Stream = type[ConnectorStream]


def with_streams(kind: Stream) -> Callable[[Harness], None]:
    """What makes the harness's tap of other streams."""

    class Tap(ConnectorTap):
        def discover_streams(self) -> Sequence[ConnectorStream]:
            return [kind(self, self, stream, self.shapes[stream.name]) for stream in self.connector.streams]

    return with_tap(Tap)


def with_tap(kind: type[ConnectorTap]) -> Callable[[Harness], None]:
    def change(harness: Harness) -> None:
        members = {"connector": harness.connector, "settings_schema": harness.tap.settings_schema}
        schema = {"config_jsonschema": harness.tap.config_jsonschema, "name": harness.tap.name}
        harness.tap = type("Broken", (kind,), members | schema)

    return change


class Halved(ConnectorTap):
    def discover_streams(self) -> Sequence[ConnectorStream]:
        return super().discover_streams()[:1]


class Greedy(ConnectorTap):
    """Reads everything, whatever its catalog says."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "catalog": None})


class Careless(ConnectorTap):
    """Goes on at a bad record, though it is to stop."""

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        problems = super()._validate_config(raise_errors=raise_errors)
        self._config = {
            **self._config,
            "on_bad_record": "quarantine",
            "quarantine_dir": self._config.get("quarantine_dir"),
        }
        return problems


class Deaf(ConnectorTap):
    """Takes every refusal for a record that is not there."""

    def source(self) -> SyncContext:
        source = super().source()

        def send(request: Request) -> Reply:
            try:
                return source.send(request)
            except (CredentialsError, TransportError) as error:
                raise MissingError(str(error)) from None

        return replace(source, send=send)


class Forgetful(ConnectorStream):
    def _bookmarked(self, partition: Mapping[str, str]) -> Bookmark | None:  # noqa: ARG002 - the signature it has
        return None


class Talkative(ConnectorStream):
    """Has a property in its records that its schema has not."""

    def _shape(self, item: Records, shapers: Sequence[Any]) -> None:
        super()._shape(item, shapers)
        item.records[:] = [{**as_dict(record), "More": 1} for record in item.records]


class Moving(ConnectorStream):
    """Writes bookmarks that are moved by so many days more each time."""

    days = 0
    count: ClassVar[int] = 0

    def _advance(self, item: BookmarkUpdate) -> None:
        Moving.count += 1
        value = item.bookmark.value + timedelta(self.days * Moving.count)
        super()._advance(replace(item, bookmark=Bookmark(value, item.bookmark.keys_at_bookmark)))


class Backwards(Moving):
    days = -1


class Ahead(Moving):
    days = 3650


class Whole(ConnectorStream):
    """Has everything selected."""

    @property
    def mask(self) -> Any:
        return defaultdict(lambda: True)


# --- what is broken, and what is said of it ----------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A check, a connector that is broken in it, and what is said of that."""

    check: str
    says: str
    change: Change = lambda connector: connector
    before: Callable[[Harness], None] = lambda _: None
    stream: str = DOCUMENTS
    connector: str = "visiblescm"
    options: Mapping[str, Any] = field(default_factory=dict)


def in_xml(old: bytes, new: bytes) -> Callable[[Harness], None]:
    """A vendor that says something else in XML."""

    def change(_: Any, answer: faults.Answer) -> faults.Answer:
        is_xml = b"xml" in answer.header(b"content-type")
        body = answer.body.replace(old, new)
        return answer.having(body, content_length=str(len(body))) if is_xml else answer

    return lambda harness: setattr(harness.front, "change", change)


def without_retry_after(harness: Harness) -> None:
    """A vendor that says nothing of how long to wait; the backoff's first wait is shorter than a second."""
    harness.front.change = lambda _, answer: answer.having(answer.body, retry_after=None)


def with_settings(harness: Harness, **settings: Any) -> None:
    harness.config = {**harness.config, **settings}


def ahead(harness: Harness) -> None:
    """A tap whose bookmarks are ahead of what it has handed on; its list is soon read, so that documents move them."""
    with_streams(Ahead)(harness)
    with_settings(harness, page_size=100)


def unmarked(harness: Harness) -> None:
    harness.__dict__["settings"] = {
        **harness.settings,
        "token": {k: v for k, v in harness.settings["token"].items() if k != "secret"},
    }


def told(*parts: Any) -> dict[str, str]:
    sys.stderr.write(f"{parts}\n")
    return {}


def shown(page: Page) -> None:
    told(page.invalid)


def careless(harness: Harness, folder: Any) -> None:
    with_tap(Careless)(harness)
    with_settings(harness, quarantine_dir=str(folder))


def a_float(record: Record) -> None:
    record["TotalInvoicedAmount"] = float(record["TotalInvoicedAmount"])


def with_value(name: str, value: Any) -> Callable[[Record], None]:
    return lambda record: record.__setitem__(name, value)


def twice(record: Record) -> None:
    record["TotalInvoicedAmount"] *= 2


def always(*_: object) -> bool:
    return True


def with_empty_rows(connector: Connector) -> Connector:
    """What takes every reply without the place of the rows for one that has none."""
    rows = connector.stream(LIST).record_selector
    assert isinstance(rows, RecordSelector)
    return of_stream(LIST, record_selector=replace(rows, empty=(always,), more={}), pages=None, check=None)(connector)


def unknown_numbers(connector: Connector) -> Connector:
    """What compares a document's number with the one asked for, and takes any two for the same."""
    parent = connector.stream(DOCUMENTS).parent
    assert parent is not None
    return of_stream(DOCUMENTS, parent=replace(parent, same=always))(connector)


CASES = [
    Case("declared", "the key property 'Nowhere' is not in its schema", of_stream(LIST, keys=("Nowhere",))),
    Case("declared", "is no address", of_all(docs="")),
    Case("discovery", "discovery finds", before=with_tap(Halved)),
    Case("catalog", "a catalog that selects invoices alone gives", before=with_tap(Greedy)),
    Case("full", "gives no record of invoice_details", options={"invoices": 0}),
    Case("full", "has not the properties of its SCHEMA", before=with_streams(Talkative)),
    Case(
        "keys",
        "two records of invoice_details have the same",
        finished(DOCUMENTS, with_value("RequestedInvoiceRefNumber", "1")),
    ),
    Case(
        "keys",
        "invoices has different records with the same InvoiceFriendlyStatus: declare keys that tell them apart",
        of_stream(LIST, keys=("InvoiceFriendlyStatus",)),
        stream=LIST,
    ),
    Case(
        "keys",
        "has no RequestedInvoiceRefNumber",
        finished(DOCUMENTS, with_value("RequestedInvoiceRefNumber", None)),
    ),
    Case("incremental", "hands a record on again that its bookmark covers", before=with_streams(Forgetful)),
    Case("incremental", "goes back|covers", before=with_streams(Forgetful), stream=LIST, connector="scansource"),
    Case("resumed", "are missing after a run that broke off", before=ahead, options={"invoices": 60}),
    Case("state", "goes back from one STATE to the next", before=with_streams(Backwards), connector="scansource"),
    Case(
        "parity",
        "differs in xml from what it is in json in",
        before=in_xml(b"</TotalInvoicedAmount>", b"1</TotalInvoicedAmount>"),
    ),
    Case("exact", "invoice_details.TotalInvoicedAmount is a float", finished(DOCUMENTS, a_float)),
    Case("totals", "all invoices: loaded are", finished(DOCUMENTS, twice)),
    Case("selection", "with some properties of", before=with_streams(Whole)),
    Case("refused", "401 to everything is no CredentialsError", before=with_tap(Deaf)),
    Case(
        "limited",
        "a run with a 429 in it ended with TransportError",
        before=lambda s: with_settings(s, retry_seconds=0),
    ),
    Case("limited", "that Retry-After of a 429 asks for is not waited", before=without_retry_after),
    Case("unavailable", "a vendor that answers 500 for good: MissingError", before=with_tap(Deaf)),
    Case("unavailable", "a run with a few 5xx in it ended", before=lambda s: with_settings(s, retry_seconds=0)),
    Case("bad_record", "is shown", of_stream(DOCUMENTS, check=shown)),
    Case("envelope", "in another envelope than is declared", with_empty_rows, stream=LIST),
    Case(
        "foreign",
        "the same document for every request of invoice_details: the run ends as if all were well",
        unknown_numbers,
    ),
    Case("secrets", "the setting 'token' looks like a secret", before=unmarked),
    Case(
        "secrets", "a secret is in what the tap writes to its log", of_all(headers=lambda config: told(config["token"]))
    ),
    Case(
        "secrets", "a secret is sent in a URL", of_stream(LIST, request=get("/api/Invoice/InvoiceList", key="{token}"))
    ),
    Case(
        "secrets",
        "a secret is in what the tap writes to standard output",
        finished(LIST, with_value("InvoiceFriendlyStatus", "sandbox-visiblescm-bearer")),
    ),
]


@contextmanager
def harness_of(case: Case) -> Iterator[Harness]:
    connector = case.change(host.load(case.connector))
    Moving.count = 0
    with served(connector, config={}, **{"invoices": 12, **case.options}) as harness:
        case.before(harness)
        yield harness


def run(check: str, harness: Harness, stream: str) -> None:
    CHECKS[check].run(harness, *([stream] if CHECKS[check].each_stream else []))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.says}")
def test_a_broken_connector_fails_the_check_that_is_about_it(case: Case) -> None:
    with harness_of(case) as harness, pytest.raises(AssertionError, match=case.says):
        run(case.check, harness, case.stream)


def test_a_tap_that_goes_on_at_a_bad_record_fails(tmp_path: Any) -> None:
    case = Case("bad_record", "is no RecordError", before=lambda harness: careless(harness, tmp_path))
    with harness_of(case) as harness, pytest.raises(AssertionError, match=case.says):
        run(case.check, harness, case.stream)


def chatty(config: Any) -> dict[str, str]:
    sys.stdout.write("here\n")
    return {}


def test_what_prints_on_standard_output_fails() -> None:
    with (
        harness_of(Case("full", "", of_all(headers=chatty))) as harness,
        pytest.raises(AssertionError, match="no Singer message: nothing may print"),
    ):
        run("full", harness, LIST)


def test_every_check_has_been_seen_to_fail() -> None:
    assert {case.check for case in CASES} == set(CHECKS)


def test_what_does_not_apply_says_why() -> None:
    with served(host.load("ingram-micro"), config={}, invoices=3) as harness, pytest.raises(NotApplicable) as caught:
        run("parity", harness, LIST)
    assert str(caught.value) == "it asks for one format only"


def test_a_check_that_there_is_not_cannot_be_skipped() -> None:
    with pytest.raises(UsageError, match="there is no check 'speed' to skip; there are declared, "):
        connector_suite("visiblescm", skip={"speed": "it is slow"})
