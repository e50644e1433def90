"""Decoders of a single value, as tests want them: each body is read typed and coerced, and both have to agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vendortap.declare.model import Node, Page, RecordSelector
from vendortap.decode import coerce, json, xml_tree
from vendortap.decode.coerce import Findings, Noted
from vendortap.decode.pages import Selected
from vendortap.decode.reader import Reader
from vendortap.decode.structs import DoesNotFit, RecordStruct, has_plain_names
from vendortap.decode.values import Dates, Malformed, SchemaMismatch
from vendortap.decode.xml import XmlDecoder

Decode = Callable[[bytes], Any]


def plain(value: Any) -> Any:
    """A value with dicts in place of rows."""
    if isinstance(value, RecordStruct):
        return {name: plain(value[name]) for name in value._names}
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def in_dicts(page: Page) -> Page:
    """A page whose records are dicts."""
    return replace(page, records=[plain(row) for row in page.records])


def json_decoder(node: Node, dates: Dates) -> Decode:
    """Body → value, by both readings where both apply."""
    typed = json._typed(node, dates) if has_plain_names(node) else None
    build = coerce.compile(node, dates)

    def decode(body: bytes) -> Any:
        try:
            found = typed and plain(typed(body.removeprefix(b"\xef\xbb\xbf")))
        except DoesNotFit:
            return built(json.parse(body), build, node)
        try:
            value = built(json.parse(body), build, node)
        except SchemaMismatch as error:
            assert typed is None, error  # noqa: PT017 - what fits when typed fits when coerced
            raise
        assert typed is None or same(found, value)
        return value

    return decode


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, zeros and digits of numbers included."""
    return repr(one) == repr(other)


def xml_decoder(node: Node, dates: Dates) -> Decode:
    """Document → value, by the tree."""
    shape, build = xml_tree.shape(node), coerce.compile(node, dates, texts=True)
    name = node.xml_name if node.kind == "object" else None

    def decode(body: bytes) -> Any:
        root = xml_tree.parse(body)
        if name and xml_tree.local(root.tag) != name:
            raise Malformed(f"the root element is not <{name}>")
        return built(shape(root, False), build, node)

    return decode


def built(parsed: Any, build: coerce.Build, node: Node) -> Any:
    if isinstance(parsed, Noted):
        parsed = parsed.value
    try:
        value = None if parsed is None else build(parsed, [])
        if value is None and not node.nullable:
            raise SchemaMismatch("", "a value")
    except SchemaMismatch as error:
        raise error.inside("$") from None
    return plain(value)


def page_decoder(row: Node, selector: RecordSelector, dates: Dates, **options: Any) -> Callable[[bytes], Selected]:
    """Page of XML → what is selected of it, by the tree; raises SchemaMismatch at the first that does not fit."""
    decoder, build = XmlDecoder(row, selector, dates, **options), coerce.compile(row, dates, texts=True)
    return lambda body: decoder.apart(body, lambda parsed: built(parsed, build, row))


def list_decoder(row: Node, selector: RecordSelector, dates: Dates, **options: Any) -> Decode:
    """Page of XML → its records, as ``page_decoder`` reads them."""
    decode = page_decoder(row, selector, dates, **options)
    return lambda body: decode(body).records


# --- readers -----------------------------------------------------------------------------------------


def coerced(reader: Reader) -> Reader:
    """A reader that coerces each page: none fits its typed reading."""

    def refuse(body: bytes) -> Selected:
        raise DoesNotFit(f"{len(body)} bytes that are to be coerced")

    for decoder in reader._decoders.values():
        setattr(decoder, "typed", refuse)  # noqa: B010 - a method
    return reader


def counting(reader: Reader) -> list[bytes]:
    """Where the bodies that a reader coerces will be put."""
    bodies: list[bytes] = []
    for decoder in reader._decoders.values():
        setattr(decoder, "apart", _noting(decoder.apart, bodies))  # noqa: B010 - a method
    return bodies


def _noting(apart: Callable[..., Selected], bodies: list[bytes]) -> Callable[..., Selected]:
    def noted(body: bytes, take: Callable[[Any], Any]) -> Selected:
        bodies.append(body)
        return apart(body, take)

    return noted


def findings(parsed: Any, build: coerce.Build) -> Findings:
    """What is noticed in a parsed record."""
    found: Findings = []
    build(parsed, found)
    return found
