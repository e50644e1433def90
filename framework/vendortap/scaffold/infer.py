"""Schemas from real bodies: what several samples of one kind of reply show, drafted, or added to a schema there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vendortap.declare.model import Node, RecordSelector, Reply
from vendortap.decode import json as json_format
from vendortap.decode import schemas, xml_tree
from vendortap.decode.reader import Reader
from vendortap.decode.values import Dates, Malformed
from vendortap.errors import BodyError, UsageError
from vendortap.scaffold import allowed, elements, kinds, names, schema, source, widen
from vendortap.scaffold.elements import Element
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import OTHER_CASE, Observations, TooMany, fold_case
from vendortap.scaffold.vendor import Format


@dataclass(frozen=True, slots=True)
class Sample:
    """The body of one reply. ``media_type`` is ``application/json`` or ``application/xml``."""

    name: str
    media_type: str
    body: bytes

    @property
    def format(self) -> Format:
        """The format by its short name."""
        return "json" if self.media_type == "application/json" else "xml"


@dataclass(frozen=True, slots=True)
class Inferred:
    """A drafted schema; where the records are in a reply; what it rests on, and what a schema there was has changed."""

    schema: dict[str, Any]
    rows: RecordSelector
    keys: tuple[str, ...]
    notes: Notes
    changes: Sequence[str] = ()


def read_sample(path: Path) -> Sample:
    """Read a file; its format is told from how it begins.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the sample {path} cannot be read: {error.strerror}") from None
    is_xml = body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
    return Sample(path.name, "application/xml" if is_xml else "application/json", body)


def rows_text(rows: RecordSelector, *, more: str = "", empty: str = "") -> str:
    """Return the rows as a declaration has them; ``more`` and ``empty`` are source already."""
    path, many = source.names(rows.path) if rows.path else "", "" if rows.many else "False"
    cases = {"any_case": rows.any_case, "any_type": rows.any_type}
    return source.call("RecordSelector", path, many=many, more=more, **cases, empty=empty)


def infer(
    samples: Sequence[Sample],
    *,
    rows: tuple[str, ...] | None = None,
    keys: Sequence[str] = (),
    title: str = "",
    strict: bool = False,
    existing: Mapping[str, Any] | None = None,
) -> Inferred:
    """Draft the schema of the records in these samples, or widen ``existing`` by what they show.

    Args:
        samples: Bodies of one kind of reply, in JSON or XML or both.
        rows: The names that lead from the root of a body to its records; guessed where it is ``None``.
        keys: The properties that identify a record, which are required; guessed where there are none.
        title: The schema's title.
        strict: Require whatever no sample leaves out. A few samples rarely prove it.
        existing: The schema to widen.

    Raises:
        UsageError: a sample is neither JSON nor XML, or there are no records where they should be.
        DeclarationError: ``existing`` is not a record schema.
    """
    try:
        return _infer(_Look.at(samples), rows, keys, title, strict, existing)
    except RecursionError:
        raise UsageError("a sample is nested too deeply") from None


def _infer(
    look: _Look,
    rows: tuple[str, ...] | None,
    keys: Sequence[str],
    title: str,
    strict: bool,
    existing: Mapping[str, Any] | None,
) -> Inferred:
    looking = Notes()
    seen = look.merged(Observations(), looking)
    path = guess_rows(seen) if rows is None else rows
    if existing is not None:  # what is a list in XML, and which name is which, a schema knows better than a guess
        looking = Notes()
        seen = look.merged(_known(existing, path, seen), looking)
    record, many = _record(seen, path, look.root)
    notes = Notes()
    notes.take(looking, path, many=many)
    if existing is None:
        keys = tuple(keys) or _guess_keys(record, title, notes)
        drafted, changes = _draft(record, keys, title, notes, strict=strict), list[str]()
    else:
        drafted, changes = widen.widen(existing, record, notes)
        keys = tuple(drafted.get("required", ()))
    if rows is None:
        notes.say(f"the records are taken to be {_shown(path)}{'' if many else ', one in each body'}")
    any_type = any(notes.places(sentence) for sentence in kinds.REPAIRED)
    found = RecordSelector(look.path(seen, path), many, any_case=bool(notes.places(OTHER_CASE)), any_type=any_type)
    result = Inferred(drafted, found, keys, notes, changes)
    _check(result, record, look.samples)
    return result


