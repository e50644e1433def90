"""What Meltano has to know of a plugin: definitions in Meltano Hub's format, out of a declaration and its settings.

The format is held by two schemas: the Hub's own (github.com/meltano/hub, schemas/plugin_definitions), and that of a
project's meltano.yml (meltano.schema.json, which Meltano brings along). What is written here fits both; the Hub's
metadata (quality, keywords and so on) are unknown to the second.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from vendortap.declare.model import Connector
from vendortap.errors import UsageError
from vendortap.plugins import host
from vendortap.singer.tap import tap_class
from vendortap.support.extras import require

Definition = dict[str, Any]
"""A plugin as Meltano Hub describes it; ``lock`` and ``dumps`` write it."""

_NOT_IN_BOTH = {"loaders": {"structured-logging", "target-schema", "validate-records"}}
"""Capabilities that only one of the two schemas knows."""
_STATUS = {
    "3 - Alpha": "development",
    "4 - Beta": "beta",
    "5 - Production/Stable": "active",
    "7 - Inactive": "inactive",
}
"""Maintenance status by the trove classifier ``Development Status``."""
_UPPER = frozenset(
    {"api", "asc", "ca", "csv", "desc", "eu", "fe", "id", "json", "jsonl", "mb", "mis", "na", "po", "url", "xml"}
)
"""Words of names that labels have in capitals."""
_DATE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
"""How the patterns of settings begin that are dates."""


def pip_url(given: str) -> str:
    """Return what pip is to install a plugin from, as Meltano reads it: words as in a shell.

    vendortap is on no package index, where anybody could publish something under its name. So nothing is taken that pip
    would look up there: neither vendortap's name nor that of a plugin, which would bring vendortap's with it.

    Raises:
        UsageError: it has such a name in it, or nothing.
    """
    if _url_of(given):
        return shlex.quote(given)
    try:
        words = shlex.split(given)
    except ValueError:
        words = []
    names = [word for word in words if _url_of(word) == ""]
    if names or not words:
        what = (
            f"{names[0]!r} is a name that pip looks up on a package index, where it may be anybody's"
            if names
            else "empty"
        )
        raise UsageError(f"--pip-url: {what}; {HOW}")
    return given


HOW = (
    "give the path of a clone (/srv/vendortap, with extras /srv/vendortap[duckdb]), a git URL with its commit "
    "('vendortap @ git+https://git.example.com/vendortap@COMMIT'), or the path of a wheel"
)
"""What to install a plugin from."""


def _url_of(text: str) -> str | None:
    """Return where a requirement is (PEP 508): empty for a name, with a version or without; ``None``: it is none."""
    try:
        return Requirement(text).url or ""
    except InvalidRequirement:
        return None


def extractor(connector: Connector, installed_from: str) -> Definition:
    """Return the definition of a connector's tap; ``installed_from`` is what ``pip_url`` takes.

    Raises:
        DeclarationError: see vendortap.plugins.validation.
        UsageError: see ``pip_url``.
    """
    tap = tap_class(connector)
    found = host.find().get(connector.name)
    about = tap.config_jsonschema.get("description")
    return {
        **_plugin("extractors", tap.name, connector.title, found.package if found else "vendortap", tap),
        "pip_url": pip_url(installed_from),
        "description": "; ".join(stream.title for stream in connector.streams),
        "domain_url": connector.docs,
        "keywords": ["api", "invoices", "meltano_sdk"],
        **({"settings_preamble": about} if about else {}),
    }


def loader(installed_from: str) -> Definition:
    """Return the definition of the DuckDB target; each extractor's tables go into a schema of their own.

    Raises:
        UsageError: see ``pip_url``.
        VendortapError: the extra 'duckdb' is not installed.
    """
    require("duckdb", "the definition of the DuckDB target", "duckdb")
    from vendortap.duckdb.target import DuckdbTarget  # here, as taps are described without that extra, too

    name = DuckdbTarget.name
    DuckdbTarget.append_builtin_config(DuckdbTarget.config_jsonschema)
    definition = _plugin("loaders", name, "DuckDB (vendortap)", "vendortap", DuckdbTarget)
    for setting in definition["settings"]:
        if setting["name"] == "default_target_schema":
            setting["value"] = "$MELTANO_EXTRACT__LOAD_SCHEMA"
    return {
        **definition,
        "pip_url": pip_url(installed_from),
        "description": "One DuckDB file, with exact decimals and nested types",
        "dialect": "duckdb",
        "domain_url": "https://duckdb.org/",
        "keywords": ["database", "invoices", "meltano_sdk"],
    }


def dumps(definition: Definition) -> str:
    """Return the YAML that Meltano Hub keeps in ``_data/meltano``, names in the alphabet's order, as is usual there.

    Raises:
        VendortapError: the extra 'new' is not installed.
    """
    require("new", "a plugin definition in YAML", "yaml")
    import yaml

    return yaml.safe_dump(definition, allow_unicode=True, width=100)


def lock(definition: Definition) -> str:
    """Return the JSON that a project keeps in ``plugins``, where it needs no Hub to be told of the plugin."""
    kind = "loaders" if definition["name"].startswith("target-") else "extractors"
    return json.dumps({"plugin_type": kind, **definition}, indent=2, ensure_ascii=False) + "\n"


def _plugin(kind: str, name: str, label: str, package: str, plugin: Any) -> Definition:
    """Return what extractors and loaders have in common; ``plugin`` is the class of singer-sdk's."""
    schema = plugin.config_jsonschema
    required = list(schema.get("required", ()))
    capabilities = {str(capability.value) for capability in plugin.capabilities}
    return {
        "name": name,
        "namespace": name.replace("-", "_"),
        "label": label,
        "variant": package,
        "executable": name,
        "capabilities": sorted(capabilities - _NOT_IN_BOTH.get(kind, set())),
        "settings": [*_settings(schema["properties"], required)],
        **({"settings_group_validation": [required]} if required else {}),
        "quality": "unknown",
        **_distribution(package),
    }


