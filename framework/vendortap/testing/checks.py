"""What every connector has to keep to: one function a check, which raises AssertionError with a sentence.

``CHECKS`` names them all. Those of ``each_stream`` take a stream's name as well. None of them knows pytest, the vendor,
or what the sandbox does inside: they read what a tap writes, and what it asks for.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from inspect import signature
from itertools import chain, product
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import jsonschema

from vendortap.declare.model import Node, Stream
from vendortap.decode import schemas
from vendortap.errors import CredentialsError, RecordError, TransportError, VendorError, VendortapError
from vendortap.plugins import validation
from vendortap.plugins.extensions import TYPES
from vendortap.sandbox import faults
from vendortap.support.extras import install
from vendortap.support.redact import SECRET_LENGTH, Redactor
from vendortap.sync import quarantine
from vendortap.sync.state import check_state, read_bookmark
from vendortap.testing.corruption import CANARY, Spoiler
from vendortap.testing.harness import Asked, Crumb, Harness, Key, NotApplicable, Run, crumb_of, having

Record = dict[str, Any]
Table = dict[Key, Record]
Bookmarks = dict[tuple[tuple[str, str], ...], datetime]
"""Partition → bookmark."""
_SECRET = re.compile(r"secret|passw(or)?d|token|api_?key|subscription_?key|private_?key|credential", re.IGNORECASE)
_NO_SECRET = re.compile(r"_(url|uri|file|path|unit|seconds|scheme|name|header|type|column)$", re.IGNORECASE)
_SIGN_IN = re.compile("token|oauth|login|authenticat", re.IGNORECASE)
_ASKED_WITHOUT_CREDENTIALS = 4
"""So many requests may be sent before a refusal of the credentials has got through: the token call, one, and again."""


def check(condition: object, sentence: str) -> None:
    """Raise unless the condition is true: as ``assert``, but under ``python -O`` too.

    Raises:
        AssertionError: with the sentence.
    """
    if not condition:
        raise AssertionError(sentence)


def check_ended(run: Run, what: str) -> Run:
    """Return a run that came to its end.

    Raises:
        AssertionError: it failed.
    """
    if run.error is not None:
        raise AssertionError(f"{what} ended with {type(run.error).__name__}: {run.complaint}") from run.error
    return run


# --- what is declared --------------------------------------------------------------------------------


def declared(harness: Harness) -> None:
    """The declaration agrees with itself and its schemas, and these with the JSON Schema meta-schema."""
    try:
        validation.check(harness.connector, fully=True)
    except VendortapError as error:
        raise AssertionError(f"the declaration is not sound: {error}") from error
    check(harness.connector.docs.startswith("https://"), "'docs' is no address of the vendor's documentation")
    for stream in harness.connector.streams:
        check(stream.title.strip(), f"{stream.name} has no title")


def discovery(harness: Harness) -> None:
    """Discovery finds every stream with its schema, its keys and its replication method."""
    entries = {entry["tap_stream_id"]: entry for entry in harness.discovered["streams"]}
    check(set(entries) == set(harness.streams), f"discovery finds {sorted(entries)}, declared are {harness.streams}")
    for stream in harness.connector.streams:
        entry, name = entries[stream.name], stream.name
        check(entry["key_properties"] == list(stream.keys), f"discovery gives {name} other keys than are declared")
        method = "INCREMENTAL" if stream.replication_key else "FULL_TABLE"
        check(entry["replication_method"] == method, f"discovery does not say that {name} is {method}")
        check(entry.get("replication_key") == stream.replication_key, f"{name} has another replication key")
        _check_schema(name, entry["schema"])
        inclusion = {tuple(item["breadcrumb"]): item["metadata"].get("inclusion") for item in entry["metadata"]}
        for key in filter(None, (*stream.keys, stream.replication_key)):
            automatic = inclusion.get(("properties", key)) == "automatic"
            check(automatic, f"{name}.{key} is a key, and its inclusion not automatic")


def _check_schema(name: str, schema: Mapping[str, Any]) -> None:
    try:
        jsonschema.Draft7Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise AssertionError(f"the Singer schema of {name} is none at {error.json_path}: {error.message}") from error


def catalog(harness: Harness) -> None:
    """The discovered catalog, given back as it is, selects what is selected without one, and does so alone."""
    discovered = check_ended(harness.run(catalog=harness.discovered), "a run with the discovered catalog")
    usual = [stream.name for stream in harness.connector.streams if stream.selected_by_default]
    full = harness.full()
    for stream in harness.connector.streams:
        wanted = full.records(stream.name) if stream.name in usual else []
        same = _steady(discovered.records(stream.name), stream) == _steady(wanted, stream)
        check(same, f"with the discovered catalog, {stream.name} has other records than in a full run")
        others = {m["stream"] for m in harness.alone(stream.name).messages if "stream" in m} - {stream.name}
        check(not others, f"a catalog that selects {stream.name} alone gives {sorted(others)} too")


# --- records -----------------------------------------------------------------------------------------


def full(harness: Harness, stream: str) -> None:
    """A full run gives records of the stream, in every format, each of which fits the SCHEMA before it."""
    for form in harness.formats:
        what = f"a full run{_in(form)}"
        run = check_ended(harness.full(form), what)
        check(
            run.records(stream),
            f"{what} gives no record of {stream}: give the suite settings under which there are some (config=…)",
        )
        _check_messages(run, stream)


def _check_messages(run: Run, stream: str) -> None:
    validator: Any = None
    names: set[str] = set()
    for message in (m for m in run.messages if m.get("stream") == stream):
        if message["type"] == "SCHEMA":
            validator, names = jsonschema.Draft7Validator(message["schema"]), set(message["schema"]["properties"])
        elif message["type"] == "RECORD":
            check(validator, f"a RECORD of {stream} comes before its SCHEMA")
            record = message["record"]
            check(
                set(record) == names,
                f"a record of {stream} has not the properties of its SCHEMA: {_odd(record, names)}",
            )
            for error in validator.iter_errors(record):
                raise AssertionError(f"a record of {stream} does not fit its SCHEMA at {error.json_path}")


def _odd(record: Record, names: set[str]) -> str:
    return ", ".join(sorted(names.symmetric_difference(record)))


def keys(harness: Harness, stream: str) -> None:
    """Every record has its keys, and no two have the same; but a newer version may follow an older one.

    The very same record may come again in a list, which is read again where its rows may have moved; no document may.
    """
    declared = harness.connector.stream(stream)
    seen: dict[Key, Any] = {}
    known: defaultdict[Key, set[str]] = defaultdict(set)
    full = check_ended(harness.full(), "a full run")
    check(
        not full.told(stream, "different records with this key"),
        f"{stream} has different records with the same {', '.join(declared.keys)}: declare keys that tell them apart",
    )
    for record in full.records(stream):
        key = _key(record, declared)
        check(all(part not in (None, "") for part in key), f"a record of {stream} has no {' or '.join(declared.keys)}")
        changed = record.get(declared.replication_key or "")
        is_known = declared.parent is None and repr(record) in known[key]
        if key in seen and not is_known:
            newer = None not in (changed, seen[key]) and changed > seen[key]
            check(
                newer,
                f"two records of {stream} have the same {', '.join(declared.keys)}, and the second is no newer one",
            )
        seen[key] = changed
        known[key].add(repr(record))


def parity(harness: Harness) -> None:
    """Whatever format is asked for, the records and the state are the same."""
    first, *others = harness.formats
    if not others:
        raise NotApplicable("it asks for one format only")
    one = check_ended(harness.full(first), f"a full run{_in(first)}")
    for form in others:
        other = check_ended(harness.full(form), f"a full run{_in(form)}")
        for stream in harness.connector.streams:
            unlike = {crumb_of(path) for path in harness.unlike.get(stream.name, ())}
            _check_alike(stream, unlike, (one, _in(first)), (other, _in(form)))


def _check_alike(stream: Stream, unlike: set[Crumb], one: tuple[Run, str], other: tuple[Run, str]) -> None:
    """Check that a stream is the same in two runs, but for what is unlike; each run comes with its format."""
    (first, in_first), (second, in_second), name = one, other, stream.name
    pair = [[_without(r, unlike) for r in _steady(run.records(name), stream)] for run in (first, second)]
    check(len(pair[0]) == len(pair[1]), f"{name} has another number of records{in_second} than{in_first}")
    for a, b in zip(*pair, strict=True):
        differ = sorted(place for place in a if a[place] != b.get(place))
        check(a == b, f"{name} differs{in_second} from what it is{in_first} in {', '.join(differ)}")
    if not stream.plan.windows:
        same = _bookmarks(first.state, name) == _bookmarks(second.state, name)
        check(same, f"{name} has another bookmark{in_second} than{in_first}")


def _in(form: str | None) -> str:
    return f" in {form}" if form else ""


# --- amounts -----------------------------------------------------------------------------------------


def exact(harness: Harness, stream: str) -> None:
    """Amounts are Decimals from the wire on, and are written digit for digit; a float anywhere is a failure."""
    declared = harness.connector.stream(stream)
    node = harness.shapes[stream].record
    typed = harness.typed(declared)
    for record in typed:
        for where, problem in _odd_types(record, node, stream):
            raise AssertionError(f"{where} {problem}")
    amounts = _amounts_of(typed, node)
    run = check_ended(harness.full(), "a full run")
    check(amounts == _amounts_of(run.records(stream), node), f"{stream} writes other amounts than it has")
    texts = harness.once("decimal texts", lambda: harness.run(use_singer_decimal=True))
    records = check_ended(texts, "a run with use_singer_decimal").records(stream)
    for written, values in zip(_amounts_of(records, node), amounts, strict=True):
        check(
            all(isinstance(value, str | None) for value in written),
            f"{stream} writes an amount as a number with use_singer_decimal",
        )
        check(
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
    elif type(value) not in TYPES.get(node.kind, (type(value),)):
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


def _amounts_of(records: Iterable[Record], node: Node) -> list[list[Any]]:
    return [list(_amounts(record, node)) for record in records]


def _amounts(value: Any, node: Node) -> Iterator[Any]:
    """Yield what stands where numbers are declared, in order."""
    if node.kind == "number":
        yield value
    elif value is None:
        return
    elif node.kind == "object":
        for name, member in node.fields.items():
            yield from _amounts(value.get(name), member)
    elif node.item:
        for item in value:
            yield from _amounts(item, node.item)


def totals(harness: Harness) -> None:
    """Loaded into DuckDB, there are as many invoices as the sandbox has, and they come to the same sums."""
    sandbox = harness.connector.sandbox
    if harness.recorded or sandbox is None:
        raise NotApplicable("only a sandbox knows what its invoices come to")
    if find_spec("duckdb") is None:
        raise NotApplicable(f"duckdb is not installed: {install('duckdb')}")
    from vendortap.testing import loading

    stdout = check_ended(harness.full(), "a full run").stdout
    for problem in loading.problems(stdout, sandbox.totals, harness.vendor.state.totals()):
        raise AssertionError(problem)


# --- again, and further ------------------------------------------------------------------------------


def incremental(harness: Harness, stream: str) -> None:
    """A run that goes on from a state has nothing of what the bookmark covers, and comes to the same state."""
    declared = harness.connector.stream(stream)
    first = check_ended(harness.full(), "a full run")
    again = check_ended(_again(harness), "a run that goes on from the state of a full one")
    key = declared.replication_key
    if key is None:
        check(
            _table(again.records(stream), declared).keys() == _table(first.records(stream), declared).keys(),
            f"{stream} has no replication key, and is not read as a whole again",
        )
        return
    values = set(map(itemgetter(key), first.records(stream))) - {None}
    if declared.parent and not values:
        raise NotApplicable("its keys are configured: it is read as a whole each time")
    bookmarks = _bookmarks(first.state, stream)
    check(bookmarks or not values, f"a full run leaves no bookmark of {stream}")
    _check_no_way_back(stream, bookmarks, _bookmarks(again.state, stream))
    if declared.plan.windows and harness.recorded:
        return  # what was recorded of a window is given for a later one, too
    _check_new(again.records(stream), declared, key, bookmarks)
    if len(values) > 1:
        fewer = len(again.records(stream)) < len(first.records(stream))
        check(fewer, f"{stream} hands on everything again, whatever its bookmark says")


def _again(harness: Harness) -> Run:
    """The run after a full one, without looking back."""
    lookback: dict[str, Any] = {stream.plan.lookback: 0 for stream in harness.connector.streams if stream.plan.lookback}
    return harness.once("again", lambda: harness.run(state=harness.full().state, **lookback))


def _check_no_way_back(stream: str, before: Bookmarks, after: Bookmarks) -> None:
    for context, value in before.items():
        check(context in after and after[context] >= value, f"the bookmark of {stream} goes back")


def _check_new(records: Iterable[Record], stream: Stream, key: str, bookmarks: Bookmarks) -> None:
    """Check that no record is older than the bookmarks of its partition; ``key`` is the replication key."""
    for record in records:
        own = {param: str(record[name]) for name, param in stream.add.items()}
        covered = [
            value
            for context, value in bookmarks.items()
            if all(own.get(param, part) == part for param, part in context)
        ]
        if (changed := record[key]) is not None and covered:
            new = datetime.fromisoformat(changed.replace("Z", "+00:00")) >= min(covered)
            check(new, f"{stream.name} hands a record on again that its bookmark covers")


def resumed(harness: Harness, stream: str) -> None:
    """A run that is refused on the way leaves a state; the next goes on from it, and together they have everything."""
    declared = harness.connector.stream(stream)
    whole = check_ended(harness.run(streams=[stream], concurrency=1), f"a full run of {stream}")
    wanted = _table(whole.records(stream), declared)
    for number in sorted({len(whole.asked) // 2 + 1, len(whole.asked) * 3 // 4 + 1}):
        with harness.misbehaving(f"403@{number}-"):
            broken = harness.run(streams=[stream], concurrency=1)
        check(isinstance(broken.error, VendorError), f"a refusal in the middle of {stream} is not the error of the run")
        rest = harness.run(streams=[stream], state=broken.state)
        check_ended(rest, f"the run of {stream} after a refused one")
        together = _table(broken.covered(stream), declared) | _table(rest.records(stream), declared)
        _check_same(together, wanted, declared, "after a run that broke off and the next one")
        _check_monotone([broken, rest])


def state(harness: Harness) -> None:
    """Every STATE is one that vendortap can go on from, and no bookmark in it ever goes back."""
    for form in harness.formats:
        _check_monotone([check_ended(harness.full(form), f"a full run{_in(form)}")])
    _check_monotone([harness.full(), _again(harness)])
    check(harness.full().state is not None, "a full run writes no STATE")


def _check_monotone(runs: Sequence[Run]) -> None:
    latest: dict[Any, datetime] = {}
    for message in (message for run in runs for message in run.of("STATE")):
        try:
            check_state(message["value"])
        except VendortapError as error:
            raise AssertionError(f"a STATE cannot be gone on from: {error}") from error
        for stream in message["value"].get("bookmarks", {}):
            for context, value in _bookmarks(message["value"], stream).items():
                place = stream, context
                check(
                    value >= latest.get(place, value), f"the bookmark of {stream} goes back from one STATE to the next"
                )
                latest[place] = value


def _bookmarks(state: Any, stream: str) -> Bookmarks:
    entry = (state or {}).get("bookmarks", {}).get(stream, {})
    found = {}
    for part in entry.get("partitions", {"": entry}).values():
        if bookmark := read_bookmark(stream, part):
            found[tuple(sorted(part.get("context", {}).items()))] = bookmark.value
    return found


# --- selection ---------------------------------------------------------------------------------------


def selection(harness: Harness) -> None:
    """Deselected properties are in no SCHEMA and no RECORD, inside arrays too; keys and the rest always are."""
    dropped = {stream.name: list(_every_second(harness, stream)) for stream in harness.connector.streams}
    some = check_ended(
        harness.run(catalog=harness.catalog(harness.streams, dropped)), "a run with deselected properties"
    )
    whole = check_ended(harness.full(), "a full run")
    for stream in harness.connector.streams:
        unwanted = set(dropped[stream.name]) - {
            ("properties", name) for name in (*stream.keys, stream.replication_key or "")
        }
        wanted = [_without(record, unwanted) for record in _steady(whole.records(stream.name), stream)]
        same = wanted == _steady(some.records(stream.name), stream)
        check(same, f"with some properties of {stream.name} deselected, its records are not the others alone")
        for message in some.of("SCHEMA", stream.name):
            left = sorted(map(".".join, unwanted.intersection(_crumbs(message["schema"]))))
            check(not left, f"the SCHEMA of {stream.name} has a deselected property: {''.join(left[:1])}")


def _every_second(harness: Harness, stream: Stream) -> Iterator[Crumb]:
    """Yield every second property, keys included, and no property of one that is deselected itself."""
    taken: set[Crumb] = set()
    entry = next(e for e in harness.discovered["streams"] if e["tap_stream_id"] == stream.name)
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


def refused(harness: Harness) -> None:
    """Credentials that are refused end the run at once; in its middle they are renewed, or the next run goes on."""
    with harness.misbehaving("401"):
        run = harness.run(concurrency=1)
    check(isinstance(run.error, CredentialsError), f"401 to everything is no CredentialsError, but {_outcome(run)}")
    check(
        len(run.asked) <= _ASKED_WITHOUT_CREDENTIALS,
        f"{len(run.asked)} requests are sent although the credentials are refused",
    )
    check(not run.of("RECORD"), "there are records although the credentials are refused")
    whole = check_ended(harness.full(), "a full run")
    with harness.misbehaving(f"401@{len(whole.asked) // 2 + 1}"):
        first = harness.run()
    check(
        first.error is None or isinstance(first.error, CredentialsError),
        f"401 in the middle of a run: {_outcome(first)}",
    )
    _check_complete(harness, first, "a 401 in the middle")


def limited(harness: Harness) -> None:
    """After 429 the tap waits as long as Retry-After asks for, asks again, and loses nothing."""
    whole = check_ended(harness.full(), "a full run")
    number = len(whole.asked) // 2 + 1
    with harness.misbehaving(f"429@{number}"):
        run = check_ended(harness.run(concurrency=1), "a run with a 429 in it")
    _check_complete(harness, run, "a 429")
    limited, *following = run.asked[number - 1 :]
    waited = [asked.at - limited.at for asked in following if asked.what == limited.what]
    check(waited and waited[0] >= 0.95, "the second that Retry-After of a 429 asks for is not waited")


def unavailable(harness: Harness) -> None:
    """Errors of the server (5xx) that pass are a wait; ones that stay end the run, and are never an empty answer."""
    number = len(check_ended(harness.full(), "a full run").asked) // 2
    with harness.misbehaving(f"500@2,{number}", f"503@{number + 2}"):
        run = harness.run()
    _check_complete(harness, check_ended(run, "a run with a few 5xx in it"), "a few 5xx")
    for kind in ("500", "503"):
        with harness.misbehaving(f"{kind}@{number}-"):
            run = harness.run(retry_seconds=0.2)
        check(isinstance(run.error, TransportError), f"a vendor that answers {kind} for good: {_outcome(run)}")
        check("retry_seconds" in run.complaint, f"the error after {kind} does not say what was tried: {run.complaint}")


def _outcome(run: Run) -> str:
    return f"{type(run.error).__name__}: {run.complaint}" if run.error else "the run ends as if all were well"


def _check_complete(harness: Harness, first: Run, after: str) -> None:
    """Check that a run, or the next one after it, has everything."""
    runs = [first]
    if first.error is not None:
        runs.append(check_ended(harness.run(state=first.state), f"the run after {after}"))
    for stream in harness.connector.streams:
        together: Table = {}
        for run in runs:
            together |= _table(run.covered(stream.name), stream)
        whole = _table(harness.full().records(stream.name), stream)
        _check_same(together, whole, stream, f"after {after}")


def bad_record(harness: Harness, stream: str) -> None:
    """A record that does not fit ends the run, its value not shown; or it is quarantined, and the rest arrives."""
    declared = harness.connector.stream(stream)
    if not sum(_check_refused(harness, declared, form) for form in harness.formats):
        raise NotApplicable(f"{stream} has nothing that could be made not to fit")


def _check_refused(harness: Harness, stream: Stream, form: str | None) -> bool:
    """Check what comes of a bad record; returns whether there is something that one could be made of."""
    name = stream.name
    whole = check_ended(harness.alone(name, form), f"a full run of {name}{_in(form)}")
    spoiler = _spoiler(harness, stream, form, whole)
    with harness.changing(spoiler):
        stopped = harness.run(streams=[name], **harness.asking(form))
    if not spoiler.where:
        return False
    what = f"a record of {name} whose {spoiler.where} does not fit{_in(form)}"
    check(isinstance(stopped.error, RecordError), f"{what} is no RecordError: {_outcome(stopped)}")
    told = name in stopped.complaint and spoiler.where in stopped.complaint
    check(told, f"the error does not name {what}: {stopped.complaint}")
    check(CANARY not in stopped.written, f"the value of {what} is shown")
    _check_quarantined(harness, stream, form, whole)
    return True


def _check_quarantined(harness: Harness, stream: Stream, form: str | None, whole: Run) -> None:
    spoiler = _spoiler(harness, stream, form, whole)
    with tempfile.TemporaryDirectory() as folder, harness.changing(spoiler):
        settings = {"on_bad_record": "quarantine", "quarantine_dir": folder, **harness.asking(form)}
        run = check_ended(harness.run(streams=[stream.name], **settings), f"a run of {stream.name} with a quarantine")
        kept = quarantine.read_all(Path(folder))
    check([one.stream for one in kept] == [stream.name], f"the bad record of {stream.name} is not in the quarantine")
    check(CANARY not in run.written, f"the value of a bad record of {stream.name} is shown")
    expected, found = _table(whole.records(stream.name), stream), _table(run.records(stream.name), stream)
    lost = len(expected.keys() - found.keys())
    check(lost <= 1 and found.keys() <= expected.keys(), f"{lost} records of {stream.name} are lost beside the bad one")


def envelope(harness: Harness, stream: str) -> None:
    """A reply in another envelope than is declared is an error, in every format, and never one without records."""
    declared = harness.connector.stream(stream)
    for form in harness.formats:
        with harness.changing(partial(_enveloped, _own_paths(harness, declared, form))):
            run = harness.run(streams=[stream], on_missing="fail", retry_seconds=0.2, **harness.asking(form))
        what = f"{stream} in another envelope than is declared{_in(form)}"
        check(isinstance(run.error, VendorError), f"{what} is no error: {_outcome(run)}")
        check(not run.records(stream), f"{what} gives records")


def _enveloped(paths: frozenset[str], asked: Asked, answer: faults.Answer) -> faults.Answer:
    """Answer as the vendor does, but for these paths in another envelope than is declared."""
    if asked.path not in paths or not 200 <= answer.status < 300:
        return answer
    is_xml = b"xml" in answer.header(b"content-type")
    body = b"<OtherEnvelope><Other/></OtherEnvelope>" if is_xml else b'{"otherEnvelope": {"other": []}}'
    return having(answer, body)


def foreign(harness: Harness, stream: str) -> None:
    """A document that is another than was asked for is an error, and is not handed on as the one asked for."""
    declared = harness.connector.stream(stream)
    if declared.parent is None or not declared.parent.echo:
        raise NotApplicable("its declaration names no property in which a document says its own number (Keyed.echo)")
    whole = check_ended(harness.alone(stream), f"a full run of {stream}")
    own = _own_paths(harness, declared, harness.formats[0])
    kept: list[faults.Answer] = []

    def first(asked: Asked, answer: faults.Answer) -> faults.Answer:
        if asked.path in own and 200 <= answer.status < 300:
            kept.append(answer)
            return kept[0]
        return answer

    with harness.changing(first):
        run = harness.run(streams=[stream], concurrency=1)
    if len(kept) < 2:
        raise NotApplicable(f"{stream} has a single document")
    check(isinstance(run.error, VendorError), f"the same document for every request of {stream}: {_outcome(run)}")
    check(len(run.records(stream)) < len(whole.records(stream)), f"{stream} hands on what was not asked for")


def _own_paths(harness: Harness, stream: Stream, form: str | None) -> frozenset[str]:
    """Return the paths of the stream's own requests, without sign-in and the list that it follows."""
    own = _spoiler(harness, stream, form, harness.alone(stream.name, form)).own
    asked = harness.alone(stream.name, form).asked
    return frozenset(one.path for one in asked if one.what in own and not _SIGN_IN.search(one.path))


