"""Replies become pages of typed records; what does not fit is named exactly, and what is not declared is noticed.

Clean replies take one typed decode (vendortap.decode.decoders). Only when that fails, for all its repairs, a page is
read record by record: those that fit are the page's records, those that do not are misfits, each with its own bytes,
its key and JSON path. Names that are not declared make the decoders raise Undeclared; they are looked for then, told
to Drift, and let pass from there on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import count
from types import ModuleType
from typing import Any, Literal, TypeAlias

from vendortap.declare.model import UNKNOWN, Misfit, Node, Page, Record, Reply, Rows
from vendortap.decode import envelope
from vendortap.decode import json as json_wire
from vendortap.decode import xml as xml_wire
from vendortap.decode.bounds import is_deeper
from vendortap.decode.charset import hold_json, without_lone_surrogates, xml_as_utf8
from vendortap.decode.decoders import Form, Ways
from vendortap.decode.drift import Drift, field_name, strict, text, with_extra
from vendortap.decode.values import Dates, Malformed, Mismatch, Place, TooDeep, Undeclared
from vendortap.decode.verbatim import Passing
from vendortap.decode.xml import DEEPEST
from vendortap.errors import BodyError, RecordError
from vendortap.support.redact import shown_line, shown_name

_JSON_TYPES = ("application/json", "text/json")
_XML_TYPES = ("application/xml", "text/xml")

NAMES_AT_MOST = 200
"""Names of a stream that are noticed and let pass; beyond that all do, as they seem to be data."""
WHOLE = "(the record)"
"""What is noted as a field where a record is something else altogether."""
_NO_NAME = re.compile(r'[\x00-\x1f"\\]')
"""What msgspec has no names with; where a vendor does, all names pass."""
HALF = "text in whole characters"
"""What stands in the place of half of a surrogate pair."""
SAMPLE = 10
"""About so many records of a page are looked at where a closer look is taken."""

_WIRES: Mapping[Form, ModuleType] = {"JSON": json_wire, "XML": xml_wire}
Strays: TypeAlias = Mapping[int, Sequence[tuple[Place, Any]]]
"""Index of a record → what it has that is not declared."""


class Reader:
    """Reads the replies of one stream; in any number of threads.

    With ``structs`` records come as rows (vendortap.decode.structs) where that can be; they are used like dicts. With
    ``verbatim``, the properties that are going to be asked for, those of lists come with their own bytes
    (vendortap.decode.verbatim), to be read only. ``drift`` is told of what is not as it was. With ``keep_unknown`` what
    is not declared goes into the property ``UNKNOWN``.
    """

    def __init__(
        self,
        node: Node,
        rows: Rows,
        keys: Iterable[str],
        dates: Dates,
        *,
        structs: bool = False,
        verbatim: Collection[str] | None = None,
        max_depth: int = DEEPEST,
        drift: Drift | None = None,
        keep_unknown: bool = False,
    ) -> None:
        self._row = node
        self.rows = rows
        self._keys = tuple(key for key in keys if key in node.fields)
        self._dates = dates
        self._max_depth = max_depth
        # what a check wants of a single document is inside it, and looked for in dicts
        self._quick = structs and not rows.any_case and bool(rows.path or not rows.more) and not keep_unknown
        self._drift = drift
        self._keep = keep_unknown
        self._siblings: frozenset[str] = frozenset()
        self._lenient = self._ways_of(node)
        watched = drift is not None or keep_unknown
        self._beside = _beside(rows)
        self._ways = self._ways_of(strict(node, self._beside)) if watched else self._lenient
        self._learning = threading.Lock()
        self._pages, self._repaired = count(1), count(1)
        passes = self._quick and rows.many
        self._passing = Passing(node, rows.path, dates, verbatim) if passes and verbatim is not None else None

    def read(self, reply: Reply, given: Mapping[str, Any] | None = None) -> Page:
        """Decode a reply by its ``Content-Type``, whatever was asked for.

        ``given`` is what the request knows of the records: those that are passed on have it in them, others get it
        from whoever completes them.

        Raises:
            BodyError: neither JSON nor XML, or not well-formed.
            RecordError: what is beside the records does not fit.
            DriftError: there is drift, and the operator wants to stop at it.
        """
        form = _format(reply.media_type)
        content_type = reply.headers.get("content-type", "")
        body = xml_as_utf8(reply.body, content_type) if form == "XML" else reply.body
        try:
            passed = self._passing.read(body, given or {}) if self._passing and form == "JSON" else None
            if passed and not (page := self._whole(form, passed[0])).rows:
                page.rows.extend(passed[1])
                return page
            return self._whole(form, body)
        except TooDeep:
            raise BodyError(
                f"the answer is nested more than {self._max_depth} levels deep (max_depth), which no invoice is; "
                "report it to the vendor"
            ) from None
        except Malformed as error:
            if form == "JSON":
                hold_json(body, content_type)
                if mended := without_lone_surrogates(body):
                    return self._with_halves(body, *mended)
            raise BodyError(
                f"the answer is not the {form} it is declared to be ({error}); "
                "it may have been cut short: run again, and report it to the vendor if it stays"
            ) from None

    def split(self, reply: Reply) -> list[bytes]:
        """Return the own bytes of each record of a reply that has been read."""
        form = _format(reply.media_type)
        if form == "XML":
            return self._split(form, xml_as_utf8(reply.body, reply.headers.get("content-type", "")))
        mended = without_lone_surrogates(reply.body)
        return self._split(form, mended[0] if mended else reply.body)

    def again(self, raw: bytes, media_type: str) -> Record:
        """Decode the bytes of one record, as ``split`` gave them.

        Raises:
            RecordError: it does not fit (still).
        """
        form = _format(media_type)
        try:
            record: Record = self._single.read(form, raw)[0]
            if self._is_blank(record):
                raise RecordError("it has nothing of what is declared")
            if self._keep:
                record[UNKNOWN] = _kept(self._strays(form, raw))
        except (Mismatch, Malformed) as error:
            expected = (
                f"{error.expected} expected at {shown_line(error.path)}" if isinstance(error, Mismatch) else str(error)
            )
            raise RecordError(expected) from None
        return record

    def _ways_of(self, row: Node) -> Ways:
        page = page_node(row, self.rows, self._siblings)
        inner = row if self.rows.path or self.rows.many else page
        return Ways(page, inner, self._dates, any_case=self.rows.any_case, quick=self._quick, max_depth=self._max_depth)

    def _whole(self, form: Form, body: bytes) -> Page:
        if form == "JSON" and is_deeper(body, self._max_depth):
            raise TooDeep
        return self._read(form, body)

    def _read(self, form: Form, body: bytes) -> Page:
        raws: list[bytes] = []
        strays: Strays = {}
        try:
            return self._through(self._ways, form, body)
        except Undeclared:
            raws = self._split(form, body)
            strays = self._noted_strays(form, raws)
            if form == "XML" and self.rows.many:
                self._note_siblings(xml_wire.beside_records(body, self.rows.path, self._row))
        if not self._keep:
            self._learn(strays)
            with suppress(Undeclared):
                return self._through(self._ways, form, body)
        page = self._through(self._lenient, form, body)
        misfits = dict(page.misfits)
        self._keep_strays(page.rows, strays, misfits, raws)
        return replace(page, misfits=misfits)

    def _through(self, ways: Ways, form: Form, body: bytes) -> Page:
        try:
            value, repaired = ways.read(form, body)
        except Mismatch as error:
            return self._apart(form, body, error)
        rows = dig(value, self.rows.path)
        absent = rows is None
        if not self.rows.many:
            absent = rows is None or self._is_blank(rows)
            rows = [] if rows is None else [rows]
        elif form == "XML" and rows == [] and (not self.rows.path or envelope.has_elements(body, self.rows.path)):
            absent = True  # what is called something else, or is a root that may be called anything
        more = {name: dig(value, where.path) for name, where in self.rows.more.items()}
        for name in _looked_for_inside(self._row, self.rows) if value else ():
            del value[name]
        looks = self._drift and form == "JSON" and not self.rows.any_type
        if looks and _is_one_of_few(self._repaired if repaired else self._pages):
            self._look_closer(self._split(form, body), repaired=repaired)
        return Page(rows or [], more, absent=absent)

    def _is_blank(self, record: Record) -> bool:
        """Whether a record has nothing of what is declared: it is something else, or was left empty."""
        return all(record[name] in (None, []) for name, member in self._row.fields.items() if member.kind != "given")

    # --- a page with records that do not fit ---------------------------------------------------------

    def _with_halves(self, body: bytes, mended: bytes, mark: bytes) -> Page:
        """Read a JSON page of which texts have halves of surrogate pairs: each record that does is a bad one.

        ``mended`` is as long as the body, and has the mark in their place.

        Raises:
            BodyError: they are not in a record, or the rest of the page cannot be read.
        """
        try:
            page, raws = self._whole("JSON", mended), self._split("JSON", mended)
        except Malformed as error:
            raise BodyError(f"the answer is not the JSON it is declared to be ({error})") from None
        rows, misfits = self._each_by_itself("JSON", raws)
        whole, at = len(misfits), 0
        for index, raw in enumerate(raws):
            at = mended.index(raw, at)
            if mark in raw and index not in misfits:
                place = _place_of(json_wire.loads(raw), json_wire.loads(b'"%b"' % mark), "$")
                own = body[at : at + len(raw)]
                misfits[index] = self._misfit(Mismatch(place, HALF), rows[index], index, own)
            at += len(raw)
        if len(misfits) == whole:
            raise BodyError(f"the page: {HALF} expected; half of a surrogate pair is no character (RFC 8259, 8.2)")
        return replace(page, rows=rows, misfits=misfits)

    def _apart(self, form: Form, body: bytes, first: Mismatch) -> Page:
        """Read a page record by record, each by itself.

        Raises:
            RecordError: what does not fit is beside the records.
        """
        if not self._leads_into_a_record(first.path):
            raise _page_refusal(first)
        try:
            beside = self._around.read(form, body)[0] if self._around else None
        except Mismatch as error:
            raise _page_refusal(error) from None
        raws = self._split(form, body)
        rows, misfits = self._each_by_itself(form, raws)
        if not misfits:
            raise _page_refusal(first)
        if self._ways is not self._lenient:
            self._keep_strays(rows, self._noted_strays(form, raws), misfits, raws)
        more = {name: dig(beside, where.path) for name, where in self.rows.more.items()}
        return Page(rows, more, absent=not self.rows.many and self._is_blank(rows[0]), misfits=misfits)

    def _each_by_itself(self, form: Form, raws: Sequence[bytes]) -> tuple[list[Record], dict[int, Misfit]]:
        rows: list[Record] = []
        misfits: dict[int, Misfit] = {}
        for index, raw in enumerate(raws):
            try:
                rows.append(self._single.read(form, raw)[0])
            except Mismatch as error:
                rows.append(self._legible(form, raw))
                misfits[index] = self._misfit(error, rows[-1], index, raw)
        return rows, misfits

    def _leads_into_a_record(self, path: str) -> bool:
        place = prefix(self.rows)
        return path.startswith(f"{place}[" if self.rows.many else place)

    @cached_property
    def _around(self) -> Ways | None:
        """What reads of a page what is beside its records; ``None`` where there is no such thing."""
        given = {self.rows.path: Node("given")} if self.rows.path else {}
        tree = _tree({**given, **{where.path: Node(where.kind) for where in self.rows.more.values()}})
        return Ways(_tree_node(tree), self._row, self._dates, any_case=self.rows.any_case) if tree else None

    @cached_property
    def _single(self) -> Ways:
        """What reads one record by itself."""
        return Ways(self._row, self._row, self._dates, any_case=self.rows.any_case)

    @cached_property
    def _each(self) -> dict[str, Ways]:
        """What reads one property of a record by itself."""
        alone = {
            name: replace(self._row, fields={name: replace(member, nullable=True)}, required=frozenset())
            for name, member in self._row.fields.items()
            if member.kind != "given"
        }
        return {name: Ways(row, row, self._dates, any_case=self.rows.any_case) for name, row in alone.items()}

    def _legible(self, form: Form, raw: bytes) -> Record:
        """Return what can be read of a record; null is what does not fit."""
        record: Record = dict.fromkeys(self._row.fields)
        for name, ways in self._each.items():
            with suppress(Mismatch, Malformed):
                record[name] = ways.read(form, raw)[0][name]
        return record

    def _misfit(self, error: Mismatch, record: Record, index: int, raw: bytes) -> Misfit:
        """Name the record by its key, as far as it has one."""
        place = f"[{index}]" if self.rows.many else ""
        path = shown_line(prefix(self.rows) + place + error.path.removeprefix("$"))
        if self._drift:
            name = re.sub(r"\[\d+\]", "[]", error.path.removeprefix("$").removeprefix("."))
            self._drift.note("type", name or WHOLE, path, error.expected, governed=False)
        who = f"record {index + 1} of the page" if self.rows.many else "the document"
        key = ", ".join(f"{k} {shown_name(str(record[k]))}" for k in self._keys if isinstance(record[k], str | int))
        return Misfit(path, error.expected, raw, f"{key or who}: {error.expected} expected at {path}")

    def _split(self, form: Form, body: bytes) -> list[bytes]:
        raws: list[bytes] = _WIRES[form].split(body, self.rows.path, self._row, many=self.rows.many)
        return raws

    # --- drift ---------------------------------------------------------------------------------------

    def _noted_strays(self, form: Form, raws: Sequence[bytes]) -> Strays:
        """Return what records have that is not declared, by their index; and say so."""
        found = {index: strays for index, raw in enumerate(raws) if (strays := self._strays(form, raw))}
        for index, strays in found.items():
            for place, _ in strays:
                self._note("unknown", place, index)
        return found

    def _note_siblings(self, names: Sequence[str]) -> None:
        """Note elements that stand among the records, and let them pass from now on."""
        for name in names:
            if self._drift:
                self._drift.note("unknown", name, f"{prefix(self.rows)}.{name}")
        with self._learning:
            if len(self._siblings) < NAMES_AT_MOST:
                self._siblings |= frozenset(names)

    def _strays(self, form: Form, raw: bytes) -> list[tuple[Place, Any]]:
        try:
            found = list(_WIRES[form].undeclared(raw, self._row, any_case=self.rows.any_case))
        except Malformed:  # in what the decoders have passed over, and nobody asked for
            return []
        return [(place, value) for place, value in found if place[0] not in self._beside]

    def _keep_strays(
        self, rows: Sequence[Record], strays: Strays, misfits: dict[int, Misfit], raws: Sequence[bytes]
    ) -> None:
        """Put what is not declared into the records that have it; one in which it cannot be kept is a bad one."""
        for index, found in strays.items():
            if self._keep and index not in misfits:
                try:
                    rows[index][UNKNOWN] = _kept(found)
                except Mismatch as error:
                    misfits[index] = self._misfit(error, rows[index], index, raws[index])

    def _learn(self, strays: Strays) -> None:
        """Let names pass from now on; where there seems to be no end of them, all."""
        with self._learning:
            if self._ways is self._lenient:  # another thread has given up
                return
            row = self._ways.row
            for place in {place for found in strays.values() for place, _ in found}:
                row = with_extra(row, place)
            can_be = _extra_names(row) <= NAMES_AT_MOST and not any(map(_NO_NAME.search, _names_in(strays)))
            self._ways = self._ways_of(row) if can_be else self._lenient

    def _look_closer(self, raws: Sequence[bytes], *, repaired: bool) -> None:
        """Look at some records of a JSON page for what the decoders cannot see: amounts as strings."""
        step = 1 if repaired else max(1, len(raws) // SAMPLE)
        for index in range(0, len(raws), step):
            with suppress(Malformed):  # likewise
                for place, expected in json_wire.retyped(raws[index], self._row):
                    self._note("type", place, index, expected)

    def _note(self, kind: Literal["unknown", "type"], place: Place, index: int, expected: str | None = None) -> None:
        if self._drift:
            record = prefix(self.rows) + (f"[{index}]" if self.rows.many else "")
            inside = f".{text(place)}" if place else ""
            self._drift.note(kind, field_name(place) or WHOLE, f"{record}{inside}", expected)


def _kept(strays: Sequence[tuple[Place, Any]]) -> dict[str, Any] | None:
    """Return what a record has that is not declared, by its place.

    Raises:
        Mismatch: there is a number that is too long.
    """
    kept: dict[str, Any] = {}
    for place, value in strays:
        name = text(place)
        try:
            kept[name] = json_wire.hold_numbers(value)
        except Mismatch as error:
            raise error.inside(f"$.{name}") from None
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


def _names_in(strays: Strays) -> Iterator[str]:
    for found in strays.values():
        for place, _ in found:
            yield from (part for part in place if isinstance(part, str))


def _extra_names(node: Node) -> int:
    inner = [*node.fields.values(), *((node.item,) if node.item else ())]
    return len(node.extra or ()) + sum(map(_extra_names, inner))


def _beside(rows: Rows) -> set[str]:
    """Return the names that are looked for in a record that is the whole reply."""
    return {value.path[0] for value in rows.more.values()} if not rows.path and not rows.many else set()


def prefix(rows: Rows) -> str:
    """Return the JSON path of the records."""
    return "$" + "".join(f".{name}" for name in rows.path)


def _page_refusal(error: Mismatch) -> RecordError:
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


def page_node(row: Node, rows: Rows, siblings: frozenset[str] = frozenset()) -> Node:
    """Return the schema of a whole reply, of which only the rows and what pager and check need is looked at.

    ``siblings`` are the elements that are known to stand among the records, where ``row`` is strict.
    """
    many = Node("array", item=row, xml_wrapped=True, closed=True, extra=None if row.extra is None else siblings)
    leaf = many if rows.many else replace(row, nullable=bool(rows.path))
    if not rows.path:
        also = _looked_for_inside(row, rows)
        extra = leaf.extra if leaf.extra is None else leaf.extra - also.keys()
        return replace(leaf, fields={**leaf.fields, **also}, extra=extra) if also else leaf
    return _tree_node(_tree({rows.path: leaf, **{where.path: Node(where.kind) for where in rows.more.values()}}))


def _looked_for_inside(row: Node, rows: Rows) -> Mapping[str, Node]:
    """Return what is looked for in a record that is the whole reply, and is no part of it."""
    if rows.path or rows.many:
        return {}
    places = {where.path: Node(where.kind) for where in rows.more.values() if where.path[0] not in row.fields}
    return _tree_node(_tree(places)).fields


def _tree(leaves: Mapping[tuple[str, ...], Node]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, node in leaves.items():
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = node
    return tree


def _tree_node(tree: Mapping[str, Any]) -> Node:
    return Node("object", fields={k: v if isinstance(v, Node) else _tree_node(v) for k, v in tree.items()})


def dig(value: Any, path: Iterable[str]) -> Any:
    """Follow names into nested objects; ``None`` where the way ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
