"""A vendor's OpenAPI document as a drafted vendor: its lists and documents, how it is signed in to, how it pages.

A stream is made of each GET whose answer holds a list of objects, and of each GET that asks for one document by a key
in its path. What is guessed or left out stands in the comments of what is drafted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from vendortap.declare.model import RecordSelector, Reply
from vendortap.decode import json as json_format
from vendortap.decode import schemas
from vendortap.decode.reader import Reader
from vendortap.decode.values import Dates
from vendortap.errors import BodyError, UsageError
from vendortap.scaffold import allowed, names, paging, schema, signing
from vendortap.scaffold.document import Json
from vendortap.scaffold.infer import guess_rows
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import Observations
from vendortap.scaffold.operations import Operation, Parameter, operations
from vendortap.scaffold.spec import Converter, Spec, line
from vendortap.scaffold.vendor import LIMIT_ASSUMED, DraftStream, Format, Listed, Pages, Vendor

_SINCE = re.compile(r"since|after|from|start|modified|updated|changed", re.IGNORECASE)
_UNIQUE = re.compile(r"correlation|request-?id|transaction-?id|idempotency", re.IGNORECASE)
_OTHERS = frozenset({"config", "error", "first"})
"""What a project has of its own: a schema, and two constants of its sandbox."""
_STREAMS = 200
"""How many streams a project can have; one for each stream is in each file of it."""
_EXAMPLE = 1_000_000
"""Bytes of an example that is read."""


@dataclass
class _Draft:
    """What several operations give together; ``used`` are those that a stream is made of."""

    streams: list[DraftStream] = field(default_factory=list)
    used: list[Operation] = field(default_factory=list)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    unique: list[str] = field(default_factory=list)
    left_out: Notes = field(default_factory=Notes)

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats that all of its operations answer in."""
        return ("json", "xml") if all(one.has_xml for one in self.used) else ("json",)

    @property
    def required(self) -> tuple[str, ...]:
        """The settings that have no default."""
        return tuple(name for name, setting in self.settings.items() if "default" not in setting)


def draft(document: Json, name: str, title: str = "", matches: Sequence[str] = ()) -> Vendor:
    """Draft a vendor from its document; with ``matches`` of those operations only that have one of these words.

    Raises:
        UsageError: no GET of it answers with a list of objects, too many do, or it comes to more than can be drafted.
    """
    spec = Spec(document)
    found = _Draft()
    lists, documents = _chosen(spec, matches, found)
    for one in lists:
        _add_list(spec, one, found)
    if not found.streams:
        words = f" with {' or '.join(matches)} in it" if matches else ""
        raise UsageError(
            f"no GET{words} of the OpenAPI document answers with a list of objects; draft from a sample instead"
        )
    for one in documents:
        _add_document(spec, one, found)
    return Vendor(
        name=name,
        title=title or line(spec.follow(document.get("info")).get("title")) or name,
        docs=_docs(document),
        base_url=signing.base_url(spec, found.left_out),
        streams=tuple(found.streams),
        auth=signing.sign_ins(spec, found.used, found.left_out),
        formats=found.formats,
        headers=found.headers,
        unique_headers=tuple(found.unique),
        settings=found.settings,
        required=found.required,
        comments=(*found.left_out, LIMIT_ASSUMED),
    )


def _chosen(spec: Spec, words: Sequence[str], found: _Draft) -> tuple[list[Operation], list[Operation]]:
    """Return the lists and the documents to draft streams of."""
    chosen = [one for one in operations(spec) if _matches(one, words) and _can_be_asked(one, found)]
    return [one for one in chosen if one.key is None], [one for one in chosen if one.key is not None]


def _matches(operation: Operation, words: Sequence[str]) -> bool:
    text = f"{operation.path} {operation.id} {operation.title}".lower()
    return not words or any(word.lower() in text for word in words)


def _can_be_asked(operation: Operation, found: _Draft) -> bool:
    """Whether a path is one that a client sends as it is, with places that can be told apart."""
    if allowed.is_path(_template(operation.path)):
        return True
    found.left_out.say("Left out, as its path is none that a client sends as it is", f"GET {operation.path}")
    return False


def _template(path: str) -> str:
    """Return a path with a name in each place that a setting or the slice can have."""
    return re.sub(r"\{([^{}]*)\}", lambda place: f"{{{_place(place[1])}}}", path[: 2 * allowed.LONGEST])


def _place(parameter: str) -> str:
    """Return what a parameter is called as a place of a path, and as a setting."""
    name = allowed.setting(allowed.identifier(parameter, "parameter"))
    return f"vendor_{name}" if name.endswith("_list") else name  # which the setting of a key may be called