def _spoiler(harness: Harness, stream: Stream, form: str | None, whole: Run) -> Spoiler:
    """Return what spoils a record in the stream's own replies, not in those of the list that it follows."""
    parent = stream.parent.stream if stream.parent else None
    listed = {asked.what for asked in harness.alone(parent, form).asked} if parent else set()
    own = frozenset(asked.what for asked in whole.asked) - listed
    return Spoiler(stream, harness.shapes[stream.name].row, harness.filled, own)


# --- secrets -----------------------------------------------------------------------------------------


def secrets(harness: Harness) -> None:
    """Secrets are marked so, are sent in no URL, and are in nothing that a tap writes, whatever the vendor answers."""
    _check_marked(harness.settings)
    runs = [harness.full(form) for form in harness.formats]
    for status, first in product((200, 400, 401, 403), (1, 2, 3)):
        with harness.changing(_Echo(harness, status, first)):
            runs.append(harness.run(concurrency=1, retry_seconds=0.2))
    known = _known(harness, chain.from_iterable(run.asked for run in runs))
    blank = Redactor(known).blank
    for run in runs:
        for part, text in (
            ("standard output", run.stdout.decode()),
            ("its log", run.log),
            ("its error", run.complaint),
        ):
            check(blank(text) == text, f"a secret is in what the tap writes to {part}")
        for asked in run.asked:
            check(
                not any(secret in unquote_plus(f"{asked.path}?{asked.query}") for secret in known),
                "a secret is sent in a URL, which servers and proxies log",
            )


