"""What connectors and hooks say of themselves, for people and programs: out of declarations, schemas and hookspecs."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any

from vendortap.declare import model
from vendortap.declare.model import Connector, Limit, Parent, Stream
from vendortap.declare.paging import Stable
from vendortap.decode import schemas
from vendortap.plugins import hookspecs, host, validation
from vendortap.sync.readings import unique_by

Description = dict[str, Any]
"""A connector's streams and settings, as JSON has them."""

_DEFAULTS = {field.name: field.default for field in fields(Connector)}


def describe(connector: Connector) -> Description:
    """Return a connector's streams and settings, those that are required first.

    Raises:
        DeclarationError: see vendortap.decode.schemas.
    """
    schema = validation.settings(connector)
    required = schema["required"]
    return {
        "name": connector.name,
        "title": connector.title,
        "docs": connector.docs,
        "executable": f"tap-{connector.name}",
        "streams": [
            {"name": s.name, "title": s.title, "keys": list(s.keys), "replication_key": s.replication_key}
            for s in connector.streams
        ],
        "settings": [
            {
                "name": name,
                "type": setting["type"],
                "required": name in required,
                "secret": bool(setting.get("secret")),
                "assumed": bool(setting.get("assumed")),
                "default": setting.get("default"),
                "options": setting.get("enum"),
                "description": setting["description"],
            }
            for name, setting in sorted(schema["properties"].items(), key=lambda item: item[0] not in required)
        ],
    }


def minimal(connector: Connector) -> dict[str, Any]:
    """Return the least that a config file needs: what is required, and what a setting's schema gives examples of.

    Raises:
        DeclarationError: see vendortap.decode.schemas.
    """
    schema = validation.settings(connector)
    return {
        name: _placeholder(name, setting)
        for name, setting in schema["properties"].items()
        if name in schema["required"] or "examples" in setting
    }


def _placeholder(name: str, setting: Mapping[str, Any]) -> Any:
    return setting["examples"][0] if "examples" in setting else f"your {name.replace('_', ' ')}"


# --- Markdown ----------------------------------------------------------------------------------------


def markdown(connector: Connector, sandbox: Mapping[str, Any]) -> str:
    """Return a connector's page: streams, settings, limits, what is assumed, and configs to start from.

    ``sandbox`` are the settings that lead to the connector's sandbox (empty: it has none).

    Raises:
        DeclarationError: see vendortap.decode.schemas.
    """
    return "\n\n".join(_parts(connector, sandbox)) + "\n"


def _parts(connector: Connector, sandbox: Mapping[str, Any]) -> Iterator[str]:
    name = connector.name
    described = describe(connector)
    yield f"# {connector.title}"
    yield "<!-- Made by `make docs` from the declaration and its schemas. Do not edit. -->"
    yield f"Connector `{name}`, Singer tap `tap-{name}`. The vendor's documentation: <{connector.docs}>"
    yield "## Streams"
    yield _streams(connector)
    yield "## Settings"
    yield "Those in bold are required."
    yield _settings(described["settings"])
    yield "## Limits"
    yield _limit(connector)
    if paging := " ".join(_paging(connector)):
        yield "## Paging"
        yield paging
    if assumed := "\n\n".join(_assumed(connector, described["settings"])):
        yield "## Assumed, or not known"
        yield assumed
    yield "## Configuration"
    yield f"The least that `{name}.json` needs:"
    yield _block("json", json.dumps(minimal(connector), indent=2))
    yield _block("sh", f"vendortap check {name} --config {name}.json\n{_run(name, name)}")
    if sandbox:
        yield "## Sandbox"
        yield "No account is needed for this: a local server imitates the vendor. Let it run in one terminal,"
        yield _block("sh", f"vendortap sandbox {name}")
        yield "and run the tap in another, with this as `sandbox.json`:"
        yield _block("json", json.dumps(sandbox, indent=2))
        yield _block("sh", _run(name, "sandbox"))


