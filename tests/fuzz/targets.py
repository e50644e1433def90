"""What is fuzzed: all that reads bytes of others, as functions of bytes that may raise errors of ours and no others.

Fed by hypothesis (test_targets.py), and by atheris for a bounded time (``python -m tests.fuzz``).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.decode.kit import coerced
from vendortap.declare import auth, limits, plan
from vendortap.declare.model import Bookmark, Connector, Node, RecordSelector, Reply, Stream
from vendortap.decode import coerce, reader, schemas, xml_tree
from vendortap.decode import json as json_format
from vendortap.decode.drift import Drift
from vendortap.decode.json import JsonDecoder
from vendortap.decode.structs import DoesNotFit
from vendortap.decode.values import Dates, Malformed, SchemaMismatch, dates
from vendortap.decode.xml import XmlDecoder
from vendortap.duckdb.reader import MESSAGE_TYPES, LineReader
from vendortap.errors import CatalogError, ConfigError, StateError, VendortapError
from vendortap.http.messages import vendor_message
from vendortap.http.rate_limit import retry_after
from vendortap.plugins import host
from vendortap.plugins.validation import settings, shapes
from vendortap.singer import catalogs
from vendortap.singer.encoding import ENCODER
from vendortap.support.files import parse_json
from vendortap.sync import documents
from vendortap.sync.state import check_state, find_entry, read_bookmark

Target = Callable[[bytes], None]

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
OURS = (VendortapError, Malformed, SchemaMismatch)
NAMES = ("amazon-vendor", "ingram-micro", "midnight", "scansource", "visiblescm")


@cache
def connector(name: str) -> Connector:
    return host.load(name)


@cache
def _streams() -> list[tuple[Connector, Stream]]:
    return [(connector(name), stream) for name in NAMES for stream in connector(name).streams]


@cache
def _reader(index: int, *, is_coerced: bool, is_watched: bool) -> reader.Reader:
    vendor, stream = _streams()[index]
    config = schemas.with_defaults({}, settings(vendor))
    declared = stream.record_selector
    selector = declared if isinstance(declared, RecordSelector) else declared(config)
    zone = dates("America/New_York", "%m/%d/%Y %H:%M" if index % 2 else None)
    row = shapes(vendor)[stream.name].row
    drift = Drift(vendor.name, stream.name, row) if is_watched else None
    made = reader.Reader(row, selector, stream.keys, zone, drift=drift)
    return coerced(made) if is_coerced else made


def _reply(body: bytes, kind: str, **headers: str) -> Reply:
    return Reply(400, {"content-type": kind, **headers}, body, NOW)


def _pages(kind: str, *, is_coerced: bool = False, is_watched: bool = False) -> Target:
    """Read a body as a page of every stream of every vendor; whatever is read can be written."""

    def target(body: bytes) -> None:
        for index in range(len(_streams())):
            made = _reader(index, is_coerced=is_coerced, is_watched=is_watched)
            try:
                page = made.read(_reply(body, kind))
            except OURS:
                continue
            for row in page.records:
                ENCODER.encode(row)

    return target


def _alike(kind: str) -> Target:
    """Read a body in one step where it can be, and coerced: what both read is the same."""

    def target(body: bytes) -> None:
        for index in range(len(_streams())):
            made = _reader(index, is_coerced=False, is_watched=True)
            other = _reader(index, is_coerced=True, is_watched=True)
            found = [_outcome(one, _reply(body, kind)) for one in (made, other)]
            assert None in found or found[0] == found[1], found

    return target


def _outcome(made: reader.Reader, reply: Reply) -> Any:
    try:
        page = made.read(reply)
    except OURS:
        return None
    for row in page.records:
        for name in _GIVEN:
            if name in row._names:  # type: ignore[attr-defined] # of RecordStruct
                row[name] = None
    return [ENCODER.encode(row) for row in page.records], page.absent, sorted(page.invalid)


_GIVEN = frozenset(
    name
    for vendor, stream in _streams()
    for name, node in shapes(vendor)[stream.name].row.fields.items()
    if node.kind == "given"
)


def _typed(compiled: Callable[[Node], Callable[[bytes], Any]], kind: str) -> Target:
    """Decode by one schema of ScanSource's, with nothing that mends above it."""
    made: list[Callable[[bytes], Any]] = []

    def target(body: bytes) -> None:
        if not made:
            made.append(compiled(shapes(connector("scansource"))["invoice_details"].row))
        with suppress(DoesNotFit):
            made[0](body)

    target.__doc__ = kind
    return target


