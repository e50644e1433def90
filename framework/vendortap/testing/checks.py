"""What every connector has to keep to: one function a check, which raises AssertionError with a sentence.

``CHECKS`` names them all. Those of ``each_stream`` take a stream's name as well. None of them knows pytest, the vendor,
or what the sandbox does inside: they read what a tap writes, and what it asks for.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import jsonschema

from vendortap.declare.model import Node, Record, Stream
from vendortap.errors import CredentialsError, RecordError, TransportError, VendorError, VendortapError
from vendortap.plugins import validation
from vendortap.sandbox import faults
from vendortap.support.extras import install
from vendortap.support.redact import SECRET_LENGTH, Redactor
from vendortap.sync import quarantine
from vendortap.sync.state import check_state, read_bookmark
from vendortap.testing.corruption import CANARY, Spoiler
from vendortap.testing.harness import Asked, Crumb, Key, NotApplicable, Run, Subject, crumb_of, having

Table = dict[Key, Record]
_SECRET = re.compile(r"secret|passw(or)?d|token|api_?key|subscription_?key|private_?key|credential", re.IGNORECASE)
_NO_SECRET = re.compile(r"_(url|uri|file|path|unit|seconds|scheme|name|header|type|column)$", re.IGNORECASE)
_ASKED_WITHOUT_CREDENTIALS = 4
"""So many requests may be sent before a refusal of the credentials has got through: the token call, one, and again."""


def hold(condition: object, sentence: str) -> None:
    """Raise unless the condition is true: as ``assert``, but under ``python -O`` too.

    Raises:
        AssertionError: with the sentence.
    """
    if not condition:
        raise AssertionError(sentence)


def hold_ended(run: Run, what: str) -> Run:
    """Return a run that came to its end.

    Raises:
        AssertionError: it failed.
    """
    if run.error is not None:
        raise AssertionError(f"{what} ended with {type(run.error).__name__}: {run.complaint}") from run.error
    return run


# --- what is declared --------------------------------------------------------------------------------


def declared(subject: Subject) -> None:
    """The declaration agrees with itself and its schemas, and these with the JSON Schema meta-schema."""
    try:
        validation.check(subject.connector, fully=True)
    except VendortapError as error:
        raise AssertionError(f"the declaration is not sound: {error}") from error
    hold(subject.connector.docs.startswith("https://"), "'docs' is no address of the vendor's documentation")
    for stream in subject.connector.streams:
        hold(stream.title.strip(), f"{stream.name} has no title")


def discovery(subject: Subject) -> None:
    """Discovery finds every stream with its schema, its keys and its replication method."""
    entries = {entry["tap_stream_id"]: entry for entry in subject.discovered["streams"]}
    hold(set(entries) == set(subject.streams), f"discovery finds {sorted(entries)}, declared are {subject.streams}")
    for stream in subject.connector.streams:
        entry, name = entries[stream.name], stream.name
        hold(entry["key_properties"] == list(stream.keys), f"discovery gives {name} other keys than are declared")
        method = "INCREMENTAL" if stream.replication_key else "FULL_TABLE"
        hold(entry["replication_method"] == method, f"discovery does not say that {name} is {method}")
        hold(entry.get("replication_key") == stream.replication_key, f"{name} has another replication key")
        _hold_schema(name, entry["schema"])
        inclusion = {tuple(item["breadcrumb"]): item["metadata"].get("inclusion") for item in entry["metadata"]}
        for key in filter(None, (*stream.keys, stream.replication_key)):
            automatic = inclusion.get(("properties", key)) == "automatic"
            hold(automatic, f"{name}.{key} is a key, and its inclusion not automatic")


def _hold_schema(name: str, schema: Mapping[str, Any]) -> None:
    try:
        jsonschema.Draft7Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise AssertionError(f"the Singer schema of {name} is none at {error.json_path}: {error.message}") from error


def catalog(subject: Subject) -> None:
    """The discovered catalog, given back as it is, selects what is selected without one, and does so alone."""
    discovered = hold_ended(subject.run(catalog=subject.discovered), "a run with the discovered catalog")
    usual = [stream.name for stream in subject.connector.streams if stream.selected_by_default]
    full = subject.full()
    for stream in subject.connector.streams:
        wanted = full.records(stream.name) if stream.name in usual else []
        same = _steady(discovered.records(stream.name), stream) == _steady(wanted, stream)
        hold(same, f"with the discovered catalog, {stream.name} has other records than in a full run")
        others = {m["stream"] for m in subject.alone(stream.name).messages if "stream" in m} - {stream.name}
        hold(not others, f"a catalog that selects {stream.name} alone gives {sorted(others)} too")


# --- records -----------------------------------------------------------------------------------------


def full(subject: Subject, stream: str) -> None:
    """A full run gives records of the stream, in every format, each of which fits the SCHEMA before it."""
    for form in subject.formats:
        what = f"a full run{_in(form)}"
        run = hold_ended(subject.full(form), what)
        hold(
            run.records(stream),
            f"{what} gives no record of {stream}: give the suite settings under which there are some (config=…)",
        )
        _hold_messages(run, stream)


def _hold_messages(run: Run, stream: str) -> None:
    validator: Any = None
    names: set[str] = set()
    for message in (m for m in run.messages if m.get("stream") == stream):
        if message["type"] == "SCHEMA":
            validator, names = jsonschema.Draft7Validator(message["schema"]), set(message["schema"]["properties"])
        elif message["type"] == "RECORD":
            hold(validator, f"a RECORD of {stream} comes before its SCHEMA")
            record = message["record"]
            hold(
                set(record) == names,
                f"a record of {stream} has not the properties of its SCHEMA: {_odd(record, names)}",
            )
            for error in validator.iter_errors(record):
                raise AssertionError(f"a record of {stream} does not fit its SCHEMA at {error.json_path}")


def _odd(record: Record, names: set[str]) -> str:
    return ", ".join(sorted(names.symmetric_difference(record)))


def keys(subject: Subject, stream: str) -> None:
    """Every record has its keys, and no two have the same; but a newer version may follow an older one.

    The very same record may come again in a list, which is read again where its rows may have moved; no document may.
    """
    declared = subject.connector.stream(stream)
    seen: dict[Key, Any] = {}
    known: dict[Key, set[str]] = {}
    full = hold_ended(subject.full(), "a full run")
    hold(
        not full.told(stream, "different records with this key"),
        f"{stream} has different records with the same {', '.join(declared.keys)}: declare keys that tell them apart",
    )
    for record in full.records(stream):
        key = _key(record, declared)
        hold(all(part not in (None, "") for part in key), f"a record of {stream} has no {' or '.join(declared.keys)}")
        changed = record.get(declared.replication_key or "")
        is_known = declared.keyed is None and repr(record) in known.setdefault(key, set())
        if key in seen and not is_known:
            newer = changed is not None and seen[key] is not None and changed > seen[key]
            hold(
                newer,
                f"two records of {stream} have the same {', '.join(declared.keys)}, and the second is no newer one",
            )
        seen[key] = changed
        known.setdefault(key, set()).add(repr(record))


def parity(subject: Subject) -> None:
    """Whatever format is asked for, the records and the state are the same."""
    first, *others = subject.formats
    if not others:
        raise NotApplicable("it asks for one format only")
    one = hold_ended(subject.full(first), f"a full run{_in(first)}")
    for form in others:
        other = hold_ended(subject.full(form), f"a full run{_in(form)}")
        for stream in subject.connector.streams:
            unlike = {crumb_of(path) for path in subject.unlike.get(stream.name, ())}
            pair = [[_without(r, unlike) for r in _steady(run.records(stream.name), stream)] for run in (one, other)]
            hold(
                len(pair[0]) == len(pair[1]), f"{stream.name} has another number of records{_in(form)} than{_in(first)}"
            )
            for a, b in zip(*pair, strict=True):
                differ = sorted(name for name in a if a[name] != b.get(name))
                hold(a == b, f"{stream.name} differs{_in(form)} from what it is{_in(first)} in {', '.join(differ)}")
            if not stream.plan.windows:
                same = _bookmarks(one.state, stream.name) == _bookmarks(other.state, stream.name)
                hold(same, f"{stream.name} has another bookmark{_in(form)} than{_in(first)}")


def _in(form: str | None) -> str:
    return f" in {form}" if form else ""


# --- amounts -----------------------------------------------------------------------------------------

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (Decimal,),
    "integer": (int,),
    "boolean": (bool,),
    "date-time": (datetime,),
    "date": (date,),
}


def exact(subject: Subject, stream: str) -> None:
    """Amounts are Decimals from the wire on, and are written digit for digit; a float anywhere is a failure."""
    declared = subject.connector.stream(stream)
    node = subject.shapes[stream].record
    typed = subject.typed(declared)
    for record in typed:
        for where, problem in _odd_types(record, node, stream):
            raise AssertionError(f"{where} {problem}")
    amounts = [list(_amounts(record, node)) for record in typed]
    run = hold_ended(subject.full(), "a full run")
    hold(
        amounts == [list(_amounts(record, node)) for record in run.records(stream)],
        f"{stream} writes other amounts than it has",
    )
    texts = subject.once("decimal texts", lambda: subject.run(use_singer_decimal=True))
    for record, values in zip(hold_ended(texts, "a run with use_singer_decimal").records(stream), amounts, strict=True):
        written = list(_amounts(record, node))
        hold(
            all(value is None or isinstance(value, str) for value in written),
            f"{stream} writes an amount as a number with use_singer_decimal",
        )
        hold(
            [value and Decimal(value) for value in written] == values,
            f"{stream} writes other amounts with use_singer_decimal",
        )


def _odd_types(value: Any, node: Node, where: str) -> Iterator[tuple[str, str]]:
    """Yield the places of a typed record where something else stands than is declared."""
    if type(value) is float:
        yield where, "is a float, which holds no amount exactly: make a Decimal of the vendor's text"
    elif value is None:
        if not node.nullable and node.kind != "given":
            yield where, "is null, and not declared so"
    elif node.kind in _TYPES and type(value) not in _TYPES[node.kind]:
        yield where, f"is declared {node.kind}, and a Python {type(value).__name__} stands there"
    elif isinstance(value, Decimal) and not value.is_finite():
        yield where, "is no finite number"
    else:
        yield from _odd_inside(value, node, where)


def _odd_inside(value: Any, node: Node, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield from _odd_members(value, node, where)
    elif isinstance(value, list):
        for item in value:
            yield from _odd_types(item, node.item or Node("any"), f"{where}[]")


def _odd_members(value: Record, node: Node, where: str) -> Iterator[tuple[str, str]]:
    if node.kind == "object":
        yield from (
            (f"{where}.{name}", "is not in the record, but declared") for name in node.fields if name not in value
        )
        yield from (
            (f"{where}.{name}", "is in the record, but not declared") for name in value if name not in node.fields
        )
    for name, member in value.items():
        yield from _odd_types(member, node.fields.get(name, Node("any")), f"{where}.{name}")


def _amounts(value: Any, node: Node) -> Iterator[Any]:
    """Yield what stands where numbers are declared, in order."""
    if node.kind == "number":
        yield value
    elif node.kind == "object" and value is not None:
        for name, member in node.fields.items():
            yield from _amounts(value.get(name), member)
    elif node.kind == "array" and value is not None and node.item:
        for item in value:
            yield from _amounts(item, node.item)


def totals(subject: Subject) -> None:
    """Loaded into DuckDB, there are as many invoices as the sandbox has, and they come to the same sums."""
    sandbox = subject.connector.sandbox
    if subject.recorded or sandbox is None:
        raise NotApplicable("only a sandbox knows what its invoices come to")
    if find_spec("duckdb") is None:
        raise NotApplicable(f"duckdb is not installed: {install('duckdb')}")
    from vendortap.testing import loading

    stdout = hold_ended(subject.full(), "a full run").stdout
    for problem in loading.problems(stdout, sandbox.totals, subject.vendor.state.totals()):
        raise AssertionError(problem)


# --- again, and further ------------------------------------------------------------------------------


def incremental(subject: Subject, stream: str) -> None:
    """A run that goes on from a state has nothing of what the bookmark covers, and comes to the same state."""
    declared = subject.connector.stream(stream)
    first = hold_ended(subject.full(), "a full run")
    again = hold_ended(_again(subject), "a run that goes on from the state of a full one")
    if declared.replication_key is None:
        hold(
            _table(again.records(stream), declared).keys() == _table(first.records(stream), declared).keys(),
            f"{stream} has no replication key, and is not read as a whole again",
        )
        return
    dated = [record for record in first.records(stream) if record[declared.replication_key] is not None]
    if subject.connector.stream(stream).keyed and not dated:
        raise NotApplicable("its keys are configured: it is read as a whole each time")
    before, after = _bookmarks(first.state, stream), _bookmarks(again.state, stream)
    hold(before or not dated, f"a full run leaves no bookmark of {stream}")
    for context, value in before.items():
        hold(after.get(context) is not None and after[context] >= value, f"the bookmark of {stream} goes back")
    _hold_new(subject, again.records(stream), declared, before)
    values = {record[declared.replication_key] for record in dated}
    if len(values) > 1 and not (declared.plan.windows and subject.recorded):
        fewer = len(again.records(stream)) < len(first.records(stream))
        hold(fewer, f"{stream} hands on everything again, whatever its bookmark says")


def _again(subject: Subject) -> Run:
    """The run after a full one, without looking back."""
    lookback: dict[str, Any] = {stream.plan.lookback: 0 for stream in subject.connector.streams if stream.plan.lookback}
    run: Run = subject.once("again", lambda: subject.run(state=subject.full().state, **lookback))
    return run


def _hold_new(subject: Subject, records: Iterable[Record], stream: Stream, bookmarks: Mapping[Any, datetime]) -> None:
    if stream.plan.windows and subject.recorded:
        return  # what was recorded of a window is given for a later one, too
    params = {param: name for name, param in stream.add.items()}
    for record in records:
        changed = record[stream.replication_key or ""]
        covered = [
            value
            for context, value in bookmarks.items()
            if all(str(record[params[param]]) == part for param, part in context if param in params)
        ]
        if changed is not None and covered:
            new = datetime.fromisoformat(changed.replace("Z", "+00:00")) >= min(covered)
            hold(new, f"{stream.name} hands a record on again that its bookmark covers")


def resumed(subject: Subject, stream: str) -> None:
    """A run that is refused on the way leaves a state; the next goes on from it, and together they have everything."""
    declared = subject.connector.stream(stream)
    whole = hold_ended(subject.run(streams=[stream], concurrency=1), f"a full run of {stream}")
    wanted = _table(whole.records(stream), declared)
    for number in sorted({len(whole.asked) // 2 + 1, len(whole.asked) * 3 // 4 + 1}):
        with subject.misbehaving(f"403@{number}-"):
            broken = subject.run(streams=[stream], concurrency=1)
        hold(isinstance(broken.error, VendorError), f"a refusal in the middle of {stream} is not the error of the run")
        rest = hold_ended(subject.run(streams=[stream], state=broken.state), f"the run of {stream} after a refused one")
        together = _table(broken.covered(stream), declared) | _table(rest.records(stream), declared)
        _hold_same(together, wanted, declared, "after a run that broke off and the next one")
        _hold_monotone([broken, rest])


def state(subject: Subject) -> None:
    """Every STATE is one that vendortap can go on from, and no bookmark in it ever goes back."""
    for form in subject.formats:
        _hold_monotone([hold_ended(subject.full(form), f"a full run{_in(form)}")])
    _hold_monotone([subject.full(), _again(subject)])
    hold(subject.full().state is not None, "a full run writes no STATE")


def _hold_monotone(runs: Sequence[Run]) -> None:
    latest: dict[Any, datetime] = {}
    for message in (message for run in runs for message in run.of("STATE")):
        try:
            check_state(message["value"])
        except VendortapError as error:
            raise AssertionError(f"a STATE cannot be gone on from: {error}") from error
        for stream in message["value"].get("bookmarks", {}):
            for context, value in _bookmarks(message["value"], stream).items():
                place = stream, context
                hold(
                    value >= latest.get(place, value), f"the bookmark of {stream} goes back from one STATE to the next"
                )
                latest[place] = value


def _bookmarks(state: Any, stream: str) -> dict[tuple[tuple[str, str], ...], datetime]:
    """Partition → bookmark."""
    entry = (state or {}).get("bookmarks", {}).get(stream, {})
    found = {}
    for part in entry.get("partitions", {"": entry}).values():
        if bookmark := read_bookmark(stream, part):
            found[tuple(sorted(part.get("context", {}).items()))] = bookmark.value
    return found


# --- selection ---------------------------------------------------------------------------------------


def selection(subject: Subject) -> None:
    """Deselected properties are in no SCHEMA and no RECORD, inside arrays too; keys and the rest always are."""
    dropped = {stream.name: list(_every_second(subject, stream)) for stream in subject.connector.streams}
    some = hold_ended(
        subject.run(catalog=subject.catalog(subject.streams, dropped)), "a run with deselected properties"
    )
    whole = hold_ended(subject.full(), "a full run")
    for stream in subject.connector.streams:
        unwanted = set(dropped[stream.name]) - {
            ("properties", name) for name in (*stream.keys, stream.replication_key or "")
        }
        wanted = [_without(record, unwanted) for record in _steady(whole.records(stream.name), stream)]
        found = _steady(some.records(stream.name), stream)
        hold(found == wanted, f"with some properties of {stream.name} deselected, its records are not the others alone")
        for message in some.of("SCHEMA", stream.name):
            crumbs = set(_crumbs(message["schema"]))
            left = [crumb for crumb in unwanted if crumb in crumbs]
            hold(
                not left, f"the SCHEMA of {stream.name} has a deselected property: {'.'.join(left[0]) if left else ''}"
            )


def _every_second(subject: Subject, stream: Stream) -> Iterator[Crumb]:
    """Yield every second property, keys included, and no property of one that is deselected itself."""
    taken: set[Crumb] = set()
    entry = next(e for e in subject.discovered["streams"] if e["tap_stream_id"] == stream.name)
    for number, crumb in enumerate(_crumbs(entry["schema"])):
        if number % 2 == 0 and not any(crumb[: len(other)] == other for other in taken):
            taken.add(crumb)
            yield crumb


def _crumbs(schema: Mapping[str, Any], crumb: Crumb = ()) -> Iterator[Crumb]:
    """Yield the breadcrumb of every property of a Singer schema."""
    for name, member in schema.get("properties", {}).items():
        yield (*crumb, "properties", name)
        yield from _crumbs(member, (*crumb, "properties", name))
    if "items" in schema:
        yield from _crumbs(schema["items"], (*crumb, "items"))


def _without(value: Any, unwanted: set[Crumb], crumb: Crumb = ()) -> Any:
    if isinstance(value, dict):
        places = {name: (*crumb, "properties", name) for name in value}
        return {n: _without(v, unwanted, places[n]) for n, v in value.items() if places[n] not in unwanted}
    if isinstance(value, list):
        return [_without(item, unwanted, (*crumb, "items")) for item in value]
    return value


# --- what goes wrong ---------------------------------------------------------------------------------


def refused(subject: Subject) -> None:
    """Credentials that are refused end the run at once; in its middle they are renewed, or the next run goes on."""
    with subject.misbehaving("401"):
        run = subject.run(concurrency=1)
    hold(isinstance(run.error, CredentialsError), f"401 to everything is no CredentialsError, but {_outcome(run)}")
    hold(
        len(run.asked) <= _ASKED_WITHOUT_CREDENTIALS,
        f"{len(run.asked)} requests are sent although the credentials are refused",
    )
    hold(not run.of("RECORD"), "there are records although the credentials are refused")
    whole = hold_ended(subject.full(), "a full run")
    with subject.misbehaving(f"401@{len(whole.asked) // 2 + 1}"):
        first = subject.run()
    hold(
        first.error is None or isinstance(first.error, CredentialsError),
        f"401 in the middle of a run: {_outcome(first)}",
    )
    _hold_complete(subject, first, "a 401 in the middle")


def limited(subject: Subject) -> None:
    """After 429 the tap waits as long as Retry-After asks for, asks again, and loses nothing."""
    whole = hold_ended(subject.full(), "a full run")
    number = len(whole.asked) // 2 + 1
    with subject.misbehaving(f"429@{number}"):
        run = hold_ended(subject.run(concurrency=1), "a run with a 429 in it")
    _hold_complete(subject, run, "a 429")
    limited, *following = run.asked[number - 1 :]
    waited = [asked.at - limited.at for asked in following if asked.what == limited.what]
    hold(waited and waited[0] >= 0.95, "the second that Retry-After of a 429 asks for is not waited")


def unavailable(subject: Subject) -> None:
    """Errors of the server (5xx) that pass are a wait; ones that stay end the run, and are never an empty answer."""
    number = len(hold_ended(subject.full(), "a full run").asked) // 2
    with subject.misbehaving(f"500@2,{number}", f"503@{number + 2}"):
        run = subject.run()
    _hold_complete(subject, hold_ended(run, "a run with a few 5xx in it"), "a few 5xx")
    for kind in ("500", "503"):
        with subject.misbehaving(f"{kind}@{number}-"):
            run = subject.run(retry_seconds=0.2)
        hold(isinstance(run.error, TransportError), f"a vendor that answers {kind} for good: {_outcome(run)}")
        hold("retry_seconds" in run.complaint, f"the error after {kind} does not say what was tried: {run.complaint}")


def _outcome(run: Run) -> str:
    return f"{type(run.error).__name__}: {run.complaint}" if run.error else "the run ends as if all were well"


def _hold_complete(subject: Subject, first: Run, after: str) -> None:
    """Hold that a run, or the next one after it, has everything."""
    runs = [first]
    if first.error is not None:
        runs.append(hold_ended(subject.run(state=first.state), f"the run after {after}"))
    for stream in subject.connector.streams:
        together: Table = {}
        for run in runs:
            together |= _table(run.covered(stream.name), stream)
        whole = _table(subject.full().records(stream.name), stream)
        _hold_same(together, whole, stream, f"after {after}")


def bad_record(subject: Subject, stream: str) -> None:
    """A record that does not fit ends the run, its value not shown; or it is quarantined, and the rest arrives."""
    declared = subject.connector.stream(stream)
    if not sum(_hold_refused(subject, declared, form) for form in subject.formats):
        raise NotApplicable(f"{stream} has nothing that could be made not to fit")


def _hold_refused(subject: Subject, stream: Stream, form: str | None) -> bool:
    """Hold what comes of a bad record; returns whether there is something that one could be made of."""
    name = stream.name
    whole = hold_ended(subject.alone(name, form), f"a full run of {name}{_in(form)}")
    spoiler = _spoiler(subject, stream, form, whole)
    with subject.changing(spoiler):
        stopped = subject.run(streams=[name], **subject.asking(form))
    if not spoiler.where:
        return False
    what = f"a record of {name} whose {spoiler.where} does not fit{_in(form)}"
    hold(isinstance(stopped.error, RecordError), f"{what} is no RecordError: {_outcome(stopped)}")
    told = name in stopped.complaint and spoiler.where in stopped.complaint
    hold(told, f"the error does not name {what}: {stopped.complaint}")
    hold(CANARY not in stopped.written, f"the value of {what} is shown")
    _hold_quarantined(subject, stream, form, whole)
    return True


def _hold_quarantined(subject: Subject, stream: Stream, form: str | None, whole: Run) -> None:
    spoiler = _spoiler(subject, stream, form, whole)
    with tempfile.TemporaryDirectory() as folder, subject.changing(spoiler):
        settings = {"on_bad_record": "quarantine", "quarantine_dir": folder, **subject.asking(form)}
        run = hold_ended(subject.run(streams=[stream.name], **settings), f"a run of {stream.name} with a quarantine")
        kept = quarantine.read_all(Path(folder))
    hold([one.stream for one in kept] == [stream.name], f"the bad record of {stream.name} is not in the quarantine")
    hold(CANARY not in run.written, f"the value of a bad record of {stream.name} is shown")
    expected, found = _table(whole.records(stream.name), stream), _table(run.records(stream.name), stream)
    lost = len(expected.keys() - found.keys())
    hold(lost <= 1 and found.keys() <= expected.keys(), f"{lost} records of {stream.name} are lost beside the bad one")


def envelope(subject: Subject, stream: str) -> None:
    """A reply in another envelope than is declared is an error, in every format, and never one without records."""
    declared = subject.connector.stream(stream)
    for form in subject.formats:
        with subject.changing(_Enveloping(_own_paths(subject, declared, form))):
            run = subject.run(streams=[stream], on_missing="fail", retry_seconds=0.2, **subject.asking(form))
        what = f"{stream} in another envelope than is declared{_in(form)}"
        hold(isinstance(run.error, VendorError), f"{what} is no error: {_outcome(run)}")
        hold(not run.records(stream), f"{what} gives records")


class _Enveloping:
    """A vendor that answers these paths in another envelope than is declared."""

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = paths

    def __call__(self, asked: Asked, answer: faults.Answer) -> faults.Answer:
        """Answer a request."""
        if asked.path not in self._paths or not 200 <= answer.status < 300:
            return answer
        is_xml = b"xml" in answer.header(b"content-type")
        body = b"<OtherEnvelope><Other/></OtherEnvelope>" if is_xml else b'{"otherEnvelope": {"other": []}}'
        return having(answer, body)


def foreign(subject: Subject, stream: str) -> None:
    """A document that is another than was asked for is an error, and is not handed on as the one asked for."""
    declared = subject.connector.stream(stream)
    if declared.keyed is None or not declared.keyed.echo:
        raise NotApplicable("its declaration names no property in which a document says its own number (Keyed.echo)")
    whole = hold_ended(subject.alone(stream), f"a full run of {stream}")
    own = _own_paths(subject, declared, subject.formats[0])
    kept: list[faults.Answer] = []

    def first(asked: Asked, answer: faults.Answer) -> faults.Answer:
        if asked.path in own and 200 <= answer.status < 300:
            kept.append(answer)
            return kept[0]
        return answer

    with subject.changing(first):
        run = subject.run(streams=[stream], concurrency=1)
    if len(kept) < 2:
        raise NotApplicable(f"{stream} has a single document")
    hold(isinstance(run.error, VendorError), f"the same document for every request of {stream}: {_outcome(run)}")
    hold(len(run.records(stream)) < len(whole.records(stream)), f"{stream} hands on what was not asked for")


def _own_paths(subject: Subject, stream: Stream, form: str | None) -> frozenset[str]:
    """Return the paths of the stream's own requests, without sign-in and the list that it follows."""
    own = _spoiler(subject, stream, form, subject.alone(stream.name, form)).own
    asked = subject.alone(stream.name, form).asked
    return frozenset(one.path for one in asked if one.what in own and not _signs_in(one))


