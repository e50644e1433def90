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

from vendortap.declare.model import RecordSelector
from vendortap.decode import schemas
from vendortap.duckdb.columns import quote
from vendortap.errors import UsageError
from vendortap.scaffold import allowed, fake_data, layout, schema, source
from vendortap.scaffold.infer import rows_text
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
    if not vendor.has_xml or all(map(_fits_xml, vendor.streams)):
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
    return sorted(filter(Path.is_file, folder.rglob("*")))


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


def declaration(vendor: Vendor, package: str) -> str:
    """Return the source of the Connector."""
    sandbox = source.call(
        "Sandbox",
        app=f'"{package}.sandbox:app"',
        config=source.members({name: _literal(value) for name, value in _sandbox_config(vendor).items()}),
        totals=source.text(_totals(vendor)),
        spread=True,
    )
    return source.call(
        "Connector",
        name=source.text(vendor.name),
        title=source.text(vendor.title),
        docs=source.text(vendor.docs),
        schemas=f'"{package}.schemas"',
        base_url='setting("base_url")',
        auth=f"({', '.join(map(_flow, vendor.auth))},)" if vendor.auth else "",
        accept='by("format", {"json": "application/json", "xml": "application/xml"})' if vendor.has_xml else "",
        headers="request_headers" if vendor.headers or vendor.unique_headers else "",
        limit="Limit(rate=5, burst=5)",
        streams=f"({', '.join(_stream(stream, xml=vendor.has_xml) for stream in vendor.streams)},)",
        sandbox=sandbox,
        spread=True,
    )


def _stream(stream: DraftStream, *, xml: bool) -> str:
    summed = map(source.text, filter(None, (stream.amount, schema.find(stream.schema, "string", "currency"))))
    call = source.call(
        "Stream",
        name=source.text(stream.name),
        title=source.text(stream.title),
        request=_request(stream),
        record_selector=_record_selector(stream, xml=xml),
        pages=_pager(stream) if stream.pages.kind != "none" else "",
        parent=_parent(stream.keyed, stream) if stream.keyed else "",
        keys=source.names(stream.keys),
        replication_key=source.text(stream.replication_key) if stream.replication_key else "",
        amount=source.call("Amount", *summed) if stream.amount else "",
        add=source.texts({stream.add: stream.keyed.param}) if stream.add and stream.keyed else "",
        spread=True,
    )
    told = source.comments(stream.comments)
    return f"\n{told}{call}" if told else call


def _request(stream: DraftStream) -> str:
    if stream.pages.kind == "row-offset":
        return source.call("post", source.text(stream.path), "{}")
    wanted = dict(stream.params)
    if stream.pages.kind == "token" and stream.pages.size_param:
        wanted[stream.pages.size_param] = "{page_size}"
    return source.call("get", source.text(stream.path), f"**{source.texts(wanted)}" if wanted else "")


def _record_selector(stream: DraftStream, *, xml: bool) -> str:
    more: dict[str, str] = {}
    if total := stream.pages.total_beside:
        more["total"] = f'Value({source.names(total)}, "integer")'
    if found := stream.pages.found:
        more["next"] = f"Value({source.names(found)})"
    rows = rows_text(
        RecordSelector(stream.rows, stream.many, any_case=stream.any_case, any_type=stream.any_type),
        more=source.members(more) if more else "",
        empty='(childless("ArrayOf*"),)' if xml and stream.many and not stream.rows else "",
    )
    return rows if rows != "RecordSelector()" else ""


def _pager(stream: DraftStream) -> str:
    """Return the source of the pager, which reads a list once more where rows move between its pages."""
    pages, function = stream.pages, stream.pages.kind.replace("-", "_")
    param, size = source.text(pages.param), '"page_size"'
    total = '"total"' if pages.total_beside else ""
    if pages.kind == "token":
        pager = source.call(function, param, found='"next"')
    elif pages.kind == "row-offset":
        total = source.text(pages.total[0])
        pager = source.call(
            function, f"({param},)", size_path=source.names((pages.size_param,)), size=size, total=total
        )
    else:
        first = '"first_page"' if pages.first != 1 else ""
        size_param = source.text(pages.size_param)
        pager = source.call(function, param, size_param=size_param, size=size, first=first, rows=total)
    return source.call("stable", pager, *map(source.text, stream.keys), total=total)


