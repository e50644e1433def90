"""OpenAPI documents that mean harm, drawn from a seed, and what a project made of one may have in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from random import Random
from typing import Any

MARK = "/tmp/vendortap-was-run"  # noqa: S108 - where a payload would leave a trace
RUN = f"__import__('pathlib').Path('{MARK}').touch()"
TEXTS = (
    f'"""\n{RUN}\n"""',
    f'" + {RUN} + "',
    f"' + {RUN} + '",
    f'\\"""; {RUN} #',
    "\\",
    '\\"',
    f"{{{RUN}}}",
    f"{{{{ {RUN} }}}}{{% raw %}}",
    f"\n{RUN}\n",
    f"\r{RUN}\r\x0c\x1c\u2028\u2029\x85",
    f'"]\n[project.scripts]\nevil = "{RUN}"\n',
    f"- run: {RUN}\n# ${{{{ github.token }}}}: &a *a",
    f"""x"; COPY (SELECT 1) TO '{MARK}'; --""",
    f"""x") FROM t; COPY (SELECT 1) TO '{MARK}'; SELECT ("y""",
    "{schema}",
    "{url}",
    "{0.__class__}",
    "]]> <script>alert(1)</script> | [x](javascript:1) `",
    "\x00\x07\x1b[2J\x1b]0;owned\x07",
    "\u202eevil\u202c\u200b\ufeff",
    "\u2800\u3164evil\U0001d159",
    "\uff50\uff41\uff47\uff45\uff02\uff09\uff1b\uff45\uff56\uff41\uff4c",
    "日本語",
    "\U0001f4b8" * 3,
    "a" * 5_000,
    "",
    " ",
    ".",
    "..",
    "../../../etc/passwd",
    "class",
    "None",
    "__class__",
    "2fast",
    "config",
    "error",
    "first",
    "path",
    "base_url",
    "api_token",
    "ca_bundle",
    "_unknown",
    "xmlns",
    "xml:lang",
    "# -*- coding: utf-7 -*-",
    "fmt: off",
    "noqa",
)
BLANKS = {*"\u2800\u3164\U0001d159"}
WORDS = ("", "one", "two", "three", "four", "five", "a b", "c.d")
PAGING = ("page", "pageNumber", "limit", "size", "offset", "cursor", "next_token")
URLS = (
    f'https://x.example/"""\n{RUN}\n"""',
    "https://good.example@evil.example/",
    "https://x.example/\x00",
    "javascript:alert(1)",
    "https://x.example/{a}",
    "http://",
    "https://[::1",
)


def is_clear(text: str) -> bool:
    """Whether nothing in a text is unseen, as far as these documents have such characters."""
    return text.isprintable() and not BLANKS & {*text}


