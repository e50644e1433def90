"""Writes a plugin project: a drafted vendor through the template that lies beside this module.

The template has the words, this module the code in them: it turns a Vendor into the source of its declaration, of its
sandbox and of its settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vendortap.decode import schemas
from vendortap.duckdb.columns import quote
from vendortap.errors import UsageError
from vendortap.scaffold import allowed, fake_data, layout, schema, source
from vendortap.scaffold.vendor import Auth, DraftStream, Listed, Pages, SignIn, Vendor
from vendortap.support.extras import require

LICENSES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "none": ""}
"""What a project can be licensed under: option → SPDX identifier."""
JSON_ONLY = "Left out: XML, which cannot have all names of the records, or has them in more than one form."
_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = {"vendortap", "demo"}


def check_name(name: str) -> None:
    """Check that a connector can be called so.

    Raises:
        UsageError: it cannot.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise UsageError(
            f"{name!r} cannot be a connector's name: lower-case letters and digits, joined by hyphens, can"
        )


def fitting(vendor: Vendor) -> Vendor:
    """Return the vendor in those formats that can have all of its names, and say so where XML cannot."""
    if not _has_xml(vendor) or all(map(_fits_xml, vendor.streams)):
        return vendor
    return replace(vendor, formats=("json",), comments=(*vendor.comments, JSON_ONLY))


def _fits_xml(stream: DraftStream) -> bool:
    """Whether a sandbox can write a stream's records as XML."""
    form = fake_data.XmlForm()
    form.add(stream.schema)
    return not form.clash and all(map(allowed.is_of_xml, filter(None, (stream.item, stream.root, *stream.rows))))