def _run(name: str, files: str) -> str:
    """A file called like the schema would make DuckDB's names ambiguous, hence the names with a suffix."""
    return f"vendortap run {name} --config {files}.json --to {files}-invoices.duckdb"


def _streams(connector: Connector) -> str:
    rows = [
        [_code(s.name), s.title, ", ".join(map(_code, s.keys)), "; ".join(_replication(connector, s))]
        for s in connector.streams
    ]
    return _table(["stream", "what", "key", "replication"], rows)


def _replication(connector: Connector, stream: Stream) -> Iterator[str]:
    plan, parent = stream.plan, stream.parent
    yield _method(connector, stream)
    if plan.windows:
        yield f"in windows of {_code(plan.windows.days)}, from {_code(plan.windows.start)} on"
    if stream.replication_key and plan.lookback:
        setting = validation.settings(connector)["properties"][plan.lookback]
        yield f"each run looks back {_code(plan.lookback)}" + (
            f" ({setting['default']})" if "default" in setting else ""
        )
    if plan.each:
        yield f"each of {_code(plan.each[0])} by itself"
    if parent:
        others = f", or else those of {_code(parent.stream)}" if parent.stream else " only"
        yield f"one request a document: the configured ones{others}"
    if stream.document:
        yield f"`documents_dir` puts {_code(stream.document)} into files"
    if not stream.selected_by_default:
        yield "only where the setting `extra_streams` names it"


def _method(connector: Connector, stream: Stream) -> str:
    if stream.replication_key is None:
        return "full"
    method = f"incremental on {_code(stream.replication_key)}"
    if stream.plan.windows:
        return f"{method}, the end of a window"
    if stream.parent and stream.parent.stream:
        return f"{method}, which is {_changed(connector, stream.parent)}"
    return method


def _changed(connector: Connector, parent: Parent) -> str:
    stream = connector.stream(parent.stream or "")
    return f"{_code(parent.changed or stream.replication_key or '')} of {_code(stream.name)}"


def _settings(settings: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"**{_code(s['name'])}**" if s["required"] else _code(s["name"]),
            " or ".join(map(_code, choices(s))) + (", secret" if s["secret"] else ""),
            "" if s["default"] is None else _code(json.dumps(s["default"])),
            s["description"],
        ]
        for s in settings
    ]
    return _table(["setting", "type", "default", "what"], rows)


def choices(setting: Mapping[str, Any]) -> list[str]:
    """Return the options of a described setting, or else its types."""
    if setting["options"]:
        return list(map(str, setting["options"]))
    types = [setting["type"]] if isinstance(setting["type"], str) else setting["type"]
    return [kind for kind in types if kind != "null"]


def _limit(connector: Connector) -> str:
    limit = connector.limit
    if limit is None:
        return "None, unless `requests_per_second` sets one."
    sentences = [
        f"At most {_rate(limit)} on the average{', for each endpoint by itself' if limit.each_endpoint else ''}, "
        f"and {limit.burst} at once; retries and token calls count.",
        "`requests_per_second` and `burst` set other ones.",
    ]
    if limit.adaptive and connector.rate_limit is not _DEFAULTS["rate_limit"]:
        sentences.insert(1, "What the vendor's replies say of its limit is followed.")
    return " ".join(sentences)


def _rate(limit: Limit) -> str:
    if limit.rate < 1:
        return f"{limit.rate * 60:g} requests a minute"
    return f"{limit.rate:g} requests a second"


def _paging(connector: Connector) -> Iterator[str]:
    lists = [(stream, stream.pages) for stream in connector.streams if isinstance(stream.pages, Stable)]
    if not lists:
        return
    yield (
        "Without a number of pages or rows, or a token for the next page, a list ends with the empty page behind the "
        "last one: that is one request more for each list of several pages."
    )
    for stream, pages in lists:
        also, hides = "a page in the middle is shorter than others", "a row goes"
        if pages.total:
            also, hides = "the stated number of rows becomes smaller", "one row goes and another one comes"
        yield (
            f"{_code(stream.name)} is read again if the same {', '.join(map(_code, unique_by(stream)))} comes twice or "
            f"{also}, until "
            f"two readings in a row agree. What cannot be seen is that {hides} while the list is read."
        )


