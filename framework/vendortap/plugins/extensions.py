"""What plugins bring through hooks beside connectors: auth flows and pagers by name, decoders, page actions.

Such plugins are modules that entry points of the group ``vendortap.plugins`` name (vendortap.plugins.hookspecs). Each
is loaded by itself, and whatever its code raises is told with the plugin and the hook; the pipeline adds connector and
stream. A plugin that is installed and cannot be loaded stops a run, as what it was to mask would show: it has to
be mended, uninstalled, or switched off by the setting ``plugins``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vendortap.declare.model import (
    Authorize,
    Config,
    Connector,
    Credentials,
    Decoder,
    Node,
    Outgoing,
    Page,
    PageAction,
    Pager,
    Record,
    Reply,
    Request,
    Sign,
)
from vendortap.decode import json as json_format
from vendortap.decode.structs import as_dict
from vendortap.errors import BodyError, ConfigError, DeclarationError, PluginError, VendortapError
from vendortap.plugins import host
from vendortap.plugins.host import Plugin
from vendortap.support.numbers import is_short
from vendortap.support.redact import shown

if TYPE_CHECKING:
    from pluggy import PluginManager

# --- the installed plugins ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin that has been imported, and what it brings; ``manager`` has its implementation of ``page_action``."""

    plugin: Plugin
    manager: PluginManager
    auth_flows: Mapping[str, Callable[..., Authorize]]
    pagers: Mapping[str, Callable[..., Pager]]
    decoders: Mapping[str, Decoder]

    @property
    def who(self) -> str:
        """What messages call it."""
        return f"plugin {self.plugin.name!r} of {self.plugin.distribution}"


def problems() -> Mapping[str, str | None]:
    """Load every plugin of hooks; returns the reason why each is broken, or ``None``."""
    return host.problems_of(host.find(host.HOOKS), _load)


def _load(plugin: Plugin) -> LoadedPlugin:
    """Import a plugin and ask what it brings.

    Raises:
        PluginError: with its distribution, and the way to do without it.
    """
    try:
        return _loaded_plugin(plugin)
    except VendortapError as error:
        raise PluginError(
            f"plugin {plugin.name!r} of {plugin.distribution} cannot be used: {error}. Mend it, uninstall it, or "
            f"switch it off with the setting 'plugins': {{{plugin.name!r}: false}}"
        ) from error


@lru_cache(maxsize=64)
def _loaded_plugin(plugin: Plugin) -> LoadedPlugin:
    manager = host.registered(plugin)
    hooks = host.implemented(manager)
    if not hooks:
        raise PluginError(f"{plugin.entry_point.value} implements no hook")
    if "register_connector" in hooks:
        raise PluginError(
            "it implements register_connector, which is called only in modules that an entry point of the group "
            f"{host.GROUP} names"
        )
    formats = _named(manager, "register_decoders")
    for media_type in formats:
        if media_type != media_type.lower() or ";" in media_type or media_type.endswith(("json", "xml")):
            raise PluginError(
                f"it brings the format {media_type!r}; a media type is in lower case and without parameters, "
                "and JSON and XML are vendortap's own"
            )
    return LoadedPlugin(
        plugin, manager, _named(manager, "register_auth_flows"), _named(manager, "register_pagers"), formats
    )


def _named(manager: PluginManager, hook: str) -> Mapping[str, Any]:
    """Ask a plugin for what it brings by name."""
    found: dict[str, Any] = {}
    for result in host.guarded(f"calling {hook}", getattr(manager.hook, hook)):
        if not isinstance(result, Mapping) or not all(isinstance(k, str) and callable(v) for k, v in result.items()):
            raise PluginError(f"{hook} returned something else than functions by name")
        found |= result
    return found


@contextmanager
def _blaming(who: str, what: str) -> Iterator[None]:
    """Tell whatever a plugin's code raises as its own fault; not its text, which may hold data or a secret."""
    try:
        yield
    except VendortapError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise PluginError(
            f"{who}: {what} raised {type(error).__name__} ({Path(place.filename).name}, line {place.lineno}); "
            "report it to the plugin's author"
        ) from None


# --- auth flows and pagers ---------------------------------------------------------------------------


def auth_flow(name: str, *arguments: Any, **options: Any) -> Authorize:
    """Return the auth flow that a plugin brings under a name, made with the arguments; for declarations.

    Raises:
        DeclarationError: no installed plugin brings one of that name, or more than one does.
        PluginError: the plugin is broken.
    """
    who, what, flow = _made("auth flow", name, lambda plugin: plugin.auth_flows, arguments, options)

    def authorize(config: Config) -> Generator[Any, Any, Credentials]:
        with _blaming(who, what):
            credentials = yield from flow(config)
        if not isinstance(credentials, Credentials):
            raise PluginError(f"{who}: {what} returned {type(credentials).__name__}, not Credentials")
        return replace(credentials, sign=_signing(who, what, credentials.sign))

    return authorize