def _signs_in(asked: Asked) -> bool:
    """Whether a request is for a token, by its path."""
    return re.search("token|oauth|login|authenticat", asked.path, re.IGNORECASE) is not None


def _spoiler(subject: Subject, stream: Stream, form: str | None, whole: Run) -> Spoiler:
    """Return what spoils a record in the stream's own replies, not in those of the list that it follows."""
    parent = stream.keyed.parent if stream.keyed else None
    listed = {asked.what for asked in subject.alone(parent, form).asked} if parent else set()
    own = frozenset(asked.what for asked in whole.asked) - listed
    return Spoiler(stream, subject.shapes[stream.name].row, subject.filled, own)


# --- secrets -----------------------------------------------------------------------------------------


def secrets(subject: Subject) -> None:
    """Secrets are marked so, are sent in no URL, and are in nothing that a tap writes, whatever the vendor answers."""
    for name, setting in subject.settings.items():
        looks = (
            _SECRET.search(name)
            and not _NO_SECRET.search(name)
            and "string" in setting["type"]
            and "enum" not in setting
        )
        hold(setting.get("secret") or not looks, f"the setting {name!r} looks like a secret, and is not marked so")
        hold(not (setting.get("secret") and "default" in setting), f"the secret setting {name!r} has a default")
    runs = [subject.full(form) for form in subject.formats]
    for status, first in product((200, 400, 401, 403), (1, 2, 3)):
        with subject.changing(_Echo(subject, status, first)):
            runs.append(subject.run(concurrency=1, retry_seconds=0.2))
    known = _known(subject, [asked for run in runs for asked in run.asked])
    blank = Redactor(known).blank
    for run in runs:
        for part, text in (
            ("standard output", run.stdout.decode()),
            ("its log", run.log),
            ("its error", run.complaint),
        ):
            hold(blank(text) == text, f"a secret is in what the tap writes to {part}")
        for asked in run.asked:
            hold(
                not any(secret in unquote_plus(f"{asked.path}?{asked.query}") for secret in known),
                "a secret is sent in a URL, which servers and proxies log",
            )