def _parent(keyed: Listed, stream: DraftStream) -> str:
    return source.call(
        "Parent",
        source.text(keyed.param),
        f"(listed({source.text(keyed.setting)}),)",
        stream=source.text(keyed.parent) if keyed.parent else "",
        field=source.text(keyed.field) if keyed.parent else "",
        echo=source.names(stream.keys) if len(stream.keys) == 1 and not stream.add else "",
    )


def _flow(way: SignIn) -> str:
    client = ('client_id="client_id"', 'client_secret="client_secret"')
    calls: Mapping[Auth, str] = {
        "bearer": 'bearer(setting="api_token")',
        "api-key": source.call("api_key", header=source.text(way.header), setting='"api_key"'),
        "basic": 'basic(username="username", password="password")',
        "oauth2-client": source.call("client_credentials", 'token_url=setting("token_url")', *client),
    }
    return calls[way.kind]


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
        "properties": _settings(vendor),
    }
    required = [*_needed(vendor), *vendor.required]
    if required:
        config["required"] = required
    return {"config": config, **{stream.name: stream.schema for stream in vendor.streams}}


def _settings(vendor: Vendor) -> dict[str, Mapping[str, Any]]:
    """Return all settings, by name: how to sign in first, then what there is to set, then the vendor's own."""
    found: dict[str, Mapping[str, Any]] = {}
    for way in vendor.auth:
        found |= _credentials(way)
    default = {"default": vendor.base_url} if vendor.base_url else {"minLength": 1}
    found["base_url"] = {"type": "string", **default, "description": "Where the API is."}
    if vendor.has_xml:
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
    secret, account = {**text, "secret": True}, {"account": True, **text}
    known: dict[Auth, dict[str, Mapping[str, Any]]] = {
        "bearer": {"api_token": {**secret, "description": "API token, from the account page."}},
        "api-key": {"api_key": {**secret, "description": f"API key, sent as {way.header}."}},
        "basic": {
            "username": {**account, "description": "User name."},
            "password": {**secret, "description": "Password."},
        },
        "oauth2-client": {
            "client_id": {**account, "description": "Client id of the application that the vendor has registered."},
            "client_secret": {**secret, "description": "Its secret."},
            "token_url": {**text, "default": way.token_url, "description": "Where tokens come from."},
        },
    }
    return known[way.kind]


def _paging_settings(stream: DraftStream) -> dict[str, Mapping[str, Any]]:
    pages = stream.pages
    found: dict[str, Mapping[str, Any]] = {}
    if pages.size_param:
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
    if pages.first != 1:
        number = {"type": "integer", "minimum": 0, "default": pages.first}
        found["first_page"] = {**number, "description": "The number of the first page."}
    return found


def _needed(vendor: Vendor) -> list[str]:
    """Return the settings without which nothing works, but for the vendor's own."""
    own = {name: setting for way in vendor.auth for name, setting in _credentials(way).items()}
    return [*(n for n, s in own.items() if "default" not in s), *([] if vendor.base_url else ["base_url"])]


# --- the sandbox -------------------------------------------------------------------------------------


_SANDBOX_CREDENTIALS: Mapping[Auth, Mapping[str, str]] = {
    "bearer": {"api_token": "sandbox-token"},
    "api-key": {"api_key": "sandbox-key"},
    "basic": {"username": "sandbox", "password": "sandbox-password"},
    "oauth2-client": {"client_id": "sandbox", "client_secret": "sandbox-secret", "token_url": "{url}/oauth/token"},
}


def _literal(value: Any) -> str:
    return source.text(value) if isinstance(value, str) else repr(value)


def _sandbox_config(vendor: Vendor) -> dict[str, Any]:
    """Return the settings that lead a tap to the sandbox."""
    config: dict[str, Any] = {"base_url": "{url}"}
    for way in vendor.auth:
        config |= _SANDBOX_CREDENTIALS[way.kind]
    samples = {"integer": 1, "boolean": True}
    own = {name: samples.get(str(vendor.settings[name]["type"]), "sandbox") for name in vendor.required}
    return {**config, **own, "requests_per_second": None}