class Drawn:
    """One document: hostile in most places, sound enough to be drafted from in the others."""

    def __init__(self, seed: int, *, is_sound: bool = False) -> None:
        self.random = Random(seed)
        self.texts = WORDS if is_sound else TEXTS
        self.is_mild = seed % 3 == 0
        """Whether its properties have names of a kind that XML has, too."""

    def text(self) -> str:
        some = self.random.choices(self.texts, k=self.random.choice((1, 1, 1, 2)))
        return self.random.choice(("", "", "a ")) + "".join(some)

    def name(self) -> str:
        """A name: hostile alone, or with what makes it an amount, a page, a currency, a stamp."""
        kind = self.random.choice(("", "", "total", "currency", "page", "limit", "cursor", "updatedAt", "id"))
        if self.is_mild:
            return f"{kind}{self.random.randint(1, 10**9)}" if kind else f"Größe{self.random.randint(1, 10**9)}"
        return self.random.choice((self.text(), kind + self.text(), self.text() + kind, kind or "x"))

    def url(self) -> str:
        return self.random.choice((*URLS, self.text(), "https://x.example/v1"))

    def leaf(self) -> dict[str, Any]:
        kind = self.random.choice(("string", "number", "integer", "boolean", self.text()))
        return {
            "type": kind,
            "format": self.random.choice(("date-time", "date", "", self.text())),
            "title": self.text(),
            "description": self.text(),
            "enum": [self.text(), 1],
            "default": self.random.choice((self.text(), 1, True, None, 1e400)),
            "example": self.text(),
            "xml": {"name": self.name(), "attribute": self.random.random() < 0.3, "wrapped": True},
        }

    def member(self, depth: int) -> Any:
        form = self.random.choice(("leaf", "leaf", "object", "list")) if depth else "leaf"
        if form == "object":
            return {"type": "object", "xml": {"name": self.text()}, "properties": self.members(depth - 1)}
        if form == "list":
            items = self.member(depth - 1)
            return {"type": "array", "xml": {"name": self.text(), "wrapped": True}, "items": items}
        return self.leaf()

    def members(self, depth: int) -> dict[str, Any]:
        return {self.name(): self.member(depth) for _ in range(self.random.randint(1, 5))}

    def record(self) -> dict[str, Any]:
        sound = {"id": {"type": "string"}, "updated": {"type": "string", "format": "date-time"}}
        return {"type": "object", "xml": {"name": self.text()}, "properties": {**sound, **self.members(2)}}

    def parameter(self) -> dict[str, Any]:
        name = self.random.choice((self.name(), self.random.choice(PAGING) + self.text(), self.random.choice(PAGING)))
        return {
            "name": name,
            "in": self.random.choice(("query", "query", "header", "path")),
            "required": self.random.random() < 0.6,
            "description": self.text(),
            "schema": self.leaf(),
        }

    def answer(self, schema: Any) -> Any:
        kinds = ["application/json", *(["application/xml"] if self.random.random() < 0.5 else []), self.text()]
        return {"200": {"description": self.text(), "content": {kind: {"schema": schema} for kind in kinds}}}

    def get(self, schema: Any) -> Any:
        parameters = [self.parameter() for _ in range(self.random.randint(0, 5))]
        return {
            "operationId": self.text(),
            "summary": self.text(),
            "description": self.text(),
            "tags": [self.text()],
            "parameters": parameters,
            "responses": self.answer(schema),
        }

    def document(self) -> dict[str, Any]:
        """Return the document; one list in it is always at a path that can be asked for."""
        envelope = self.random.choice((self.name(), "rows"))
        rows: dict[str, Any] = {envelope: {"type": "array", "items": self.record()}}
        further = {"nextPageToken": {"type": "string"}, "totalCount": {"type": "integer"}, self.name(): self.leaf()}
        listed = {"type": "object", "properties": {**rows, **further}}
        paths = {"/rows": {"get": self.get(listed)}, "/rows/{id}": {"get": self.get(self.record())}}
        for _ in range(2):
            paths[f"/{self.text()}"] = {"get": self.get(listed)}
            paths[f"/{self.random.choice(('v1', 'a', ''))}/{{{self.text()}}}"] = {"get": self.get(self.record())}
        schemes = (
            {"type": "apiKey", "in": "header", "name": self.name()},
            {"type": "http", "scheme": self.random.choice(("basic", "bearer", self.text()))},
            {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": self.url(), "scopes": {self.text(): ""}}}},
        )
        return {
            "openapi": "3.0.0",
            "info": {"title": self.text(), "description": self.text(), "version": self.text()},
            "externalDocs": {"url": self.url(), "description": self.text()},
            "servers": [{"url": self.url(), "variables": {self.text(): {"default": self.text()}}}],
            "components": {"securitySchemes": {self.text(): self.random.choice(schemes)}},
            "paths": paths,
        }


# --- what Python may have in it ----------------------------------------------------------------------


def parts(tree: ast.AST, names: dict[str, str]) -> Iterator[str]:
    """Yield what a program is made of: each node in the one around it, with every name, call and f-string.

    Constants are left out but for their type. ``names`` are those of the draft: of its streams, settings and package.
    """

    class Renamed(ast.NodeTransformer):
        def generic_visit(self, node: ast.AST) -> ast.AST:
            for key, value in ast.iter_fields(node):
                if isinstance(value, str) and not isinstance(node, ast.Constant):
                    setattr(node, key, ".".join(names.get(part, part) for part in value.split(".")))
            return super().generic_visit(node)

    tree = Renamed().visit(tree)
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            yield f"{type(node).__name__} > {_part(child)}"


def _part(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return type(node.value).__name__
    if isinstance(node, ast.Call):
        return f"Call {ast.unparse(node.func)}"
    if isinstance(node, ast.FormattedValue):
        return f"FormattedValue {ast.unparse(node)}"
    told = (
        str(getattr(node, name)) for name in ("id", "attr", "arg", "name", "asname", "module") if hasattr(node, name)
    )
    return " ".join((type(node).__name__, *told))