def _known(subject: Subject, asked: Iterable[Asked]) -> list[str]:
    """Return the secrets: of the settings, and what stands in the header that signs these requests."""
    secret = [name for name, setting in subject.settings.items() if setting.get("secret")]
    values = {str(subject.config[name]) for name in secret if subject.config.get(name)}
    values |= {value.split()[-1] for one in asked for name, value in one.headers if name == "authorization" and value}
    return sorted(value for value in values if len(value) >= SECRET_LENGTH)


class _Echo:
    """A vendor that says, from the so many-th request on, whatever secrets it knows, in the forms of errors."""

    def __init__(self, subject: Subject, status: int, first: int) -> None:
        self._subject, self._status, self._left = subject, status, first - 1

    def __call__(self, asked: Asked, answer: faults.Answer) -> faults.Answer:
        """Answer a request."""
        if self._left:
            self._left -= 1
            return answer
        said = " and ".join(_known(self._subject, [asked]))
        told = {"message": said, "error": said, "error_description": said, "errors": [{"code": said, "message": said}]}
        body = json.dumps(told).encode()
        headers = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
        return faults.Answer(self._status, headers, body)


# --- in common ---------------------------------------------------------------------------------------


def _key(record: Record, stream: Stream) -> Key:
    return tuple(record.get(name) for name in stream.keys)