# --- streams -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answer:
    """An operation's answer, converted: its whole schema, where the records are, and their schema."""

    whole: schema.Schema
    rows: tuple[str, ...]
    many: bool
    record: schema.Schema
    any_case: bool
    item: str


def _answer(spec: Spec, operation: Operation, notes: Notes) -> _Answer | None:
    """Convert what an operation answers with; ``None`` where there are no records in it."""
    told = Notes()
    converter = Converter(spec, told, f"GET {operation.path}", has_xml=operation.has_xml)
    whole = converter.convert(operation.body) if operation.body is not None else None
    if whole is None:
        return None
    seen = _seen(whole)
    path = _rows(seen, wants_list=operation.key is None)
    place = _at(whole, path)
    many = "array" in schema.types(place)
    record = place["items"] if many else place
    if "object" not in schema.types(record) or (operation.key is None) != many:
        return None
    item = str(record.get("xml", {}).get("name", ""))
    notes.take(told, path, many=many)
    return _Answer(whole, path, many, record, converter.any_case, item)


def _rows(seen: Observations, *, wants_list: bool) -> tuple[str, ...]:
    """Return where the records are; for a list also where other members than paging stand beside it."""
    path = guess_rows(seen)
    place = seen.at(path)
    if place is None or place.lists or not wants_list:
        return path
    lists = [name for name, member in place.fields.items() if member.item and member.item.objects]
    return (*path, lists[0]) if len(lists) == 1 else path


def _seen(declared: Json) -> Observations:
    """Return a schema in the form of what was seen, as far as finding records needs it."""
    types = schema.types(declared)
    if "array" in types:
        return Observations(lists=1, item=_seen(declared["items"]))
    if "object" in types:
        return Observations(objects=1, fields={name: _seen(member) for name, member in declared["properties"].items()})
    return Observations(strings=1, blanks=1)


def _at(declared: schema.Schema, path: tuple[str, ...]) -> schema.Schema:
    for name in path:
        declared = declared["properties"][name]
    return declared


def _add_list(spec: Spec, operation: Operation, found: _Draft) -> None:
    notes = Notes()
    answer = _answer(spec, operation, notes)
    if answer is None:
        found.left_out.say("Left out, as the answer holds no list of objects", f"GET {operation.path}")
        return
    name = _name(operation, found)
    keys = _keys(answer.record, name)
    if not keys:
        found.left_out.say("Left out, as no property could identify a record", f"GET {operation.path}")
        return
    notes.say(f"Guessed: {keys[0]} identifies a record.")
    pages = paging.guess(operation, answer.whole, answer.rows, notes)
    stream = _stream(operation, answer, name, keys, pages, found)
    changed = schema.changed(stream.schema)
    if changed:
        notes.say(f"Guessed: {changed} tells when a record changed last.")
    _add_stream(operation, stream, changed, notes, found)


def _add_document(spec: Spec, operation: Operation, found: _Draft) -> None:
    notes = Notes()
    answer = _answer(spec, operation, notes)
    if answer is None:
        found.left_out.say("Left out, as the answer is no object", f"GET {operation.path}")
        return
    param = operation.key or ""
    stream = _stream(operation, answer, _name(operation, found), (), Pages(), found)
    stream = _with_key(stream, param)
    parent = _parent(stream.path, found.streams)
    source = ""
    if parent is not None:
        source = _property(parent.schema, param, parent.name)
        if not source:
            source = parent.keys[0]
            notes.say(f"Guessed: {source} of {parent.name} is the {param} that is asked for.")
        stream = _with_replication_key(stream, parent)
    keyed = Listed(_place(param), f"{_place(param)}_list", parent.name if parent else "", source)
    _add_stream(operation, replace(stream, keyed=keyed), stream.replication_key, notes, found)


def _add_stream(operation: Operation, stream: DraftStream, changed: str | None, notes: Notes, found: _Draft) -> None:
    if stream.amount:
        notes.say(f"Guessed: {stream.amount} is what a record comes to.")
    _note_examples(operation, stream, notes)
    comments = (*notes, *_optional(operation, stream.pages))
    found.streams.append(replace(stream, replication_key=changed, comments=comments))
    found.used.append(operation)


