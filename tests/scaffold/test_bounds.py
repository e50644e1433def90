"""Small files that stand for large ones, and nested ones: each ends soon, in an error that names the place."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vendortap.errors import DeclarationError, UsageError
from vendortap.scaffold import document, infer, new, openapi, spec

SECONDS = 30
MEMORY = 500 << 20
"""Bytes that this process may grow by."""


@contextmanager
def bounded() -> Iterator[None]:
    """Hold what is done inside to a time and to an amount of memory."""
    unit = 1 if sys.platform == "darwin" else 1024
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.monotonic() - started < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < MEMORY


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def of_schemas(schemas: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A document of one list, whose records have the schema S0 in them."""
    record = {"type": "object", "properties": {"id": {"type": "string"}, "deep": ref("S0")}}
    answer = {"200": {"content": {"application/json": {"schema": {"type": "array", "items": record}}}}}
    paths = {"/rows": {"get": {"responses": answer, **more}}}
    return {"openapi": "3.0.0", "paths": paths, "components": {"schemas": schemas}}


def chain(length: int, link: Any) -> dict[str, Any]:
    """Schemas of which each is made of the next by ``link``."""
    return {f"S{number}": link(ref(f"S{number + 1}")) for number in range(length)} | {f"S{length}": {"type": "string"}}


FANS: dict[str, Callable[[Any], Any]] = {
    "properties": lambda inner: {"type": "object", "properties": dict.fromkeys("abcdefgh", inner)},
    "items": lambda inner: {"type": "object", "properties": {"a": {"items": inner}, "b": {"items": inner}}},
    "allOf": lambda inner: {"allOf": [inner, inner, inner]},
    "anyOf": lambda inner: {"anyOf": [inner, {"oneOf": [inner, inner]}]},
    "both": lambda inner: {"allOf": [inner, {"type": "object", "properties": {"a": inner}}]},
}


@pytest.mark.promise("References that multiply, and references in circles, are refused soon and by their place")
@pytest.mark.parametrize("kind", ["properties", "items"])
def test_references_that_multiply_are_refused_by_their_place(kind: str) -> None:
    with (
        bounded(),
        pytest.raises(UsageError, match=r"more than 100,000 places.*\$\S*\.deep\S* in the answer of GET /rows"),
    ):
        openapi.draft(of_schemas(chain(20, FANS[kind])), "acme")


def drafted(document: dict[str, Any]) -> tuple[list[str], str]:
    """Return the comments of a draft, or why there is none."""
    try:
        vendor = openapi.draft(document, "acme")
    except UsageError as error:
        return [], str(error)
    return [comment for stream in vendor.streams for comment in stream.comments], ""


@pytest.mark.parametrize("kind", FANS)
def test_references_in_circles_are_left_out_or_refused(kind: str) -> None:
    schemas = {f"S{number}": FANS[kind](ref(f"S{(number + 1) % 12}")) for number in range(12)}
    with bounded():
        comments, refused = drafted(of_schemas(schemas))
    assert "in the answer of GET /rows" in refused or any(spec.SELF in comment for comment in comments)


@pytest.mark.parametrize(
    "link", [lambda inner: inner, lambda inner: {"allOf": [inner]}, lambda inner: {"items": inner}]
)
def test_a_long_chain_of_references_is_refused_by_its_place(link: Any) -> None:
    with bounded(), pytest.raises(UsageError, match=r"nested more than 60 levels deep.*\$\S*\.deep"):
        openapi.draft(of_schemas(chain(5_000, link)), "acme")


def test_members_that_are_merged_again_and_again_are_counted() -> None:
    wide = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(5_000)}}
    schemas = {"S0": {"allOf": [ref("Wide")] * 5_000}, "Wide": wide}
    with bounded(), pytest.raises(UsageError, match=r"more than 100,000 places.*\$\[\]\.deep"):
        openapi.draft(of_schemas(schemas), "acme")


def test_long_texts_that_many_places_have_are_cut_before_they_are_read() -> None:
    long = {"description": "a " * 500_000, "example": "1" * 1_000_000, "type": "string", "enum": ["x"] * 100_000}
    wide = {"type": "object", "properties": {f"p{number}": ref("Long") for number in range(5_000)}}
    with bounded():
        openapi.draft(of_schemas({"S0": wide, "Long": long}), "acme")