def _of_json(node: Node) -> Callable[[bytes], Any]:
    return JsonDecoder(node, RecordSelector(many=False), Dates()).typed


def _of_xml(node: Node) -> Callable[[bytes], Any]:
    decoder, build = XmlDecoder(node, RecordSelector(many=False), Dates()), coerce.compile(node, Dates(), texts=True)
    return lambda body: decoder.apart(body, lambda parsed: _built(parsed, build))


def _in_pieces(node: Node) -> Callable[[bytes], Any]:
    """A page of lines of an invoice, as its samples have them."""
    line = node.fields["InvoiceLines"].item
    assert line is not None
    decoder = XmlDecoder(line, RecordSelector(("InvoiceLines",)), Dates(), piece=64)
    build = coerce.compile(line, Dates(), texts=True)
    return lambda body: decoder.apart(body, lambda parsed: _built(parsed, build))


def _built(parsed: Any, build: coerce.Build) -> Any:
    parsed = parsed.value if isinstance(parsed, coerce.Noted) else parsed
    return None if parsed is None else build(parsed, [])


def vendor_messages(body: bytes) -> None:
    """The search for a vendor's sentence, and all else that is read of an answer that is no page."""
    for kind in ("application/json", "application/xml", "application/problem+json"):
        vendor_message(_reply(body, kind))
    text = body.decode("latin-1")
    reply = _reply(
        b"", "", **{"retry-after": text, "date": text[::-1], "x-ratelimit-limit": text, "x-amzn-ratelimit-limit": text}
    )
    retry_after(reply)
    limits.x_rate_limit(reply)
    limits.amazon_rate_limit(reply)


def tokens(body: bytes) -> None:
    """What a token endpoint answers."""
    auth.token_credentials(auth.token_document(_reply(body, "application/json")))


def _object(body: bytes, error: Any) -> Any:
    return parse_json(body.decode("utf-8", "replace"), error, "the file")


def config(body: bytes) -> None:
    """A file of settings, up to the plan that is made of them."""
    document = _object(body, ConfigError)
    for name in NAMES:
        known = settings(connector(name))
        filled = schemas.with_defaults(document, known)
        try:
            schemas.check_config(filled, known, name)
            _plan(connector(name), filled, {})
        except OURS:
            continue


def catalog(body: bytes) -> None:
    """A catalog."""
    document = _object(body, CatalogError)
    for name in NAMES:
        try:
            catalogs.check_catalog(document, connector(name), shapes(connector(name)))
        except OURS:
            continue


def state(body: bytes) -> None:
    """A state, up to the plans that are made of it."""
    checked = check_state(_object(body, StateError))
    for name in NAMES:
        vendor = connector(name)
        config = schemas.with_defaults({"customer_numbers": ["1"], "start_date": "2026-05-01"}, settings(vendor))
        _plan(vendor, config, checked)


def _plan(vendor: Connector, config: Mapping[str, Any], state: Any) -> None:
    for stream in vendor.streams:
        key = {stream.parent.param: "../1"} if stream.parent else {}
        bookmarks = partial(_bookmark, state, stream.name)
        for _, unit in zip(range(100), plan.slices(stream.plan, config, bookmarks, NOW), strict=False):
            stream.request(config, {**unit.params, **key})


def _bookmark(state: Any, stream: str, partition: Mapping[str, str]) -> Bookmark | None:
    return read_bookmark(stream, find_entry(state, stream, partition) or {})


def messages(body: bytes) -> None:
    """Lines of a Singer tap that the target reads."""
    LineReader().process_lines(io.BytesIO(body), dict.fromkeys(MESSAGE_TYPES, lambda _: None))


def a_document(body: bytes) -> None:
    """The media type of a document, which becomes a part of a file's name."""
    kind = documents.media_type(body)
    assert "/" in kind, kind


TARGETS: Mapping[str, Target] = {
    "json pages": _pages("application/json"),
    "json pages coerced": _pages("application/json", is_coerced=True),
    "json pages watched": _alike("application/json"),
    "xml pages": _pages("application/xml"),
    "xml pages watched": _alike("application/xml"),
    "json typed": _typed(_of_json, "decode.json alone"),
    "json untyped": lambda body: json_format.loads(body),
    "xml typed": _typed(_of_xml, "decode.xml alone"),
    "xml in pieces": _typed(_in_pieces, "decode.incremental"),
    "xml untyped": lambda body: xml_tree.loads(body),
    "vendor messages": vendor_messages,
    "tokens": tokens,
    "config": config,
    "catalog": catalog,
    "state": state,
    "messages": messages,
    "documents": a_document,
}