def _stream(
    operation: Operation, answer: _Answer, name: str, keys: tuple[str, ...], pages: Pages, found: _Draft
) -> DraftStream:
    """Return the stream of an operation, lists and documents alike; the settings that it needs are added."""
    if len(found.streams) >= _STREAMS:
        raise UsageError(
            f"more than {_STREAMS} GETs of the OpenAPI document answer with records, such as {line(operation.path)}; "
            "choose some with --match"
        )
    _add_headers(operation, found)
    return DraftStream(
        name=name,
        title=operation.title,
        path=_path(operation, found),
        params={one.name: f"{{{_setting(one, found)}}}" for one in operation.query() if _is_needed(one, pages)},
        rows=answer.rows,
        many=answer.many,
        any_case=answer.any_case,
        keys=keys,
        pages=pages,
        schema=_record_schema(answer.record, keys, operation.title),
        item=answer.item,
        amount=schema.find(answer.record, "number", "total"),
    )


def _name(operation: Operation, found: _Draft) -> str:
    """Name a stream after the last word of its path, or else after its operation."""
    taken = {stream.name for stream in found.streams} | _OTHERS
    parts = [names.snake(part) for part in operation.path.split("/") if not part.startswith("{")]
    last = next(filter(_tells, reversed(parts)), "records")
    wanted = allowed.identifier(f"{names.singular(last)}_details" if operation.key else last, "records")
    other = allowed.identifier(operation.id, wanted)
    return other if wanted in taken and other not in taken else allowed.free(wanted, taken)


def _tells(part: str) -> bool:
    """Whether a part of a path tells what is there: it is neither empty nor a version."""
    return re.fullmatch(r"(v[0-9_.]*)?", part) is None


def _record_schema(record: schema.Schema, keys: Sequence[str], title: str) -> schema.Schema:
    """Return a stream's schema: a record's, in which nothing is required but the key."""
    properties = {
        name: _never_null(member) if name in keys else member for name, member in record["properties"].items()
    }
    xml = {"xml": record["xml"]} if "xml" in record else {}
    made: schema.Schema = {"$schema": schema.DIALECT, "title": title, "type": "object", **xml, "properties": properties}
    return {**made, "required": list(keys)} if keys else made


def _never_null(member: schema.Schema) -> schema.Schema:
    return {**member, "type": schema.types(member)[0]}


def _keys(record: schema.Schema, name: str) -> tuple[str, ...]:
    fit = [name for name, member in record["properties"].items() if _is_fit(member)]
    found = names.key(fit, name) or next(iter(fit), None)
    return (found,) if found else ()


def _is_fit(member: schema.Schema) -> bool:
    """Whether a property can be a key: a text that is no date, or a whole number."""
    return bool({"string", "integer"} & {*schema.types(member)}) and "format" not in member


def _property(declared: Json, param: str, stream: str) -> str:
    """Return the property that a path's parameter is the value of; empty where none is called like it."""
    own = names.snake(names.singular(stream.removesuffix("_details"))).replace("_", "")
    wanted = "".join(names.words(param))
    by_name = {"".join(names.words(name)): name for name in reversed(declared["properties"])}
    candidates = (wanted, f"{own}{wanted}", wanted.removeprefix(own) or wanted)
    return next((by_name[name] for name in candidates if name in by_name), "")


def _with_key(stream: DraftStream, param: str) -> DraftStream:
    """Return a stream of documents with its key: the document's own property, or else what was asked for."""
    own = _property(stream.schema, param, stream.name)
    members = stream.schema["properties"]
    if own and _is_fit(members[own]):
        properties, add = {**members, own: _never_null(members[own])}, ""
    else:
        own = add = allowed.free(f"requested_{_place(param)}", members)
        properties = {own: {"type": "string", "description": "What was asked for."}, **members}
    return replace(stream, keys=(own,), add=add, schema={**stream.schema, "properties": properties, "required": [own]})


def _with_replication_key(stream: DraftStream, parent: DraftStream) -> DraftStream:
    """Return a stream of documents that is as incremental as its list, by the list's own stamp."""
    if parent.replication_key is None:
        return stream
    stamp = {"type": ["string", "null"], "format": "date-time", "description": "Of the list."}
    properties = {**stream.schema["properties"], parent.replication_key: stamp}
    return replace(stream, replication_key=parent.replication_key, schema={**stream.schema, "properties": properties})


def _parent(path: str, streams: Sequence[DraftStream]) -> DraftStream | None:
    """Return the list whose path is that of the document without its key; of another version, if need be."""
    above = path.rstrip("/").rpartition("/")[0]
    lists = [stream for stream in streams if stream.keyed is None]
    exact = [stream for stream in lists if stream.path.rstrip("/") == above]
    alike = [stream for stream in lists if _without_version(stream.path) == _without_version(above)]
    return next(iter((*exact, *alike)), None)


