"""The GETs of an OpenAPI document, whichever version describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vendortap.scaffold import allowed
from vendortap.scaffold.document import Json
from vendortap.scaffold.spec import Spec, as_list, line

_EXAMPLES = 10
"""How many of an answer's examples are read."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation, whichever version describes it."""

    name: str
    where: str
    required: bool
    schema: Json


@dataclass(frozen=True, slots=True)
class Operation:
    """A GET: its path, parameters, and the schema of what it answers with."""

    path: str
    id: str
    title: str
    parameters: tuple[Parameter, ...]
    body: Any
    media_types: tuple[str, ...]
    examples: tuple[Any, ...]
    security: Any

    @property
    def key(self) -> str | None:
        """The last segment's parameter, if the operation asks for one document."""
        found = re.fullmatch(r".*/\{([^/{}]+)\}/?", self.path)
        return found[1] if found else None

    @property
    def has_xml(self) -> bool:
        """Whether one of the answer's media types is XML."""
        return any(kind.endswith("xml") for kind in self.media_types)

    def query(self) -> list[Parameter]:
        """Return the parameters of the query."""
        return [parameter for parameter in self.parameters if parameter.where == "query"]


def operations(spec: Spec) -> Iterator[Operation]:
    """Yield every GET of a document that is not deprecated."""
    paths = spec.document.get("paths")
    for path, raw_item in paths.items() if isinstance(paths, Mapping) else ():
        spec.look(f"GET {path}")
        item = spec.follow(raw_item)
        raw = item.get("get")
        if not isinstance(raw, Mapping) or raw.get("deprecated") is True:
            continue
        response = _response(spec, raw)
        body, media_types, examples = (
            _swagger_content(spec, response, raw) if spec.is_swagger else _content(spec, response)
        )
        yield Operation(
            str(path),
            line(raw.get("operationId")),
            line(raw.get("summary")) or line(raw.get("operationId")) or line(path),
            tuple(_parameters(spec, item, raw, f"the parameters of GET {path}")),
            body,
            media_types,
            examples,
            raw.get("security", spec.document.get("security")),
        )


def _response(spec: Spec, operation: Json) -> Json:
    """Return the answer of success, however its code is written."""
    responses = operation.get("responses")
    by_code = {str(code): raw for code, raw in responses.items()} if isinstance(responses, Mapping) else {}
    for code in ("200", "2XX", "2xx", "default"):
        if code in by_code:
            return spec.follow(by_code[code])
    return {}


def _swagger_content(spec: Spec, response: Json, operation: Json) -> tuple[Any, tuple[str, ...], tuple[Any, ...]]:
    produced = operation.get("produces", spec.document.get("produces", ["application/json"]))
    examples = spec.follow(response.get("examples"))
    in_json = [example for kind, example in examples.items() if "json" in str(kind)]
    return response.get("schema"), tuple(map(_media_type, as_list(produced))), tuple(in_json[:_EXAMPLES])


def _content(spec: Spec, response: Json) -> tuple[Any, tuple[str, ...], tuple[Any, ...]]:
    """Return the answer's schema, its media types and its examples in JSON."""
    content = {_media_type(kind): spec.follow(raw) for kind, raw in spec.follow(response.get("content")).items()}
    first = next(iter(content.values()), {})
    chosen = next((content[kind] for kind in content if kind.endswith("json") or kind == "*/*"), first)
    named = [spec.follow(raw).get("value") for raw in [*spec.follow(chosen.get("examples")).values()][:_EXAMPLES]]
    examples_json = [example for example in (chosen.get("example"), *named) if example is not None]
    return chosen.get("schema"), tuple(content), tuple(examples_json)


def _media_type(kind: Any) -> str:
    return str(kind).partition(";")[0].strip()


def _parameters(spec: Spec, item: Json, operation: Json, place: str) -> Iterator[Parameter]:
    """Yield the parameters of a path and its operation that have a name; the latter count for more."""
    found: dict[tuple[str, str], Parameter] = {}
    for raw in [*as_list(item.get("parameters")), *as_list(operation.get("parameters"))]:
        spec.look(place)
        parameter = spec.follow(raw)
        name, where = str(parameter.get("name", "")), str(parameter.get("in", ""))
        if not allowed.is_plain(name):
            continue
        described = parameter if spec.is_swagger else spec.follow(parameter.get("schema"))
        required = parameter.get("required") is True or where == "path"
        text = {"description": line(parameter.get("description"))}
        found[name, where] = Parameter(name, where, required, {**described, **text})
    yield from found.values()
