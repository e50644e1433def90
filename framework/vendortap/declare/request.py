"""Builders of a stream's request, and of values that depend on the settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from vendortap.declare.model import Build, Config, Request, Setting, is_xml
from vendortap.errors import ConfigError, MissingError

_PLACE = re.compile(r"\{(\w+)\}")
_OTHER_PLACES = ("", ".", "..")
"""Segments that clients, proxies and servers remove, dots in percent-encoding too (RFC 3986, 6.2.2)."""
_NAMESPACES = {
    "@xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "@xmlns:xsd": "http://www.w3.org/2001/XMLSchema",
}


def get(path: str | Setting, **params: str) -> Build:
    """Build a GET.

    ``{name}`` in the path and in the values of query ``params`` stands for a slice's param, or else for a
    setting. Path segments are percent-encoded, and a value that would leave its segment all the same is refused; a
    query parameter that stands for a null is left out. The path as it is given, or what the settings choose, is the
    request's endpoint.
    """

    def build(config: Config, slice_: Mapping[str, str]) -> Request:
        values = {**config, **slice_}
        endpoint = path if isinstance(path, str) else path(config)
        filled = {k: v for k, v in _fill(params, values).items() if v is not None}
        return Request("GET", _fill_path(endpoint, config, slice_), filled, endpoint=endpoint)

    return build


def post(
    path: str,
    document: Mapping[str, Any],
    *,
    media_type: Setting = lambda _: "application/json",
    xml_root: str = "",
) -> Build:
    """Build a POST that reads.

    A text ``{name}`` in the path or the document stands for a slice's param, or else for a setting; in the document
    in its own type, null where there is none. Where the settings choose XML, the document is the content of
    ``xml_root``, with the two namespace declarations that ASP.NET's own samples have.
    """

    def build(config: Config, slice_: Mapping[str, str]) -> Request:
        values = {**config, **slice_}
        chosen: str = media_type(config)
        content = _fill_document(document, values)
        if is_xml(chosen):
            content = {xml_root: {**_NAMESPACES, **content}}
        headers = {"Content-Type": chosen}
        return Request("POST", _fill_path(path, config, slice_), headers=headers, document=content, endpoint=path)

    return build


def choose(setting: str, **builds: Build) -> Build:
    """Build the request that belongs to a setting's value, for vendors with more than one form of a call."""
    return lambda config, slice_: builds[config[setting]](config, slice_)


def setting(name: str, default: Any = None) -> Setting:
    """Return the value of a setting."""
    return lambda config: default if config.get(name) is None else config[name]


def by(name: str, values: Mapping[str, Any]) -> Setting:
    """Return the value that belongs to a setting's value."""
    return lambda config: values[config[name]]


def first(*settings: Setting) -> Setting:
    """Return the first value that is not null.

    Raises (the result):
        ConfigError: none is set.
    """

    def find(config: Config) -> Any:
        for value in (choice(config) for choice in settings):
            if value is not None:
                return value
        raise ConfigError("none of the settings that could give this value is set")

    return find


def _fill_path(path: str, config: Config, slice_: Mapping[str, str]) -> str:
    """Fill the places of a path.

    Raises:
        ConfigError: a setting is missing, or cannot be a path segment.
        MissingError: a key cannot be one, so the vendor cannot be asked for what has it.
    """
    values = {**config, **slice_}

    def segment(found: re.Match[str]) -> str:
        if values.get(found[1]) is None:
            raise ConfigError(f"the setting {found[1]!r} is missing; the path {path} needs it")
        return quote(_text(values[found[1]]), safe="")

    filled = _PLACE.sub(segment, path)
    for template, part in zip(path.split("/"), filled.split("/"), strict=True):
        if part != template and part in _OTHER_PLACES:
            _refuse_segment(part, _PLACE.findall(template), path, slice_)
    return filled


def _refuse_segment(part: str, names: list[str], path: str, slice_: Mapping[str, str]) -> None:
    why = f"{part!r} cannot be a segment of the path {path}: it would lead to another place"
    if any(name in slice_ for name in names):
        raise MissingError(f"the key {why}; ask the vendor how to get this document")
    raise ConfigError(f"the setting {names[0]!r}: {why}; correct it")


def _fill_document(part: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(part, Mapping):
        return {name: _fill_document(member, values) for name, member in part.items()}
    if isinstance(part, list):
        return [_fill_document(item, values) for item in part]
    if not isinstance(part, str):
        return part
    whole = _PLACE.fullmatch(part)
    return values.get(whole[1]) if whole else _fill_one(part, values)


def _fill(params: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str | None]:
    return {name: _fill_one(template, values) for name, template in params.items()}


def _fill_one(template: str, values: Mapping[str, Any]) -> str | None:
    if any(values.get(name) is None for name in _PLACE.findall(template)):
        return None
    return _PLACE.sub(lambda found: _text(values[found[1]]), template)


def _text(value: Any) -> str:
    """JSON's spelling of booleans, which vendors' query strings use too."""
    return str(value).lower() if isinstance(value, bool) else str(value)