def _without_version(path: str) -> list[str]:
    return [part for part in path.split("/") if _tells(part.lower())]


def _note_examples(operation: Operation, stream: DraftStream, notes: Notes) -> None:
    """Read the document's own examples with what it declares; that they differ is said, and changes nothing."""
    given = {stream.add, stream.replication_key}
    members = stream.schema["properties"].items()
    lenient = {name: schema.nullable(member) for name, member in members if name not in given}
    node = schemas.compile_record({"type": "object", "properties": lenient}, stream.name)
    reader = Reader(node, RecordSelector(stream.rows, stream.many), (), Dates())
    for body in _bodies(operation.examples):
        for problem in _problems(reader, body):
            notes.say(f"An example of the document {problem}.")


def _bodies(examples: Sequence[Any]) -> Iterator[bytes]:
    for example in examples:
        try:
            body = json_format.dumps(example)
        except (ValueError, OverflowError, TypeError):
            continue  # no JSON, such as a number of a hundred digits
        if len(body) <= _EXAMPLE:
            yield body


def _problems(reader: Reader, body: bytes) -> Iterator[str]:
    """Yield what is wrong with an example."""
    try:
        page = reader.read(Reply(200, {"content-type": "application/json"}, body, datetime.now(UTC)))
    except BodyError as error:
        yield f"is not what it declares: {str(error).partition(';')[0]}"
        return
    for bad in page.invalid.values():
        yield f"is not what it declares: {bad.expected} expected at {bad.path}"
    if page.absent or (not page.invalid and all(map(reader.is_blank, page.records))):
        yield "has nothing of what its schema declares"


# --- parameters --------------------------------------------------------------------------------------


def _path(operation: Operation, found: _Draft) -> str:
    """Return the path with settings for its parameters, but for a document's key, which the slice fills in."""
    declared = {one.name: one for one in operation.parameters if one.where == "path"}
    for name in re.findall(r"\{([^{}]*)\}", operation.path):
        if name != operation.key:
            _setting(declared.get(name, Parameter(name, "path", True, {})), found)
    return _template(operation.path)


_DEFAULTS = {"integer": int, "boolean": bool, "string": str}


def _setting(parameter: Parameter, found: _Draft) -> str:
    """Return the setting that a parameter takes its value from; it is added if it is not there yet."""
    name = _place(parameter.name)
    kind = str(parameter.schema.get("type", "string"))
    declared: dict[str, Any] = {"type": kind if kind in ("integer", "boolean") else "string"}
    if declared["type"] == "string":
        declared["minLength"] = 1
    default = parameter.schema.get("default")
    if type(default) is _DEFAULTS[declared["type"]] and (not isinstance(default, str) or allowed.is_plain(default)):
        declared["default"] = default
    description = parameter.schema.get("description") or f"What {parameter.name} is to be."
    found.settings.setdefault(name, {**declared, "description": str(description)})
    return name


def _is_needed(parameter: Parameter, pages: Pages) -> bool:
    # a parameter called 'path' could not be told from the builder's own
    return parameter.required and parameter.name not in (pages.param, pages.size_param, "path")


def _add_headers(operation: Operation, found: _Draft) -> None:
    for parameter in operation.parameters:
        if parameter.where != "header" or not parameter.required or not allowed.is_header(parameter.name):
            continue
        if _UNIQUE.search(parameter.name):
            found.unique += [parameter.name] if parameter.name not in found.unique else []
        else:
            found.headers[parameter.name] = _setting(parameter, found)


def _optional(operation: Operation, pages: Pages) -> Iterator[str]:
    """Yield what the author may want to do about parameters."""
    required = [one.name for one in operation.query() if one.required]
    if since := [*filter(_SINCE.search, required)]:
        yield f"A setting stands in for {', '.join(since)}; Plan(since=...) or Plan(windows=...) can work it out."
    asked = (*required, pages.param, pages.size_param)
    left = [one.name for one in operation.query() if one.name not in asked]
    if left:
        yield f"Not asked with: {', '.join(left)}."
    if since := [*filter(_SINCE.search, left)]:
        yield f"If {since[0]} lists what changed since a date: plan=Plan(since=since_date({since[0]!r}, start=...))."


def _docs(document: Json) -> str:
    found = document.get("externalDocs")
    url = str(found.get("url") or "") if isinstance(found, Mapping) else ""
    return url if allowed.is_url(url) else "https://example.com/where-the-vendor-documents-its-api"
