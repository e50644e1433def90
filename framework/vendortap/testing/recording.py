"""Records what a vendor really answers, for tests to replay: without secrets, and with personal data made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from vendortap.declare import plan
from vendortap.declare.model import Config, Connector, Reply, Request, Stream
from vendortap.decode import schemas
from vendortap.errors import ConfigError, UsageError
from vendortap.http.connect import connect
from vendortap.plugins import validation
from vendortap.support.redact import Redactor
from vendortap.sync import context, reading
from vendortap.sync.context import SyncContext
from vendortap.sync.counters import Counters
from vendortap.testing import fake_data, tape
from vendortap.testing.harness import formats

MOST = 200
"""So many replies are recorded at most, unless told otherwise: what is recorded is to be read by a person."""
Replies = list[tuple[Request, Reply]]
Bodies = dict[str, bytes]
Change = Callable[[str], str]


def record(
    connector: Connector,
    config: Mapping[str, Any],
    folder: Path,
    *,
    streams: Iterable[str] | None = None,
    most: int = MOST,
) -> tape.Recording:
    """Read streams from the vendor, in each format that the connector speaks, and write what it answered.

    Token calls are not recorded. ``streams`` are by default those that are selected by default.

    Raises:
        ConfigError: a setting or a stream's name is wrong.
        UsageError: there are more than ``most`` replies, or the folder is not an empty one.
        VendorError: the vendor answers with something that cannot be used; nothing is written.
    """
    schema = validation.settings(connector)
    chosen = _chosen(connector, config, streams)
    given = {**_until_today(chosen), **config}
    filled = schemas.with_defaults(given, schema)
    schemas.check_config(filled, schema, connector.name)
    chosen = [stream for stream in chosen if _has_keys(stream, filled)]
    replies: Replies = []
    redact = Redactor(schemas.secrets(filled, schema))
    for form in formats(schema["properties"]):
        asking = {**filled, **({"format": form} if form else {})}
        for exchange in _read(connector, asking, schema, chosen, redact):
            replies.append(exchange)
            if len(replies) > most:
                raise UsageError(
                    f"{connector.name}: there are more than {most} replies to record; narrow the settings (a later "
                    "start, a few invoice numbers), name fewer streams, or raise the limit"
                )
    of_chosen = validation.settings(replace(connector, streams=tuple(chosen)))
    kept, bodies = _redacted(connector, chosen, given, filled, of_chosen, replies, redact.blank)
    tape.write(folder, kept, bodies)
    return kept


def _chosen(connector: Connector, config: Config, names: Iterable[str] | None) -> list[Stream]:
    wanted = set(names or [stream.name for stream in connector.streams if validation.is_usual(stream, config)])
    known = [stream.name for stream in connector.streams]
    for name in sorted(wanted.difference(known)):
        raise ConfigError(f"{connector.name} has no stream {name!r}; it has {', '.join(known)}")
    return _with_parents(connector.streams, wanted)


def _with_parents(streams: Iterable[Stream], names: set[str]) -> list[Stream]:
    parents = {stream.parent.stream for stream in streams if stream.name in names and stream.parent}
    return [stream for stream in streams if stream.name in names | parents]


def _has_keys(stream: Stream, config: Config) -> bool:
    """Whether there is anything to ask for: keys of documents that no list has are the operator's to give."""
    parent = stream.parent
    return parent is None or parent.stream is not None or plan.configured(parent.sources, config) is not None


def _until_today(streams: Iterable[Stream]) -> dict[str, Any]:
    """Return an end for windows, so that a replay asks for those that were recorded."""
    today = datetime.now(UTC).date().isoformat()
    return {stream.plan.windows.end: today for stream in streams if stream.plan.windows}


def _read(
    connector: Connector, config: Config, schema: schemas.Schema, streams: Iterable[Stream], redact: Redactor
) -> Iterator[tuple[Request, Reply]]:
    """Yield what is asked and answered while the streams are read; ``redact`` learns the tokens in the end."""
    with closing(connect(connector, config, schema)) as client:
        answered: Replies = []

        def send(request: Request) -> Reply:
            reply = client.send(request)
            answered.append((request, reply))
            return reply

        source = SyncContext(
            connector, config, send, validation.shapes(connector), redact=client.redact, max_depth=config["max_depth"]
        )
        for stream in streams:
            with closing(reading.read(source, stream, lambda _: None, Counters())) as items:
                for _ in items:
                    while answered:
                        yield answered.pop(0)
        yield from answered
        # Who signs in is no secret, and may be called like an ordinary word; where it is personal, it is made up.
        redact.learn_of(client.redact, but={value for value in config.values() if isinstance(value, str)})