def test_many_operations_that_share_one_schema_are_refused() -> None:
    made = of_schemas({"S0": {"type": "string"}})
    made["paths"] = {f"/rows{number}": made["paths"]["/rows"] for number in range(20_000)}
    with bounded(), pytest.raises(UsageError, match=r"more than 200 GETs .* choose some with --match"):
        openapi.draft(made, "acme")


BOMBS = {
    "aliases": "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
    "texts": f"t: &t {'x' * 100_000}\n" + "many: [" + "*t, " * 2_000 + "]\n",
    "merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n}\n  !!merge <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)),
    "circle": "a: &a {b: {c: *a}}\n",
    "depth": "a: " + "[" * 200 + "]" * 200 + "\n",
    "abyss": "a: " + "[" * 100_000 + "\n",
    "tag": "a: !!binary aGk=\n",
    "date": "a: !!timestamp 2025-01-01\n",
}


@pytest.mark.promise("A YAML document is refused where its aliases stand for more than can be read")
@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_stands_for_a_large_document_is_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(f"openapi: 3.0.0\n{BOMBS[kind]}", encoding="utf-8")
    with (
        bounded(),
        pytest.raises(
            UsageError, match=r"the OpenAPI document .* (is too large|is nested|is neither|cannot be read|has)"
        ),
    ):
        openapi.draft(document.load(file), "acme")


def test_aliases_of_a_usual_size_are_followed(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("openapi: 3.0.0\na: &a {b: 1}\nc: [*a, *a]\n", encoding="utf-8")
    assert document.load(file)["c"] == [{"b": 1}, {"b": 1}]


# --- samples and schemas -----------------------------------------------------------------------------


def nested(levels: int, *, lists: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if lists else {"a": value}
    return value


SAMPLES: dict[str, bytes] = {
    "deep": json.dumps({"number": "A", "deep": nested(200)}).encode(),
    "deep-lists": json.dumps({"number": "A", "deep": nested(200, lists=True)}).encode(),
    "abyss": b"[" * 1_000_000,
    "wide": json.dumps({f"n{number}": 1 for number in range(200_000)}).encode(),
    "deep-xml": b"<a>" * 200 + b"</a>" * 200,
    "wide-xml": b"<r>" + b"".join(b"<n%d>1</n%d>" % (number, number) for number in range(20_000)) + b"</r>",
    "attributes": b"<r " + b" ".join(b'n%d="1"' % number for number in range(20_000)) + b"><a/></r>",
}


@pytest.mark.promise("Samples that are too deep or too wide for a record are refused soon")
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_sample_that_is_too_deep_or_too_wide_is_refused(kind: str, tmp_path: Path) -> None:
    file = tmp_path / kind
    file.write_bytes(SAMPLES[kind])
    with bounded(), pytest.raises(UsageError, match=rf"the sample {kind}"):
        new.vendor("acme", samples=[file])


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_wide_sample_is_drafted_in_a_bounded_time(form: str) -> None:
    names = [f"n{number}" for number in range(1_900)]
    in_json = json.dumps({"number": "A", **dict.fromkeys(names, 1)}).encode()
    in_xml = f"<r><number>A</number>{''.join(f'<{name}>1</{name}>' for name in names)}</r>".encode()
    samples = [infer.Sample("sample", f"application/{form}", in_xml if form == "xml" else in_json)]
    with bounded():
        found = infer.infer([*samples, infer.Sample("both", "application/json", in_json)])
    assert len(found.schema["properties"]) == 1_901


@pytest.mark.parametrize("levels", [30, 2_000])
def test_a_schema_whose_references_multiply_is_not_widened(levels: int) -> None:
    properties = {name: {"$ref": "#/$defs/S1"} for name in "abcdefgh"}
    defs = {f"S{n}": {"type": "object", "properties": _twice(n + 1)} for n in range(1, levels)}
    existing = {
        "type": "object",
        "properties": properties,
        "$defs": {**defs, f"S{levels}": {"type": ["object", "null"]}},
    }
    sample = infer.Sample("sample", "application/json", b'{"z": 1}')
    with bounded(), pytest.raises(DeclarationError, match=r"at \$.*(places|deeply|either required)"):
        infer.infer([sample], rows=(), existing=existing)


def _twice(number: int) -> dict[str, Any]:
    return {name: {"$ref": f"#/$defs/S{number}"} for name in "ab"}