def _assumed(connector: Connector, settings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    marked = [f"- {_code(s['name'])}: {s['description']}" for s in settings if s["assumed"]]
    if marked:
        yield "What the vendor does not document, or documents in more than one way, is a setting:"
        yield "\n".join(marked)
    if more := schemas.load(connector.schemas, "config").get("description"):
        yield str(more)


# --- hooks -------------------------------------------------------------------------------------------

_HOOK_TYPES = ("Authorize", "Credentials", "Outgoing", "Sign", "Pager", "Page", "Decoder", "PageAction")
"""What hooks give and are given, beside the nouns of declarations."""
_HOOK_EXAMPLES = {
    "register_connector": ("tap-acme/tap_acme/__init__.py",),
    "register_auth_flows": ("hooks/vendortap_examples/hmac_auth.py",),
    "register_pagers": ("hooks/vendortap_examples/link_pager.py",),
    "register_decoders": ("hooks/vendortap_examples/csv_format.py", "hooks/vendortap_examples/x12_format.py"),
    "page_action": ("hooks/vendortap_examples/mask.py", "hooks/vendortap_examples/audit.py"),
}


def hooks_markdown() -> str:
    """Return the reference of all hooks: what they are called with, what they return, examples, and their types."""
    return "\n\n".join(_hook_parts()) + "\n"


def _hook_parts() -> Iterator[str]:
    first, _, rest = _prose(inspect.getdoc(hookspecs) or "").partition("\n\n")
    yield "# Hooks"
    yield "<!-- Made by `make docs` from vendortap.plugins.hookspecs and vendortap.declare.model. Do not edit. -->"
    yield first
    yield rest
    yield f"This is hook specification {model.HOOKSPEC_VERSION}."
    yield _block("python", f"HOOKSPEC_VERSION = {model.HOOKSPEC_VERSION}")
    specified = _definitions(hookspecs)
    for name, examples in _HOOK_EXAMPLES.items():
        function = getattr(hookspecs, name)
        group = host.GROUP if name == "register_connector" else host.HOOKS
        yield f"## {name}"
        yield _block("python", f"@hookimpl\n{specified[name]}")
        yield _prose(inspect.getdoc(function) or "")
        yield (
            f"Entry-point group: `{group}`. "
            + "Example: "
            + ", ".join(f"[{example.rpartition('/')[2]}](../examples/{example})" for example in examples)
        )
    yield "## Types"
    yield "All are in `vendortap.declare.model`."
    nouns = _definitions(model)
    for name in _HOOK_TYPES:
        yield f"### {name}"
        yield _block("python", nouns[name])


def _definitions(module: Any) -> dict[str, str]:
    """Return the source of what a module defines by name: of functions what they are called with, of all else all."""
    source = inspect.getsource(module)

    def written(node: ast.AST) -> str:
        return ast.get_source_segment(source, node) or ""

    found: dict[str, str] = {}
    for statement, following in pairwise([*ast.parse(source).body, ast.Pass()]):
        text = written(statement)
        if isinstance(statement, ast.FunctionDef):
            found[statement.name] = text.partition('\n    """')[0]
        elif isinstance(statement, ast.ClassDef):
            found[statement.name] = "\n".join((*(f"@{written(mark)}" for mark in statement.decorator_list), text))
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            is_described = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            found[statement.targets[0].id] = f"{text}\n{written(following)}" if is_described else text
    return found


def _prose(text: str) -> str:
    return text.replace("``", "`")


# --- parts of pages ----------------------------------------------------------------------------------


def _code(text: str) -> str:
    return f"`{text}`"


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(hooks_markdown())
