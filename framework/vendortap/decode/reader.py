"""Replies become pages of typed records; what does not fit is named exactly, and what is not declared is noticed.

Of a page there are at most three readings, in this order (``Readings`` says which apply, and why). Typed: in one step,
by msgspec or by an expression; it only ever accepts. Coerced: parsed without types, mended and built record by record,
so that a record that does not fit is named by its key and JSON path, and all others are read; unknown fields are noted
here. Apart: where there are records that do not fit, the page is split into each record's own bytes.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

from vendortap.declare.model import UNKNOWN, InvalidRecord, Node, Page, Record, RecordSelector, Reply
from vendortap.decode import coerce
from vendortap.decode import json as json_format
from vendortap.decode.bounds import is_deeper
from vendortap.decode.charset import check_json, without_lone_surrogates, xml_as_utf8
from vendortap.decode.coerce import Finding, Findings
from vendortap.decode.drift import Drift, field_name, strict, text, with_extra
from vendortap.decode.json import JsonDecoder
from vendortap.decode.pages import Selected, names_beside, own_values, prefix
from vendortap.decode.structs import DoesNotFit, RecordStruct, is_plain
from vendortap.decode.values import Dates, Malformed, Place, SchemaMismatch, TooDeep
from vendortap.decode.xml import XmlDecoder
from vendortap.decode.xml_tree import DEEPEST
from vendortap.errors import BodyError, RecordError
from vendortap.support.redact import shown_line, shown_name

_JSON_TYPES = ("application/json", "text/json")
_XML_TYPES = ("application/xml", "text/xml")

NAMES_AT_MOST = 200
"""Unknown names of a stream that are reported. If there are more, they seem to be data, and all are accepted."""
WHOLE = "(the record)"
"""What is noted as a field where a record is something else altogether."""
HALF = "text in whole characters"
"""What stands in the place of half of a surrogate pair."""
SAMPLE = 10
"""About so many records of a page are looked at where a closer look is taken."""

Form: TypeAlias = Literal["JSON", "XML"]
Decoder: TypeAlias = JsonDecoder | XmlDecoder


@dataclass(frozen=True, slots=True)
class Readings:
    """Which readings a stream's pages get.

    ``row`` is the schema that the typed reading goes by: where unknown fields are watched for, it has the names that
    have been reported, and refuses a page with any other. ``None``: pages are coerced at once, because msgspec cannot
    have a field of one of these names.
    """

    row: Node | None
    is_watched: bool

    @classmethod
    def of(cls, row: Node, extra: Iterable[Place], *, is_watched: bool) -> Readings:
        """Return those for a schema and the unknown fields that are accepted; all are, if there are too many."""
        places = set(extra)
        if not is_watched or len(places) > NAMES_AT_MOST:
            return cls(_lenient(row), is_watched=False)
        if not all(is_plain(part) for place in places for part in place if isinstance(part, str)):
            return cls(None, is_watched=True)
        for place in places:
            row = with_extra(row, place)
        return cls(row, is_watched=True)


def _lenient(node: Node) -> Node:
    fields = {name: _lenient(member) for name, member in node.fields.items()}
    return replace(node, fields=fields, item=node.item and _lenient(node.item), extra=None)


class Outcome(NamedTuple):
    """What came of one record: all of it, or what is legible and what does not fit; and what was noticed."""

    row: RecordStruct
    error: SchemaMismatch | None
    findings: Findings


class Reader:
    """Reads the replies of one stream into rows; in any number of threads.

    ``drift`` is told of what is not as it was. With ``keep_unknown`` unknown fields go into the property ``UNKNOWN``.
    """

    def __init__(
        self,
        node: Node,
        selector: RecordSelector,
        keys: Iterable[str],
        dates: Dates,
        *,
        max_depth: int = DEEPEST,
        drift: Drift | None = None,
        keep_unknown: bool = False,
    ) -> None:
        self._row = node
        self.selector = selector
        self._keys = tuple(key for key in keys if key in node.fields)
        self._max_depth = max_depth
        self._drift = drift
        self._keep = keep_unknown
        self._strict = strict(node, names_beside(selector))
        self._extra: set[Place] = set()
        self._siblings: set[str] = set()
        self._learning = threading.Lock()
        self._readings = Readings.of(self._strict, (), is_watched=drift is not None or keep_unknown)
        self._retyped: set[Place] = set()
        self._pages = count(1)
        passed = replace(node, extra=frozenset(names_beside(selector)))
        any_case = selector.any_case
        self._build: Mapping[Form, coerce.ObjectBuilder] = {
            "JSON": coerce.ObjectBuilder(passed, coerce.Compiler(dates, texts=False, any_case=any_case)),
            "XML": coerce.ObjectBuilder(passed, coerce.Compiler(dates, texts=True, any_case=any_case)),
        }
        row = self._readings.row or node
        self._decoders: Mapping[Form, Decoder] = {
            "JSON": JsonDecoder(row, selector, dates),
            "XML": XmlDecoder(row, selector, dates, max_depth),
        }

    def read(self, reply: Reply) -> Page:
        """Decode a reply by its ``Content-Type``, whatever was asked for.

        Raises:
            BodyError: neither JSON nor XML, or not well-formed.
            RecordError: what is beside the records does not fit.
            DriftError: there is drift, and the operator wants to stop at it.
        """
        form = _format(reply.media_type)
        content_type = reply.headers.get("content-type", "")
        body = xml_as_utf8(reply.body, content_type) if form == "XML" else reply.body
        try:
            return self._read(form, body)
        except TooDeep:
            raise BodyError(
                f"the answer is nested more than {self._max_depth} levels deep (max_depth), which no invoice is; "
                "report it to the vendor"
            ) from None
        except Malformed as error:
            if form == "JSON":
                check_json(body, content_type)
                if mended := without_lone_surrogates(body):
                    return self._with_halves(body, *mended)
            raise _unreadable(form, error) from None

    def split(self, reply: Reply) -> list[bytes]:
        """Return the own bytes of each record of a reply that has been read."""
        form = _format(reply.media_type)
        if form == "XML":
            return self._decoders[form].split(xml_as_utf8(reply.body, reply.headers.get("content-type", "")))
        mended = without_lone_surrogates(reply.body)
        return self._decoders[form].split(mended[0] if mended else reply.body)

    def redecode(self, raw: bytes, media_type: str) -> RecordStruct:
        """Decode the bytes of one record, as ``split`` gave them.

        Raises:
            RecordError: it does not fit (still).
        """
        form = _format(media_type)
        try:
            outcome = self._take(form)(self._decoders[form].parse_record(raw))
        except Malformed as error:
            raise RecordError(str(error)) from None
        if (wrong := outcome.error) is not None:
            raise RecordError(f"{wrong.expected} expected at {shown_line(wrong.path)}")
        if self.is_blank(outcome.row):
            raise RecordError("it has nothing of what is declared")
        return outcome.row

    # --- the readings --------------------------------------------------------------------------------

    def _read(self, form: Form, body: bytes) -> Page:
        if form == "JSON" and is_deeper(body, self._max_depth):
            raise TooDeep("nested too deeply")
        decoder = self._decoders[form]
        if self._readings.row is not None:
            with suppress(DoesNotFit):
                page = self._page(decoder.typed(body))
                if form == "JSON" and self._watches_types and _is_one_of_few(self._pages):
                    self._look_closer(decoder.split(body))
                return page
        return self._coerce(form, body)

    def _page(self, selected: Selected) -> Page:
        rows = selected.records
        absent = rows is None or (not self.selector.many and self.is_blank(rows[0]))
        return Page(rows or [], selected.more, absent=absent)

    def _coerce(self, form: Form, body: bytes) -> Page:
        try:
            selected = self._decoders[form].apart(body, self._take(form))
        except SchemaMismatch as error:
            raise _page_refusal(error) from None
        outcomes: list[Outcome] = selected.records or []
        if self._readings.is_watched:
            self._note_siblings(selected.siblings)
            self._note_unknown(outcomes)
        if self._watches_types:
            for index, outcome in enumerate(outcomes):
                self._note_types(index, outcome.findings)
        rows = None if selected.records is None else [outcome.row for outcome in outcomes]
        more = {**selected.more, **own_values(self._row, self.selector, rows or [])}
        page = self._page(selected._replace(records=rows, more=more))
        return replace(page, invalid=self._all_invalid(form, body, outcomes))

    def _all_invalid(self, form: Form, body: bytes, outcomes: Sequence[Outcome]) -> dict[int, InvalidRecord]:
        """Return the records that do not fit, by their place; only for these the page is split."""
        wrong = {index: outcome.error for index, outcome in enumerate(outcomes) if outcome.error}
        raws = self._decoders[form].split(body) if wrong else []
        return {i: self._invalid(error, outcomes[i].row, i, raws[i]) for i, error in wrong.items()}

    def _take(self, form: Form) -> Callable[[Any], Outcome]:
        """Return what builds a parsed record."""
        build = self._build[form]

        def take(value: Any) -> Outcome:
            findings: Findings = []
            if isinstance(value, coerce.Noted):
                findings += [Finding(*one) for one in value.unknown]
                value = value.value
            row, error = build.attempt(value, findings)
            if self._keep and error is None:
                try:
                    row[UNKNOWN] = _kept(findings)
                except SchemaMismatch as long:
                    error = long
            return Outcome(row, error and error.inside("$"), findings)

        return take

    def is_blank(self, record: Record) -> bool:
        """Whether a record has nothing of what is declared: it is something else, or was left empty."""
        return all(record[name] in (None, []) for name, member in self._row.fields.items() if member.kind != "given")

    def blank(self) -> RecordStruct:
        """Return a record without any value."""
        return self._build["JSON"].blank()

    def _with_halves(self, body: bytes, mended: bytes, mark: bytes) -> Page:
        """Read a JSON page of which texts have halves of surrogate pairs: each record that does is a bad one.

        ``mended`` is as long as the body, and has the mark in their place.

        Raises:
            BodyError: they are not in a record, or the rest of the page cannot be read.
        """
        try:
            page, raws = self._coerce("JSON", mended), self._decoders["JSON"].split(mended)
        except Malformed as error:
            raise _unreadable("JSON", error) from None
        invalid, at = dict(page.invalid), 0
        for index, raw in enumerate(raws):
            at = mended.index(raw, at)
            if mark in raw and index not in invalid:
                place = _place_of(json_format.loads(raw), json_format.loads(b'"%b"' % mark), "$")
                own = body[at : at + len(raw)]
                invalid[index] = self._invalid(SchemaMismatch(place, HALF), page.records[index], index, own)
            at += len(raw)
        if len(invalid) == len(page.invalid):
            raise BodyError(f"the page: {HALF} expected; half of a surrogate pair is no character (RFC 8259, 8.2)")
        return replace(page, invalid=invalid)

    def _invalid(self, error: SchemaMismatch, record: Record, index: int, raw: bytes) -> InvalidRecord:
        """Name the record by its key, as far as it has one."""
        place = f"[{index}]" if self.selector.many else ""
        path = shown_line(prefix(self.selector) + place + error.path.removeprefix("$"))
        if self._drift:
            name = re.sub(r"\[\d+\]", "[]", error.path.removeprefix("$").removeprefix("."))
            self._drift.note("type", name or WHOLE, path, error.expected, governed=False)
        who = f"record {index + 1} of the page" if self.selector.many else "the document"
        key = ", ".join(f"{k} {shown_name(str(record[k]))}" for k in self._keys if isinstance(record[k], str | int))
        return InvalidRecord(path, error.expected, raw, f"{key or who}: {error.expected} expected at {path}")

    # --- drift ---------------------------------------------------------------------------------------

    @property
    def _watches_types(self) -> bool:
        return self._drift is not None and not self.selector.any_type

    def _look_closer(self, raws: Sequence[bytes]) -> None:
        """Look at some records of a JSON page for what the typed reading cannot see: amounts as strings."""
        take = self._take("JSON")
        for index in range(0, len(raws), max(1, len(raws) // SAMPLE)):
            with suppress(Malformed):  # in an unknown field, which the typed reading skipped
                self._note_types(index, take(json_format.parse(raws[index])).findings)

    def _note_types(self, index: int, findings: Findings) -> None:
        for finding in findings:
            field = tuple(0 if isinstance(part, int) else part for part in finding.place)
            if finding.expected is not None and field not in self._retyped:
                self._note("type", finding.place, index, finding.expected)
                self._retyped.add(field)

    def _note_unknown(self, outcomes: Sequence[Outcome]) -> None:
        """Say which unknown fields records have, and let them pass from now on."""
        new: set[Place] = set()
        for index, outcome in enumerate(outcomes):
            for place, _, expected in outcome.findings:
                field = tuple(0 if isinstance(part, int) else part for part in place)
                if expected is None and field not in self._extra:
                    self._note("unknown", place, index)
                    new.add(field)
        if new and not self._keep:
            self._learn(new)

    def _note_siblings(self, names: Sequence[str]) -> None:
        """Note elements that stand among the records."""
        for name in names:
            if self._drift and len(self._siblings) < NAMES_AT_MOST and name not in self._siblings:
                self._drift.note("unknown", name, f"{prefix(self.selector)}.{name}")
                self._siblings.add(name)

    def _learn(self, places: set[Place]) -> None:
        """Let names pass from now on; where there seems to be no end of them, all."""
        with self._learning:
            if places <= self._extra:
                return
            self._extra |= places
            self._readings = Readings.of(self._strict, self._extra, is_watched=True)
            if self._readings.row is not None:
                for decoder in self._decoders.values():
                    decoder.allow(self._readings.row)

    def _note(self, kind: Literal["unknown", "type"], place: Place, index: int, expected: str | None = None) -> None:
        if self._drift:
            record = prefix(self.selector) + (f"[{index}]" if self.selector.many else "")
            inside = text(place)
            dot = "." if inside and not inside.startswith("[") else ""
            self._drift.note(kind, field_name(place) or WHOLE, f"{record}{dot}{inside}", expected)


def _kept(findings: Findings) -> dict[str, Any] | None:
    """Return what a record has that is not declared, by its place.

    Raises:
        SchemaMismatch: there is a number that is too long.
    """
    kept: dict[str, Any] = {}
    for place, value, expected in findings:
        if expected is None:
            name = text(place)
            try:
                kept[name] = coerce.untyped(value)
            except SchemaMismatch as error:
                raise error.inside(f".{name}") from None
    return kept or None


def _place_of(value: Any, mark: str, place: str) -> str:
    """Return the JSON path of the first text that has a mark; of the object, where it is in a name."""
    if isinstance(value, dict):
        for name, member in value.items():
            if mark in name:
                return place
            if found := _place_of(member, mark, f"{place}.{shown_name(name)}"):
                return found
    elif isinstance(value, list):
        return next((found for i, item in enumerate(value) if (found := _place_of(item, mark, f"{place}[{i}]"))), "")
    return place if isinstance(value, str) and mark in value else ""


def _is_one_of_few(pages: Iterator[int]) -> bool:
    """Count a page, and say whether its number is a power of four: the first, and ever fewer."""
    number = next(pages)
    return number & (number - 1) == 0 and number.bit_length() % 2 == 1


def _unreadable(form: Form, error: Malformed) -> BodyError:
    return BodyError(
        f"the answer is not the {form} it is declared to be ({error}); "
        "it may have been cut short: run again, and report it to the vendor if it stays"
    )


def _page_refusal(error: SchemaMismatch) -> RecordError:
    return refusal(f"the page: {error.expected} expected at {shown_line(error.path)}")


def refusal(sentence: str) -> RecordError:
    """Return the error of what does not fit, from the sentence that names it."""
    return RecordError(
        f"{sentence}; the vendor sent something else. Report it to the vendor, or mend the schema of the stream"
    )


def _format(media_type: str) -> Form:
    if media_type in _JSON_TYPES or media_type.endswith("+json"):
        return "JSON"
    if media_type in _XML_TYPES or media_type.endswith("+xml"):
        return "XML"
    raise BodyError(
        f"the answer is {shown_name(media_type) or 'of no declared type'}, neither JSON nor XML; "
        "something other than the vendor's API may be answering: check base_url and proxies"
    )