def _signing(who: str, what: str, sign: Sign | None) -> Sign | None:
    if sign is None:
        return None

    def signed(request: Outgoing) -> Mapping[str, str]:
        with _blaming(who, f"the signature of {what}"):
            return sign(request)

    return signed


def pager(name: str, *arguments: Any, **options: Any) -> Pager:
    """Return the pager that a plugin brings under a name, made with the arguments; for declarations.

    Raises:
        DeclarationError: no installed plugin brings one of that name, or more than one does.
        PluginError: the plugin is broken.
    """
    who, what, pages = _made("pager", name, lambda plugin: plugin.pagers, arguments, options)

    def ask(request: Request, config: Config) -> Generator[Request, Page, None]:
        with _blaming(who, what):
            yield from pages(request, config)

    return ask


def _made(
    kind: str, name: str, of: Callable[[LoadedPlugin], Mapping[str, Any]], arguments: Any, options: Any
) -> tuple[str, str, Callable[..., Any]]:
    """Return who brings what is of that name, what to call it, and what is made of it."""
    loaded = list(map(_load, host.find(host.HOOKS).values()))
    having = [one for one in loaded if name in of(one)]
    if len(having) > 1:
        raise DeclarationError(f"the {kind} {name!r} is brought by {' and by '.join(b.who for b in having)}")
    if not having:
        known = ", ".join(sorted(chain.from_iterable(map(of, loaded)))) or "none"
        raise DeclarationError(f"no installed plugin brings the {kind} {name!r}; there are: {known}")
    who, make, what = having[0].who, of(having[0])[name], f"its {kind} {name!r}"
    made = host.guarded(f"{who}: making {what}", lambda: make(*arguments, **options))
    if not callable(made):
        raise PluginError(f"{who}: making {what} gave {type(made).__name__}, not a function")
    return who, what, made


# --- decoders and page actions -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Format:
    """A format, and who brings it."""

    who: str
    media_type: str
    read: Decoder

    def as_json(self, reply: Reply) -> Reply:
        """Return the same reply in JSON, which then goes the way of all JSON, into the quarantine too.

        Raises:
            BodyError: the body is not of the format.
            PluginError: the plugin fails, or gives a float or something else that JSON as vendortap reads it has not.
        """
        what = f"its format {self.media_type!r}"
        with _blaming(self.who, what):
            try:
                document = self.read(reply)
            except ValueError as error:
                raise BodyError(
                    f"the answer is not the {self.media_type} it is declared to be ({shown(str(error))}); it may have "
                    "been cut short: run again, and report it to the vendor if it stays"
                ) from None
        if (kind := _foreign(document)) is not None:
            raise PluginError(f"{self.who}: {what} gave a {kind}; numbers are Decimal or int, all else is as in JSON")
        headers = {**reply.headers, "content-type": "application/json"}
        return replace(reply, headers=headers, body=json_format.dumps(document))


_PLAIN = (str, Decimal, int, bool, type(None))


def _foreign(value: Any) -> str | None:
    """Return the name of a type inside a document that may not be there."""
    kinds: Iterator[str | None]
    if isinstance(value, dict):
        kinds = (_foreign(member) if isinstance(name, str) else "key" for name, member in value.items())
    elif isinstance(value, list):
        kinds = map(_foreign, value)
    else:
        return None if isinstance(value, _PLAIN) else type(value).__name__
    return next(filter(None, kinds), None)


@dataclass(frozen=True, slots=True)
class Actions:
    """What plugins do with the pages of one stream, in the order of their names; ``node`` is the stream's schema."""

    node: Node
    actions: Sequence[tuple[str, PageAction]]

    @property
    def alters(self) -> bool:
        """Whether records may be changed, so that they have to be dicts of typed values."""
        return any(action.alters for _, action in self.actions)

    def act(self, records: list[Record]) -> None:
        """Take all actions on the records of a page.

        Raises:
            PluginError: one fails, or leaves behind what its stream's schema does not have.
        """
        if self.alters:
            records[:] = map(as_dict, records)
        for who, action in self.actions:
            count = len(records)
            with _blaming(who, "page_action"):
                action.act(records)
            if len(records) != count:
                raise PluginError(
                    f"{who}: page_action made {len(records)} records of {count}; it may change values only"
                )
            if action.alters:
                self._check(who, records)

    def _check(self, who: str, records: Sequence[Record]) -> None:
        for record in records:
            if (place := _unfit(record, self.node)) is not None:
                raise PluginError(f"{who}: page_action left something at ${place} that the schema does not have there")

    def end(self) -> None:
        """Tell all that the stream is over.

        Raises:
            PluginError: one fails.
        """
        for who, action in self.actions:
            with _blaming(who, "the end of page_action"):
                action.end()


TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (Decimal,),
    "integer": (int,),
    "boolean": (bool,),
    "date-time": (datetime,),
    "date": (date,),
}
"""What a value of each kind is in Python."""


def _unfit(value: Any, node: Node) -> str | None:
    """Return the path of the first value that its schema does not have; the type itself counts, no subclass."""
    if not _fits(value, node):
        return ""
    if not isinstance(value, dict | list):
        return None
    inner = _inner(value, node)
    return next((f"{place}{found}" for place, v, member in inner if (found := _unfit(v, member)) is not None), None)


def _fits(value: Any, node: Node) -> bool:
    """Whether a value itself is of its schema; an amount is finite and not too long, a date-time has an offset."""
    if value is None:
        return node.nullable
    if node.kind not in TYPES:
        return True
    if type(value) not in TYPES[node.kind]:
        return False
    if isinstance(value, Decimal | int):
        return is_short(value)
    if isinstance(value, dict):
        return value.keys() == node.fields.keys()
    return not isinstance(value, datetime) or value.tzinfo is not None


def _inner(value: dict[str, Any] | list[Any], node: Node) -> Iterator[tuple[str, Any, Node]]:
    """Yield the members or items of a value that its schema describes, each with its place."""
    if isinstance(value, dict):
        yield from ((f".{name}", value[name], member) for name, member in node.fields.items())
    elif node.item is not None:
        for index, item in enumerate(value):
            yield f"[{index}]", item, node.item


@dataclass(frozen=True, slots=True)
class Extensions:
    """What the installed plugins do in one connector's run: decoders by media type, actions by stream."""

    formats: Mapping[str, Format] = field(default_factory=dict)
    actions: Mapping[str, Actions] = field(default_factory=dict)

    def alter(self, stream: str) -> bool:
        """Whether the records of a stream may be changed."""
        return stream in self.actions and self.actions[stream].alters


def extensions(connector: Connector, config: Config, nodes: Mapping[str, Node]) -> Extensions:
    """Ask the installed plugins what they do in a run. ``nodes`` are the streams' schemas, as records have them.

    Raises:
        ConfigError: the setting ``plugins`` names one that is not installed.
        PluginError: a plugin that is not switched off cannot be used, or two bring the same format.
    """
    options = config.get("plugins") or {}
    formats: dict[str, Format] = {}
    actions: dict[str, list[tuple[str, PageAction]]] = {}
    for loaded in _switched_on(options):
        for media_type, read in loaded.decoders.items():
            if media_type in formats:
                raise PluginError(
                    f"the format {media_type!r} is brought by {formats[media_type].who} and by {loaded.who}"
                )
            formats[media_type] = Format(loaded.who, media_type, read)
        for name, action in _actions(loaded, connector, options.get(loaded.plugin.name) or {}):
            actions.setdefault(name, []).append((loaded.who, action))
    return Extensions(formats, {name: Actions(nodes[name], acting) for name, acting in actions.items()})


def _switched_on(options: Mapping[str, Any]) -> list[LoadedPlugin]:
    """Load the installed plugins that the setting ``plugins`` does not switch off."""
    found = host.find(host.HOOKS)
    for name in options:
        if name not in found:
            known = ", ".join(found) or "none"
            raise ConfigError(f"the setting 'plugins' names {name!r}, which is not installed; installed: {known}")
    return [_load(plugin) for name, plugin in found.items() if options.get(name) is not False]


def _actions(
    loaded: LoadedPlugin, connector: Connector, options: Mapping[str, Any]
) -> Iterator[tuple[str, PageAction]]:
    """Ask a plugin what it does with the pages of each stream."""
    for stream in connector.streams:
        with _blaming(loaded.who, f"page_action, asked for {stream.name},"):
            results = loaded.manager.hook.page_action(connector=connector, stream=stream, options=options)
        for action in results:
            if not isinstance(action, PageAction):
                raise PluginError(f"{loaded.who}: page_action returned {type(action).__name__}, not a PageAction")
            yield stream.name, action