def _table(records: Iterable[Record], stream: Stream) -> Table:
    """Key → record; of several the last one, as in a target."""
    return {_key(record, stream): record for record in _steady(records, stream)}


def _steady(records: Iterable[Record], stream: Stream) -> list[Record]:
    """Return the records without what depends on when they were asked for: the window that they came in."""
    unsteady = stream.replication_key if stream.plan.windows else None
    return [{name: value for name, value in record.items() if name != unsteady} for record in records]


def _hold_same(found: Table, wanted: Table, stream: Stream, when: str) -> None:
    missing = wanted.keys() - found.keys()
    hold(not missing, f"{len(missing)} of {len(wanted)} records of {stream.name} are missing {when}")
    odd = [key for key in wanted if found[key] != wanted[key]]
    hold(not odd and found.keys() == wanted.keys(), f"{stream.name} has other records than a full run {when}")


@dataclass(frozen=True)
class Check:
    """A check by its name; ``each_stream`` takes the name of a stream as well."""

    name: str
    run: Callable[..., None]
    each_stream: bool = False


CHECKS: Mapping[str, Check] = {
    check.name: check
    for check in (
        Check("declared", declared),
        Check("discovery", discovery),
        Check("catalog", catalog),
        Check("full", full, each_stream=True),
        Check("keys", keys, each_stream=True),
        Check("incremental", incremental, each_stream=True),
        Check("resumed", resumed, each_stream=True),
        Check("state", state),
        Check("parity", parity),
        Check("exact", exact, each_stream=True),
        Check("totals", totals),
        Check("selection", selection),
        Check("refused", refused),
        Check("limited", limited),
        Check("unavailable", unavailable),
        Check("bad_record", bad_record, each_stream=True),
        Check("envelope", envelope, each_stream=True),
        Check("foreign", foreign, each_stream=True),
        Check("secrets", secrets),
    )
}
"""Every check by its name."""