def write(vendor: Vendor, folder: Path, license_name: str = "apache-2.0") -> list[Path]:
    """Write the project of a vendor into a folder that does not exist yet, or is empty; returns its files.

    Raises:
        UsageError: there is something in the folder, or it cannot be made.
        DeclarationError: a drafted schema cannot be honoured.
        VendortapError: the extra 'new' is not installed.
    """
    require("new", "a new project", "jinja2", "ruff")
    check_name(vendor.name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and not an empty folder; name another")
    vendor = fitting(vendor)
    values = context(vendor) | {"license": LICENSES[license_name]}
    for stream in vendor.streams:
        schemas.compile_record(stream.schema, stream.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        project = Path(place) / "project"  # moved to its place in one step, once it is whole
        for name, text in _files(vendor, values, license_name):
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        layout.tidy(project)
        if folder.exists():
            folder.rmdir()
        project.rename(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _files(vendor: Vendor, values: Mapping[str, Any], license_name: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a project: path and text. In the template's paths, ``package`` stands for its name."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - what is written is no HTML; the values are literals already
        loader=PackageLoader("vendortap.scaffold", "template"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"text": source.text, "docstring": source.docstring, "markdown": source.markdown}
    package = values["package"]
    paths = {"package": package, "test_package.py": f"test_{package.removeprefix('tap_')}.py"}
    for name in environment.list_templates(filter_func=lambda name: name.startswith("project/")):
        parts = name.removeprefix("project/").removesuffix(".jinja").split("/")
        yield "/".join(paths.get(part, part) for part in parts), environment.get_template(name).render(values)
    for name, document in documents(vendor).items():
        yield f"{package}/schemas/{name}.json", layout.dumps(document)
    if values["license"]:
        yield "LICENSE", environment.get_template(f"licenses/{license_name}.jinja").render(values)


def context(vendor: Vendor) -> dict[str, Any]:
    """Return what the template fills in."""
    package = f"tap_{vendor.name.replace('-', '_')}"
    return {
        "name": vendor.name,
        "title": vendor.title,
        "docs": vendor.docs,
        "distribution": f"tap-{vendor.name}",
        "package": package,
        "constant": vendor.name.replace("-", "_").upper(),
        "summary": " and ".join(stream.name for stream in vendor.streams[:2]),
        "formats": [form.upper() for form in vendor.formats],
        "streams": [{"name": one.name, "title": one.title, "keyed": one.keyed is not None} for one in vendor.streams],
        "declaration": declaration(vendor, package),
        "comments": source.comments(vendor.comments),
        "headers": _headers(vendor),
        "reads_config": bool(vendor.headers),
        **_sandbox(vendor),
        **_tests(vendor),
    }


# --- the declaration ---------------------------------------------------------------------------------

_PAGERS = {"page-number": "page_number", "offset": "offset", "row-offset": "row_offset", "token": "token"}
_FLOWS = {"bearer": "bearer", "api-key": "api_key", "basic": "basic", "oauth2-client": "client_credentials"}


def declaration(vendor: Vendor, package: str) -> str:
    """Return the source of the Connector."""
    sandbox = source.call(
        "Sandbox",
        f'app="{package}.sandbox:app"',
        f"config={source.members({name: _literal(value) for name, value in _sandbox_config(vendor).items()})}",
        f"totals={source.text(_totals(vendor))}",
        spread=True,
    )
    return source.call(
        "Connector",
        f"name={source.text(vendor.name)}",
        f"title={source.text(vendor.title)}",
        f"docs={source.text(vendor.docs)}",
        f'schemas="{package}.schemas"',
        'base_url=setting("base_url")',
        f"auth=({', '.join(map(_flow, vendor.auth))},)" if vendor.auth else "",
        'accept=by("format", {"json": "application/json", "xml": "application/xml"})' if _has_xml(vendor) else "",
        "headers=request_headers" if vendor.headers or vendor.unique_headers else "",
        "limit=Limit(rate=5, burst=5)",
        f"streams=({', '.join(_stream(stream, xml=_has_xml(vendor)) for stream in vendor.streams)},)",
        f"sandbox={sandbox}",
        spread=True,
    )


def _has_xml(vendor: Vendor) -> bool:
    return "xml" in vendor.formats


def _stream(stream: DraftStream, *, xml: bool) -> str:
    call = source.call(
        "Stream",
        f"name={source.text(stream.name)}",
        f"title={source.text(stream.title)}",
        f"request={_request(stream)}",
        _rows(stream, xml=xml),
        f"pages={_pager(stream)}" if stream.pages.kind != "none" else "",
        f"keyed={_keyed(stream.keyed, stream)}" if stream.keyed else "",
        f"keys={source.names(stream.keys)}",
        f"replication_key={source.text(stream.replication_key)}" if stream.replication_key else "",
        _summed(stream),
        f"add={{{source.text(stream.add)}: {source.text(stream.keyed.param)}}}" if stream.add and stream.keyed else "",
        spread=True,
    )
    told = source.comments(stream.comments)
    return f"\n{told}{call}" if told else call


def _summed(stream: DraftStream) -> str:
    """Return the source of what a report adds up."""
    if not stream.amount:
        return ""
    currency = _currency(stream)
    shown = [stream.amount, *([currency] if currency else [])]
    return f"amount={source.call('Amount', *map(source.text, shown))}"


def _request(stream: DraftStream) -> str:
    if stream.pages.kind == "row-offset":
        return source.call("post", source.text(stream.path), "{}")
    wanted = dict(stream.params)
    if stream.pages.kind == "token" and stream.pages.size_param:
        wanted[stream.pages.size_param] = "{page_size}"
    params = source.members({name: source.text(value) for name, value in wanted.items()})
    return source.call("get", source.text(stream.path), f"**{params}" if wanted else "")


def _rows(stream: DraftStream, *, xml: bool) -> str:
    pages = stream.pages
    more = {
        **({"total": f'Value({source.names(pages.total)}, "integer")'} if _is_beside(pages) else {}),
        **({"next": f"Value({source.names(pages.found)})"} if pages.found else {}),
    }
    arguments = [
        source.names(stream.rows) if stream.rows else "",
        "many=False" if not stream.many else "",
        f"more={source.members(more)}" if more else "",
        "any_case=True" if stream.any_case else "",
        "any_type=True" if stream.any_type else "",
        'empty=(childless("ArrayOf*"),)' if xml and stream.many and not stream.rows else "",
    ]
    return f"rows={source.call('Rows', *arguments)}" if any(arguments) else ""


def _pager(stream: DraftStream) -> str:
    """Return the source of the pager, which reads a list once more where rows move between its pages."""
    pages = stream.pages
    total = 'total="total"' if _is_beside(pages) else ""
    if pages.kind == "token":
        arguments = [source.text(pages.param), 'found="next"']
    elif pages.kind == "row-offset":
        total = f"total={source.text(pages.total[0])}"
        first, size = (source.names((name,)) for name in (pages.param, pages.size_param))
        arguments = [first, f"size_path={size}", 'size="page_size"', total]
    else:
        arguments = [
            source.text(pages.param),
            f"size_param={source.text(pages.size_param)}",
            'size="page_size"',
            'first="first_page"' if pages.kind == "page-number" and pages.first != 1 else "",
            'rows="total"' if pages.total else "",
        ]
    pager = source.call(_PAGERS[pages.kind], *arguments)
    return source.call("stable", pager, *map(source.text, stream.keys), total)


def _is_beside(pages: Pages) -> bool:
    """Whether the number of all rows stands beside them."""
    return bool(pages.total) and pages.kind != "row-offset"


def _keyed(keyed: Listed, stream: DraftStream) -> str:
    of_parent = [f"parent={source.text(keyed.parent)}", f"field={source.text(keyed.field)}"] if keyed.parent else []
    echo = f"echo={source.names(stream.keys)}" if len(stream.keys) == 1 and not stream.add else ""
    return source.call("Keyed", source.text(keyed.param), f"(listed({source.text(keyed.setting)}),)", *of_parent, echo)


def _flow(way: SignIn) -> str:
    arguments = {
        "bearer": ['setting="api_token"'],
        "api-key": [f"header={source.text(way.header)}", 'setting="api_key"'],
        "basic": ['username="username"', 'password="password"'],
        "oauth2-client": ['token_url=setting("token_url")', 'client_id="client_id"', 'client_secret="client_secret"'],
    }[way.kind]
    return source.call(_FLOWS[way.kind], *arguments)


def _headers(vendor: Vendor) -> str:
    """Return the source of the request's own headers; empty where there are none."""
    made = {
        **{header: f"str(config[{source.text(name)}])" for header, name in vendor.headers.items()},
        **dict.fromkeys(vendor.unique_headers, "uuid4().hex"),
    }
    return source.members(made) if made else ""


# --- settings and schemas ----------------------------------------------------------------------------


def documents(vendor: Vendor) -> dict[str, Mapping[str, Any]]:
    """Return the JSON documents of the schema package: the settings, and one of each stream."""
    config = {
        "$schema": schema.DIALECT,
        "title": f"Settings of {vendor.title}",
        "type": "object",
        "properties": {name: _described(setting) for name, setting in _settings(vendor).items()},
    }
    required = [*_needed(vendor), *vendor.required]
    if required:
        config["required"] = required
    return {"config": config, **{stream.name: stream.schema for stream in vendor.streams}}


def _described(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return a setting with its description at the end, where it may be long."""
    rest = {keyword: value for keyword, value in setting.items() if keyword != "description"}
    return {**rest, "description": setting["description"]}


def _settings(vendor: Vendor) -> dict[str, Mapping[str, Any]]:
    """Return all settings, by name: how to sign in first, then what there is to set, then the vendor's own."""
    found: dict[str, Mapping[str, Any]] = {}
    for way in vendor.auth:
        found |= _credentials(way)
    url = {"type": "string", "description": "Where the API is."}
    found["base_url"] = {**url, "default": vendor.base_url} if vendor.base_url else {**url, "minLength": 1}
    if _has_xml(vendor):
        found["format"] = {
            "type": "string",
            "enum": ["json", "xml"],
            "default": "json",
            "description": "The format to ask for.",
        }
    found |= vendor.settings
    for stream in vendor.streams:
        found |= _paging_settings(stream)
        if stream.keyed:
            parent = stream.keyed.parent
            found[stream.keyed.setting] = {
                "type": ["array", "null"],
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "description": f"Fetch just these in {stream.name}."
                + (f" Otherwise: those of {parent} that changed since the last run." if parent else ""),
            }
    return found


def _credentials(way: SignIn) -> dict[str, Mapping[str, Any]]:
    text = {"type": "string", "minLength": 1}
    secret = {**text, "secret": True}
    known: dict[Auth, dict[str, Mapping[str, Any]]] = {
        "none": {},
        "bearer": {"api_token": {**secret, "description": "API token, from the account page."}},
        "api-key": {"api_key": {**secret, "description": f"API key, sent as {way.header}."}},
        "basic": {
            "username": {"account": True, **text, "description": "User name."},
            "password": {**secret, "description": "Password."},
        },
        "oauth2-client": {
            "client_id": {
                "account": True,
                **text,
                "description": "Client id of the application that the vendor has registered.",
            },
            "client_secret": {**secret, "description": "Its secret."},
            "token_url": {**text, "default": way.token_url, "description": "Where tokens come from."},
        },
    }
    return known[way.kind]


def _paging_settings(stream: DraftStream) -> dict[str, Mapping[str, Any]]:
    pages = stream.pages
    found: dict[str, Mapping[str, Any]] = {}
    if pages.kind != "none" and pages.size_param:
        greatest = pages.greatest or (pages.size if pages.assumed else None)
        most = {"maximum": greatest} if greatest else {}
        doubt = f" No maximum is documented; {pages.size} is assumed." if pages.assumed else ""
        found["page_size"] = {
            "type": "integer",
            "minimum": 1,
            **most,
            "default": pages.size,
            **({"assumed": True} if pages.assumed else {}),
            "description": f"Records to ask for at a time.{doubt}",
        }
    if pages.kind == "page-number" and pages.first != 1:
        found["first_page"] = {
            "type": "integer",
            "minimum": 0,
            "default": pages.first,
            "description": "The number of the first page.",
        }
    return found


def _needed(vendor: Vendor) -> list[str]:
    """Return the settings without which nothing works, but for the vendor's own."""
    own = {name: setting for way in vendor.auth for name, setting in _credentials(way).items()}
    return [*(n for n, s in own.items() if "default" not in s), *([] if vendor.base_url else ["base_url"])]


# --- the sandbox -------------------------------------------------------------------------------------


def _literal(value: Any) -> str:
    return source.text(value) if isinstance(value, str) else repr(value)


def _sandbox_config(vendor: Vendor) -> dict[str, Any]:
    """Return the settings that lead a tap to the sandbox."""
    config: dict[str, Any] = {"base_url": "{url}"}
    for way in vendor.auth:
        config |= {
            "none": {},
            "bearer": {"api_token": "sandbox-token"},
            "api-key": {"api_key": "sandbox-key"},
            "basic": {"username": "sandbox", "password": "sandbox-password"},
            "oauth2-client": {
                "client_id": "sandbox",
                "client_secret": "sandbox-secret",
                "token_url": "{url}/oauth/token",
            },
        }[way.kind]
    samples = {"integer": 1, "boolean": True}
    own = {name: samples.get(str(vendor.settings[name]["type"]), "sandbox") for name in vendor.required}
    return {**config, **own, "requests_per_second": None}


def _totals_of(vendor: Vendor) -> tuple[DraftStream, str, str]:
    """Return the stream that a run is reconciled by, and its properties of currency and amount, where it has them."""
    whole = [stream for stream in vendor.streams if stream.keyed is None or stream.keyed.parent]
    ranked = sorted(whole, key=lambda stream: (not _amount(stream), stream.keyed is None))
    return ranked[0], _currency(ranked[0]), _amount(ranked[0])


def _amount(stream: DraftStream) -> str:
    members = stream.schema["properties"].items()
    found = (name for name, member in members if "number" in schema.types(member) and schema.is_sayable(name))
    return stream.amount or next(found, "")


def _currency(stream: DraftStream) -> str:
    members = stream.schema["properties"].items()
    texts = (name for name, member in members if "string" in schema.types(member) and "format" not in member)
    return next((name for name in texts if "currency" in name.lower() and schema.is_sayable(name)), "")


def _totals(vendor: Vendor) -> str:
    stream, currency, amount = _totals_of(vendor)
    group = quote(currency) if currency else "''"
    total = f"sum({quote(amount)})" if amount else "0::DECIMAL(38, 2)"
    return f"SELECT {group}, count(*), {total} FROM {{schema}}.{quote(stream.name)} GROUP BY ALL"  # noqa: S608 - quoted


def _sandbox(vendor: Vendor) -> dict[str, Any]:
    """Return what the template of the sandbox fills in."""
    stream, currency, amount = _totals_of(vendor)
    records = [_record(one, vendor) for one in vendor.streams]
    values: dict[str, Any] = {
        "handlers": [_handler(one, vendor) for one in vendor.streams],
        "records": records,
        "xml_names": [_xml_names(one) for one in vendor.streams] if _has_xml(vendor) else [],
        "guard_expression": _guards(vendor),
        "token_route": any(way.kind == "oauth2-client" for way in vendor.auth),
        "has_documents": any(one.keyed for one in vendor.streams),
        "total_function": f"{stream.name}_record",
        "total_currency": f"record[{source.text(currency)}]" if currency else '""',
        "total_amount": f"record[{source.text(amount)}]" if amount else "Decimal(0)",
    }
    values["dated"] = any("FIRST" in record["value"] for record in records)
    return values


def _handler(stream: DraftStream, vendor: Vendor) -> dict[str, Any]:
    """Return what a route answers with: lists page by page, documents by the key in their path."""
    pages = stream.pages
    param = source.text(pages.param.lower())
    first = {
        "none": "",
        "page-number": f"(call.whole({param}, {pages.first}, least={pages.first}) - {pages.first}) * size",
        "offset": f"call.whole({param}, 0, least=0)",
        "row-offset": f"int(call.json()[{source.text(pages.param)}])",
        "token": f"call.whole({param}, 0, least=0)",
    }[pages.kind]
    envelope: dict[str, Any] = {}
    if _is_beside(pages):
        _put(envelope, pages.total, "invoices")
    _put(envelope, pages.found, "following")
    _put(envelope, stream.rows, "rows" if stream.many else "record")
    shown = "rows" if stream.many else "record"
    document = _nested(envelope) if stream.rows else shown
    answer = (
        source.call("answer", "call.request", document, stream.name.upper())
        if _has_xml(vendor)
        else source.call("json_answer", document)
    )
    route = source.call(
        "server.route",
        source.text(stream.path),
        source.text(stream.name),
        f"answer_{stream.name}",
        'methods=["POST"]' if pages.kind == "row-offset" else "",
        "guard=guard" if vendor.auth else "guard=anyone",
    )
    return {
        "name": stream.name,
        "route": route,
        "many": stream.many,
        "key": source.text(stream.keyed.param.lower()) if stream.keyed else "",
        "paged": pages.kind != "none",
        "token": pages.kind == "token",
        "size": _size(pages),
        "count": f"{source.text(pages.total[0])}: invoices" if pages.kind == "row-offset" else "",
        "first": first,
        "answer": answer,
    }


def _size(pages: Pages) -> str:
    if pages.kind == "row-offset":
        return f"int(call.json()[{source.text(pages.size_param)}])"
    return f"call.whole({source.text(pages.size_param.lower())}, 50)" if pages.size_param else "50"


def _put(tree: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    if path:
        tree[path[-1]] = value


def _nested(tree: Mapping[str, Any]) -> str:
    return source.members({k: _nested(v) if isinstance(v, dict) else v for k, v in tree.items()})


def _record(stream: DraftStream, vendor: Vendor) -> dict[str, str]:
    """Return the source of a stream's made-up record; what only the tap adds is not in it.

    Where the record of another stream has all of it, it is part ``of`` that one.
    """
    added = {stream.add, *(stream.pages.total if stream.pages.kind == "row-offset" else ())}
    members = {name: member for name, member in stream.schema["properties"].items() if name not in added}
    children = [one for one in vendor.streams if one.keyed and one.keyed.parent == stream.name]
    for child in children:
        if members.items() <= _comparable(child).items():
            value = f"{{name: whole[name] for name in {source.names(list(members))}}}"
            return {"name": stream.name, "of": child.name, "value": value}
    keys = {*stream.keys} | {child.keyed.field for child in children if child.keyed}
    return {"name": stream.name, "of": "", "value": fake_data.record({"properties": members}, keys)}


def _comparable(stream: DraftStream) -> dict[str, Any]:
    """Return a stream's properties without what its schema says of them for readers."""
    return dict(stream.schema["properties"])


def _xml_names(stream: DraftStream) -> dict[str, str]:
    form = fake_data.XmlForm()
    form.add(stream.schema)
    item = stream.item or "item"
    root = stream.root or ("page" if stream.many else item)
    if stream.many and not stream.rows:
        root = f"ArrayOf{item}"
    items = {stream.rows[-1]: item} if stream.many and stream.rows else {}
    return {"name": stream.name.upper(), "source": form.source(root, items)}


def _guards(vendor: Vendor) -> str:
    """Return the source of whether a call has the credentials."""
    tests = {
        "bearer": 'headers.get("authorization") == "Bearer sandbox-token"',
        "basic": 'headers.get("authorization") == "Basic c2FuZGJveDpzYW5kYm94LXBhc3N3b3Jk"',
        "oauth2-client": 'tokens.valid(headers.get("authorization", "").removeprefix("Bearer "))',
    }
    keys = (f'headers.get({source.text(way.header.lower())}) == "sandbox-key"' for way in vendor.auth)
    found = [tests.get(way.kind, key) for way, key in zip(vendor.auth, keys, strict=True)]
    return " and ".join(found)


# --- the tests ---------------------------------------------------------------------------------------


def _key_of_seven(stream: DraftStream) -> str:
    """Return the key of the record with the index 7, as it is in a record: as asked for, or as the document has it."""
    is_text = "string" in schema.types(stream.schema["properties"][stream.keys[0]])
    return "A00007" if is_text else "7"


def _keys_query(vendor: Vendor, stream: DraftStream) -> str:
    table = f"{quote(vendor.name.replace('-', '_'))}.{quote(stream.name)}"
    return f"SELECT {quote(stream.keys[0])}::VARCHAR FROM {table}"  # noqa: S608 - quoted


def _suite(vendor: Vendor) -> str:
    """Return the source of the conformance suite: with a key of each stream that has no list to get them from."""
    unlisted = [one for one in vendor.streams if one.keyed and not one.keyed.parent]
    keys = {one.keyed.setting: f'["{_key_of_seven(one)}"]' for one in unlisted if one.keyed}
    return source.call("connector_suite", source.text(vendor.name), f"config={source.members(keys)}" if keys else "")


def _tests(vendor: Vendor) -> dict[str, Any]:
    """Return what the template of the tests fills in."""
    keyed = next((one for one in vendor.streams if one.keyed and one.keyed.parent and one.replication_key), None)
    listed = next((one for one in vendor.streams if one.keyed), None)
    wrong = {
        "bearer": ("api_token", "another-token"),
        "api-key": ("api_key", "another-key"),
        "basic": ("password", "another-password"),
        "oauth2-client": ("client_secret", "another-secret"),
    }
    way = next((one for one in vendor.auth if one.kind != "none"), None)
    return {
        "suite": _suite(vendor),
        "schema": vendor.name.replace("-", "_"),
        "whole_tables": source.names([one.name for one in vendor.streams if one.keyed is None or one.keyed.parent]),
        "incremental": keyed.name if keyed else "",
        "keyed": listed.name if listed else "",
        "keyed_setting": listed.keyed.setting if listed and listed.keyed else "",
        "keyed_query": source.text(_keys_query(vendor, listed)) if listed else "",
        "keyed_value": _key_of_seven(listed) if listed else "",
        "wrong": wrong[way.kind] if way else (),
    }