# --- looking -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """What the samples show, each format by itself: the bodies in JSON, and the root elements in XML."""

    samples: Sequence[Sample]
    json: Observations
    xml: Element
    roots: dict[str, None]

    @classmethod
    def at(cls, samples: Sequence[Sample]) -> _Look:
        look = cls(samples, Observations(), Element(), {})
        for sample in samples:
            try:
                if sample.format == "json":
                    look.json.add(json_format.loads(sample.body))
                else:
                    element = xml_tree.parse(sample.body)
                    look.xml.add(element)
                    look.roots[element.tag.rpartition("}")[2]] = None
            except TooMany as error:
                raise UsageError(f"the sample {sample.name}: {error}") from None
            except Malformed as error:
                raise UsageError(f"the sample {sample.name} is not {sample.format.upper()}: {error}") from None
        if len(look.roots) > 1:
            shown = source.printable(" and ".join(f"<{root}>" for root in look.roots))
            raise UsageError(f"the samples are of different kinds of replies, {shown}; infer each kind by itself")
        return look

    @property
    def root(self) -> str:
        """What the root is called in XML; empty where no sample is XML."""
        return next(iter(self.roots), "")

    def merged(self, known: Observations, notes: Notes) -> Observations:
        """Return what both formats show together; what XML leaves open, JSON or what is ``known`` decides."""
        result = fold_case(self.json, known, notes, "$")
        if self.xml.times:
            like = Observations()
            like.merge(result)
            like.merge(known)
            in_xml = elements.observe(self.xml, self.root, like, notes, "$")
            _compare(result, in_xml, notes, "$")
            result.merge(in_xml)
        return result

    def path(self, seen: Observations, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the path of the records as RecordSelector has it: in XML a list of rows is the element around them."""
        place = seen.at(path)
        if place is None or place.xml_wrapped is not False:
            return path
        if self.json.times:
            raise UsageError(
                f"in XML the records stand beside other elements, in JSON they are {_shown(path)}; "
                "RecordSelector cannot say both, so infer each format by itself"
            )
        return path[:-1]


def _compare(json: Observations, xml: Observations, notes: Notes, path: str) -> None:
    """Say what only one of the formats has."""
    for name in sorted(json.fields.keys() - xml.fields.keys()) if xml.objects else ():
        notes.say("in the samples in JSON only", f"{path}.{name}")
    for name, member in xml.fields.items():
        if name in json.fields:
            _compare(json.fields[name], member, notes, f"{path}.{name}")
        elif json.objects:
            notes.say("in the samples in XML only", f"{path}.{name}")
    if json.item and xml.item:
        _compare(json.item, xml.item, notes, f"{path}[]")


def _known(existing: Mapping[str, Any], path: tuple[str, ...], seen: Observations) -> Observations:
    """Return what a schema there is says, as a whole reply: its records are at ``path``."""
    schemas.check(existing, "to extend")
    node = schemas.compile_record(existing, "to extend")
    record = widen.known(node, has_xml='"xml":' in json_format.dumps(existing).decode())
    place = seen.at(path)
    result = Observations(lists=1, item=record, xml_wrapped=place.xml_wrapped) if place and place.lists else record
    for name in reversed(path):
        result = Observations(objects=1, fields={name: result})
    return result


# --- where the records are ---------------------------------------------------------------------------


def guess_rows(seen: Observations) -> tuple[str, ...]:
    """Return the names that lead to the records: past members that only tell of the reply, and no further."""
    path: tuple[str, ...] = ()
    place = seen
    while place.objects and not place.lists and (name := _around_records(place)) is not None:
        path += (name,)
        place = place.fields[name]
    return path


def _around_records(place: Observations) -> str | None:
    """Return the only member with objects inside, if all the others tell of the reply."""
    found = [name for name, member in place.fields.items() if _has_objects(member)]
    if len(found) > 1:
        found = [name for name in found if not names.is_of_reply(name)]
    return found[0] if len(found) == 1 and all(map(names.is_of_reply, place.fields.keys() - found)) else None


def _has_objects(seen: Observations) -> bool:
    return bool(seen.objects or (seen.item and seen.item.objects))


def _record(seen: Observations, path: tuple[str, ...], root: str) -> tuple[Observations, bool]:
    """Return what the records show, and whether a body has a list of them."""
    place = seen.at(path)
    if place is None:
        raise UsageError(f"the samples have nothing {_shown(path)}; {_there(seen, path)}")
    many = place.lists > 0
    record = schema.entries_of(place, Notes(), "$") if many else place
    if not record.is_object:
        raise UsageError(f"what the samples have {_shown(path)} are no records, which are objects")
    if not many and not path:
        record.xml_name = root
    elif place.xml_wrapped is False:
        record.xml_name = record.xml_name or path[-1]
    return record, many


def _shown(path: tuple[str, ...]) -> str:
    return source.printable(f"at {'.'.join(path)}") if path else "at the root"


def _there(seen: Observations, path: tuple[str, ...]) -> str:
    """Say what is there, as far down as the path leads."""
    for length in range(len(path) - 1, -1, -1):
        if (place := seen.at(path[:length])) is not None:
            found = ", ".join(place.fields) or ("a list" if place.lists else "nothing")
            return source.printable(f"at {'.'.join(path[:length]) or 'the root'} there is {found}")
    return "they are empty"


# --- writing -----------------------------------------------------------------------------------------


def _guess_keys(record: Observations, title: str, notes: Notes) -> tuple[str, ...]:
    fit = [name for name, member in record.fields.items() if _is_fit(name, member, record)]
    key = names.key(fit, title)
    if key is None:
        notes.say("no property reads like the key of a record; name one with --key")
        return ()
    notes.say("taken for the key of a record, and so required", f"$.{key}")
    return (key,)


def _is_fit(name: str, member: Observations, record: Observations) -> bool:
    """Whether a property can be a key: a text or a whole number in every record."""
    if member.lists or member.objects or not allowed.is_plain(name):
        return False
    is_there = schema.never_null(member, record, {"type": ""})
    return is_there and kinds.leaf(member, name, Notes(), "") in ("string", "integer")


def _draft(record: Observations, keys: Sequence[str], title: str, notes: Notes, *, strict: bool) -> dict[str, Any]:
    for key in keys:
        if (member := record.fields.get(key)) is None:
            raise UsageError(
                f"the records of the samples have no property {key!r}; "
                f"they have {source.printable(', '.join(record.fields))}"
            )
        if member.nulls or member.blanks or member.times < record.objects:
            raise UsageError(f"the key property {key!r} is empty or left out in some record of the samples")
    drafted = schema.draft(record, title, notes, "$", keys, strict=strict)
    head = {"$schema": schema.DIALECT, **({"title": title} if title else {})}
    return {**head, **(drafted or {})}


def _check(result: Inferred, record: Observations, samples: Sequence[Sample]) -> None:
    """Read the samples with the schema, as a tap would; what is in none of them is not looked for in a reply."""
    schemas.check(result.schema, "drafted")
    node = schemas.compile_record(result.schema, "drafted")
    given = {name: Node("given") for name in node.required - record.fields.keys()}
    row = replace(node, fields={**node.fields, **given}, required=node.required - given.keys())
    reader = Reader(row, result.rows, result.keys, Dates())
    for sample in samples:
        try:
            page = reader.read(Reply(200, {"content-type": sample.media_type}, sample.body, datetime.now(UTC)))
        except BodyError as error:
            raise UsageError(
                f"the schema does not read the sample {sample.name}: {source.printable(str(error))}"
            ) from None
        for bad in page.invalid.values():
            what = source.printable(f"{bad.expected} expected at {bad.path}")
            raise UsageError(f"the schema does not read the sample {sample.name}: {what}")