def _totals_of(vendor: Vendor) -> tuple[DraftStream, str, str]:
    """Return the stream that a run is reconciled by, and its properties of currency and amount, where it has them."""
    whole = [stream for stream in vendor.streams if stream.is_listed]
    amounts = {stream.name: stream.amount or schema.find(stream.schema, "number") for stream in whole}
    first = min(whole, key=lambda stream: (not amounts[stream.name], stream.keyed is None))
    return first, schema.find(first.schema, "string", "currency"), amounts[first.name]


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
        "xml_names": [_xml_names(one) for one in vendor.streams] if vendor.has_xml else [],
        "guard_expression": _guards(vendor),
        "token_route": any(way.kind == "oauth2-client" for way in vendor.auth),
        "has_documents": any(one.keyed for one in vendor.streams),
        "total_function": f"{stream.name}_record",
        "total_currency": _of_record(currency, '""'),
        "total_amount": _of_record(amount, "Decimal(0)"),
    }
    values["dated"] = any("FIRST" in record["value"] for record in records)
    return values


def _of_record(name: str, otherwise: str) -> str:
    """Return the source of a record's property; of what stands in where there is none."""
    return f"record[{source.text(name)}]" if name else otherwise


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
    shown = "rows" if stream.many else "record"
    envelope: dict[str, Any] = {}
    for path, value in ((pages.total_beside, "invoices"), (pages.found, "following"), (stream.rows, shown)):
        _put(envelope, path, value)
    document = _nested(envelope) if stream.rows else shown
    answer = (
        f"answer(call.request, {document}, {stream.name.upper()})" if vendor.has_xml else f"json_answer({document})"
    )
    return {
        "name": stream.name,
        "route": _route(stream, vendor),
        "many": stream.many,
        "key": source.text(stream.keyed.param.lower()) if stream.keyed else "",
        "paged": pages.kind != "none",
        "token": pages.kind == "token",
        "size": _size(pages),
        "count": f"{source.text(pages.total[0])}: invoices" if pages.kind == "row-offset" else "",
        "first": first,
        "answer": answer,
    }


def _route(stream: DraftStream, vendor: Vendor) -> str:
    return source.call(
        "server.route",
        *map(source.text, (stream.path, stream.name)),
        f"answer_{stream.name}",
        methods='["POST"]' if stream.pages.kind == "row-offset" else "",
        guard="guard" if vendor.auth else "anyone",
    )


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
    keys = {*stream.keys}
    for child in vendor.streams:
        if child.keyed is None or child.keyed.parent != stream.name:
            continue
        if members.items() <= child.schema["properties"].items():
            value = f"{{name: whole[name] for name in {source.names(list(members))}}}"
            return {"name": stream.name, "of": child.name, "value": value}
        keys.add(child.keyed.field)
    return {"name": stream.name, "of": "", "value": fake_data.record({"properties": members}, keys)}


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
    unlisted = [one for one in vendor.streams if not one.is_listed]
    keys = {one.keyed.setting: f'["{_key_of_seven(one)}"]' for one in unlisted if one.keyed}
    return source.call("connector_suite", source.text(vendor.name), config=source.members(keys) if keys else "")


def _tests(vendor: Vendor) -> dict[str, Any]:
    """Return what the template of the tests fills in."""
    incremental = (one.name for one in vendor.streams if one.keyed and one.is_listed and one.replication_key)
    wrong: Mapping[Auth, tuple[str, str]] = {
        "bearer": ("api_token", "another-token"),
        "api-key": ("api_key", "another-key"),
        "basic": ("password", "another-password"),
        "oauth2-client": ("client_secret", "another-secret"),
    }
    return {
        "suite": _suite(vendor),
        "schema": vendor.name.replace("-", "_"),
        "whole_tables": source.names([one.name for one in vendor.streams if one.is_listed]),
        "incremental": next(incremental, ""),
        "wrong": next((wrong[way.kind] for way in vendor.auth), ()),
        **_keyed_test(vendor),
    }


def _keyed_test(vendor: Vendor) -> dict[str, str]:
    """Return what the test of an unknown key fills in, for the first stream that keys are named for."""
    for stream in vendor.streams:
        if stream.keyed:
            return {
                "keyed": stream.name,
                "keyed_setting": stream.keyed.setting,
                "keyed_query": source.text(_keys_query(vendor, stream)),
                "keyed_value": _key_of_seven(stream),
            }
    return {"keyed": ""}