# --- without what is nobody's business ---------------------------------------------------------------


def _redacted(
    connector: Connector,
    streams: Iterable[Stream],
    given: Config,
    filled: Config,
    schema: schemas.Schema,
    replies: Replies,
    blank: Change,
) -> tuple[tape.Recording, Bodies]:
    """Return what is recorded. ``blank`` comes first for each text: who makes a part of a secret up hides the rest."""
    maker = fake_data.MadeUp(_names(connector, filled))
    settings = _settings(connector, given, schema, maker, blank)  # first, so that what they name is known
    for _, reply in replies:
        fake_data.changed(reply.body, reply.media_type, _blanking(blank, maker.learn))
    base = connector.base_url(filled).rstrip("/")
    exchanges: dict[tuple[str, ...], tape.Exchange] = {}
    bodies: Bodies = {}
    for request, reply in replies:
        asked = _asked(request, base, maker, blank)
        before = exchanges.get(asked.key)
        name = before.file if before else _file_name(len(exchanges) + 1, reply)
        body = fake_data.changed(reply.body, reply.media_type, _blanking(blank, maker.replace))
        bodies[name] = blank(body.replace(base.encode(), tape.URL.encode()).decode()).encode()  # names, too
        exchanges[asked.key] = tape.Exchange(asked, reply.status, _media_type(reply, blank), name)
    return tape.Recording(connector.name, settings, [s.name for s in streams], list(exchanges.values())), bodies


def _blanking(blank: Change, leaf: fake_data.Leaf) -> fake_data.Leaf:
    return lambda path, value: leaf(path, blank(value) if isinstance(value, str) else value)


def _media_type(reply: Reply, blank: Change) -> str:
    """Return the media type without parameters: the vendor's charset is not that of what is written, which is UTF-8."""
    return replace(reply, headers={"content-type": blank(reply.headers.get("content-type", ""))}).media_type


def _file_name(number: int, reply: Reply) -> str:
    return f"{number:04}.{'xml' if reply.media_type.endswith('xml') else 'json'}"


def _names(connector: Connector, config: Config) -> fake_data.Names:
    names = fake_data.Names()
    for stream in connector.streams:
        names.add(schemas.load(connector.schemas, stream.schema or stream.name))
        rows = context.record_selector_of(stream, config)
        names.declared |= {name.lower() for path in (rows.path, *(v.path for v in rows.more.values())) for name in path}
        names.documents |= {stream.document.lower()} if stream.document else set()
    return names


def _settings(
    connector: Connector, config: Config, schema: schemas.Schema, maker: fake_data.MadeUp, blank: Change
) -> dict[str, Any]:
    """Return the settings that a replay needs: no secret, no address, no file, and nobody's name."""
    sandbox = connector.sandbox.config if connector.sandbox else {}
    described = schema["properties"]  # without those that are about streams that are not recorded
    return {
        name: _replayed(name, value, described[name], sandbox, maker, blank)
        for name, value in config.items()
        if name in described and name != "format" and not name.endswith(("_file", "_dir"))
    }


def _replayed(
    name: str, value: Any, setting: Mapping[str, Any], sandbox: Config, maker: fake_data.MadeUp, blank: Change
) -> Any:
    if setting.get("secret"):
        return sandbox.get(name, next(iter(setting.get("examples", ())), "recorded-without-secret"))
    if "://" in str(value):
        return tape.URL
    is_personal = value and setting.get("personal", bool(fake_data.PERSONAL.search(name)))
    if is_personal and isinstance(value, list):
        return [maker.text(str(item)) for item in value]
    return _changed(value, maker.text if is_personal else blank)


def _changed(value: Any, change: Change) -> Any:
    """Return a text, or a list of them, changed; anything else as it is."""
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _asked(request: Request, base: str, maker: fake_data.MadeUp, blank: Change) -> tape.Asked:
    def fit(text: str) -> str:
        return maker.mention(blank(text))

    path = "/" + request.path.removeprefix(base).lstrip("/")
    parts = [quote(fit(unquote(part)), safe="") for part in path.split("/")]
    params = {blank(name): fit(value) for name, value in request.params.items()}
    headers = {name.lower(): value for name, value in request.headers.items()}
    sent = fake_data.changed(request.body or b"", headers.get("content-type", ""), lambda _, v: _changed(v, fit))
    accept, body = blank(headers.get("accept", "")), blank(sent.decode())
    return tape.Asked(blank(request.method), blank("/".join(parts)), params, accept, body)