def _check_marked(settings: Mapping[str, Any]) -> None:
    """Check that what looks like a secret is marked so, and that no secret has a default."""
    for name, setting in settings.items():
        if setting.get("secret"):
            check("default" not in setting, f"the secret setting {name!r} has a default")
        elif "string" in setting["type"] and "enum" not in setting:
            looks = _SECRET.search(name) and not _NO_SECRET.search(name)
            check(not looks, f"the setting {name!r} looks like a secret, and is not marked so")


def _known(harness: Harness, asked: Iterable[Asked]) -> list[str]:
    """Return the secrets: of the settings, and what stands in the header that signs these requests."""
    values = set(schemas.secrets(harness.config, {"properties": harness.settings}))
    values |= {value.split()[-1] for one in asked for name, value in one.headers if name == "authorization" and value}
    return sorted(value for value in values if len(value) >= SECRET_LENGTH)


class _Echo:
    """A vendor that says, from the so many-th request on, whatever secrets it knows, in the forms of errors."""

    def __init__(self, harness: Harness, status: int, first: int) -> None:
        self._harness, self._status, self._left = harness, status, first - 1

    def __call__(self, asked: Asked, answer: faults.Answer) -> faults.Answer:
        """Answer a request."""
        if self._left:
            self._left -= 1
            return answer
        said = " and ".join(_known(self._harness, [asked]))
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


def _check_same(found: Table, wanted: Table, stream: Stream, when: str) -> None:
    missing = wanted.keys() - found.keys()
    check(not missing, f"{len(missing)} of {len(wanted)} records of {stream.name} are missing {when}")
    odd = [key for key in wanted if found[key] != wanted[key]]
    check(not odd and found.keys() == wanted.keys(), f"{stream.name} has other records than a full run {when}")


@dataclass(frozen=True)
class Check:
    """A check by its name; ``each_stream`` takes the name of a stream as well."""

    name: str
    run: Callable[..., None]
    each_stream: bool = False


CHECKS: Mapping[str, Check] = {
    run.__name__: Check(run.__name__, run, each_stream="stream" in signature(run).parameters)
    for run in (
        *(declared, discovery, catalog, full, keys, incremental, resumed, state, parity, exact, totals, selection),
        *(refused, limited, unavailable, bad_record, envelope, foreign, secrets),
    )
}
"""Every check by its name."""