def _distribution(package: str) -> Definition:
    """Return what the distribution says of itself: where it lives, how far it is, which Pythons it runs on."""
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return {"maintenance_status": "unknown"}
    classifiers = told.get_all("Classifier", ())
    urls = dict(text.split(", ", 1) for text in told.get_all("Project-URL", ()))
    pythons = re.findall(r":: (3\.\d+)$", "\n".join(classifiers), re.MULTILINE)
    status = re.search("^Development Status :: (.+)$", "\n".join(classifiers), re.MULTILINE)
    given = {"repo": urls.get("Repository"), "docs": urls.get("Documentation"), "supported_python_versions": pythons}
    return {
        "maintenance_status": _STATUS.get(status[1], "unknown") if status else "unknown",
        **{name: value for name, value in given.items() if value},
    }


# --- settings ----------------------------------------------------------------------------------------


def _settings(properties: Mapping[str, Any], required: Iterable[str], prefix: str = "") -> Iterator[Definition]:
    """Yield the settings, those that are required first; members of objects by names with dots, as Meltano has them."""
    for name, setting in sorted(properties.items(), key=lambda item: item[0] not in required):
        members = setting.get("properties", {})
        if members and all("type" in member for member in members.values()):
            yield from _settings(members, (), f"{prefix}{name}.")
        else:
            yield _setting(f"{prefix}{name}", setting)


def _setting(name: str, setting: Mapping[str, Any]) -> Definition:
    kind = _kind(setting)
    example = setting.get("examples", [None])[0]
    return {
        "name": name,
        "label": _label(name),
        "kind": kind,
        **({"sensitive": True} if setting.get("secret") else {}),
        **({"description": setting["description"]} if "description" in setting else {}),
        **({"value": setting["default"]} if setting.get("default") is not None else {}),
        **({"placeholder": example} if isinstance(example, str) else {}),
        **({"options": [*map(_option, setting["enum"])]} if kind == "options" else {}),
    }


def _kind(setting: Mapping[str, Any]) -> str:
    """Return Meltano's kind of a setting, by which it reads what the environment gives as text."""
    types = [kind for kind in _types(setting) if kind != "null"]
    if "string" not in types:
        return {"number": "decimal"}.get(types[0], types[0]) if types else "string"
    if "enum" in setting:
        return "options"
    is_date = str(setting.get("format", "")).startswith("date") or str(setting.get("pattern", "")).startswith(_DATE)
    return "date_iso8601" if is_date else "string"


def _types(setting: Mapping[str, Any]) -> list[str]:
    declared = setting.get("type", [])
    return [declared] if isinstance(declared, str) else list(declared)


def _option(value: str) -> Definition:
    return {"label": _label(value) if re.fullmatch("[A-Za-z_-]+", value) else value, "value": value}


def _label(name: str) -> str:
    """Return a name as people write it: ``base_url`` becomes ``Base URL``."""
    words = re.split("[_.-]+", name)
    return " ".join(word.upper() if word.lower() in _UPPER else word.capitalize() for word in words)
