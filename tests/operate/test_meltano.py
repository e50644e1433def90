"""Plugin definitions for Meltano, and the example project: up to date, in both formats, and true to the declarations.

What needs Meltano itself is in tests/integration/test_meltano.py.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from vendortap.cli import commands
from vendortap.errors import UsageError
from vendortap.operate import meltano
from vendortap.plugins import host
from vendortap.singer import discovery
from vendortap.singer.tap import ConnectorTap, tap_class

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "meltano"
FIRST_PARTY = [name for name, plugin in host.find().items() if plugin.package == "vendortap"]
TARGET = "target-vendortap-duckdb"

HUB_NAMES = {
    "name",
    "pip_url",
    "variant",
    "namespace",
    "label",
    "description",
    "executable",
    "settings",
    "docs",
    "repo",
    "logo_url",
    "hidden",
    "python",
    "settings_group_validation",
    "commands",
    "capabilities",
    "maintenance_status",
    "quality",
    "domain_url",
    "keywords",
    "requires",
    "definition",
    "next_steps",
    "settings_preamble",
    "usage",
    "prereq",
    "supported_python_versions",
    "log_parser",
}
"""What a definition may have: github.com/meltano/hub, schemas/plugin_definitions; required are four of them."""
HUB_ONLY = {"extractors": {"metadata", "schema", "select"}, "loaders": {"dialect", "target_schema"}}
HUB_CAPABILITIES = {
    "extractors": {
        "about",
        "batch",
        "catalog",
        "discover",
        "schema-flattening",
        "state",
        "stream-maps",
        "structured-logging",
    },
    "loaders": {"about", "batch", "schema-flattening", "stream-maps"},
}
"""Those of singer-sdk that the Hub and Meltano both know."""
HUB_REQUIRED = {"name", "namespace", "variant", "quality"}
HUB_SETTING = {
    "name",
    "aliases",
    "label",
    "value",
    "placeholder",
    "kind",
    "description",
    "tooltip",
    "documentation",
    "env",
    "value_processor",
    "value_post_processor",
    "oauth",
    "options",
    "docs",
    "hidden",
    "sensitive",
}
HUB_KINDS = {
    "oauth",
    "date_iso8601",
    "file",
    "email",
    "integer",
    "options",
    "object",
    "array",
    "boolean",
    "string",
    "decimal",
}


def definition(plugin: str) -> meltano.Definition:
    if plugin == TARGET:
        return meltano.loader("${VENDORTAP}[duckdb]")
    return meltano.extractor(host.load(plugin.removeprefix("tap-")), "${VENDORTAP}")


def kind(plugin: str) -> str:
    return "loaders" if plugin == TARGET else "extractors"


PLUGINS = [*(f"tap-{name}" for name in FIRST_PARTY), TARGET]
every_plugin = pytest.mark.parametrize("plugin", PLUGINS)


# --- the files ---------------------------------------------------------------------------------------


@every_plugin
def test_the_files_are_up_to_date(plugin: str) -> None:
    hub = ROOT / "meltano" / kind(plugin) / plugin / "vendortap.yml"
    lock = EXAMPLE / "plugins" / kind(plugin) / f"{plugin}--vendortap.lock"
    assert hub.read_text(encoding="utf-8") == meltano.dumps(definition(plugin)), "run `make meltano`"
    assert lock.read_text(encoding="utf-8") == meltano.lock(definition(plugin)), "run `make meltano`"


def test_every_first_party_plugin_has_its_files_and_no_other_has() -> None:
    hub = {file.parent.name for file in (ROOT / "meltano").rglob("*.*") if file.is_file()}
    locks = {file.name.partition("--")[0] for file in (EXAMPLE / "plugins").rglob("*.*") if file.is_file()}
    assert hub == locks == set(PLUGINS)


@every_plugin
def test_yaml_and_lock_say_the_same(plugin: str) -> None:
    expected = definition(plugin)
    assert yaml.safe_load(meltano.dumps(expected)) == expected
    assert json.loads(meltano.lock(expected)) == {"plugin_type": kind(plugin), **expected}


def test_the_command_prints_both_forms() -> None:
    printed = CliRunner().invoke(commands, ["meltano", "midnight", "--pip-url", "${VENDORTAP}"])
    assert yaml.safe_load(printed.output) == definition("tap-midnight")
    printed = CliRunner().invoke(commands, ["meltano", "--lock", "--pip-url", "/srv/vendortap[duckdb]"])
    assert json.loads(printed.output)["name"] == TARGET
    assert json.loads(printed.output)["pip_url"] == "/srv/vendortap[duckdb]"


# --- where it is installed from ----------------------------------------------------------------------

PLACES = [
    "/srv/vendortap",
    "/srv/vendortap[duckdb]",
    "../..",
    "-e ../..",
    "/srv/vendortap ./tap-acme",
    "${VENDORTAP}[duckdb]",
    "./dist/vendortap-0.1.0-py3-none-any.whl",
    "git+https://git.example.com/vendortap@0123456789abcdef",
    "'vendortap[duckdb] @ git+https://git.example.com/vendortap@0123456789abcdef' ./tap-acme",
]
NAMES = [
    "vendortap",
    "vendortap[duckdb]",
    "vendortap==0.1.0",
    "vendortap [duckdb] >= 0.1",
    "VendorTap",
    "vendortap ./tap-acme",
    "./tap-acme vendortap",
    "tap-acme",
    "--index-url https://index.example.com vendortap",
    "'vendortap",
    " ",
]


@pytest.mark.parametrize("place", PLACES)
def test_a_plugin_is_installed_from_where_it_is_said_to_be(place: str) -> None:
    assert meltano.extractor(host.load("midnight"), place)["pip_url"] == place


def test_a_requirement_with_a_url_is_one_word_to_meltano() -> None:
    given = "vendortap[duckdb] @ git+https://git.example.com/vendortap@0123456789abcdef"
    assert shlex.split(meltano.loader(given)["pip_url"]) == [given]


@pytest.mark.promise("No plugin definition names a package that an index would be asked for")
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_an_index_would_be_asked_for_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"--pip-url: .*give the path of a clone .*git URL .*wheel"):
        meltano.extractor(host.load("midnight"), name)


def test_without_a_place_the_command_says_what_to_give() -> None:
    printed = CliRunner().invoke(commands, ["meltano", "midnight"])
    assert printed.exit_code == 2
    assert "vendortap is on no package index yet; give the path of a clone" in " ".join(printed.stderr.split())


def test_no_shipped_definition_names_a_package_of_an_index() -> None:
    files = [*(ROOT / "meltano").rglob("*.yml"), *(EXAMPLE / "plugins").rglob("*.lock"), EXAMPLE / "meltano.yml"]
    places = [
        place
        for file in files
        for place in re.findall(r"\bpip_url\b\W*: \W*?([$./\w].*?)\"?,?$", file.read_text(), re.M)
    ]
    assert len(places) == 18
    assert [place for place in places if meltano.pip_url(place) != place] == []


def test_nothing_tells_anybody_to_install_vendortap_by_its_name() -> None:
    """In documents, messages and projects: pip would ask an index for it, where it may be anybody's."""
    folders = ("framework", "docs", "examples", ".ci")
    files = [
        *(file for folder in folders for file in (ROOT / folder).rglob("*.*")),
        *ROOT.glob("*.md"),
        ROOT / "Makefile",
    ]
    texts = {file: file.read_bytes().decode(errors="replace") for file in files if file.is_file()}
    told = re.compile(r"pip install [^\n`,]*?(?<![/\w.-])vendortap(?![/\w-])(?!\S* @ )")
    assert [(file, found[0]) for file, text in texts.items() for found in told.finditer(text)] == []


# --- the format --------------------------------------------------------------------------------------


@every_plugin
def test_a_definition_has_what_the_hub_knows_and_wants(plugin: str) -> None:
    made = definition(plugin)
    assert made.keys() >= HUB_REQUIRED
    assert made.keys() <= HUB_NAMES | HUB_ONLY[kind(plugin)]
    assert all(re.fullmatch(r"3\.\d+", version) for version in made["supported_python_versions"])
    names = [setting["name"] for setting in made["settings"]]
    assert len(names) == len(set(names))
    for group in made.get("settings_group_validation", ()):
        assert set(group) <= set(names)
    for setting in made["settings"]:
        assert setting.keys() <= HUB_SETTING
        assert setting["kind"] in HUB_KINDS
        assert ("options" in setting) == (setting["kind"] == "options")
        for option in setting.get("options", ()):
            assert option.keys() == {"label", "value"}
            assert isinstance(option["value"], str)


@every_plugin
def test_capabilities_are_those_of_the_plugin(plugin: str) -> None:
    made = set(definition(plugin)["capabilities"])
    assert made <= HUB_CAPABILITIES[kind(plugin)]
    if plugin != TARGET:
        assert made == {str(capability.value) for capability in ConnectorTap.capabilities}
    assert {"about", "stream-maps"} <= made


# --- settings ----------------------------------------------------------------------------------------


def declared(name: str) -> Mapping[str, Any]:
    """A tap's settings, with those of the SDK."""
    found: Mapping[str, Any] = tap_class(host.load(name)).config_jsonschema["properties"]
    return found


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_every_setting_is_there_and_secrets_are_sensitive(name: str) -> None:
    described = {setting["name"]: setting for setting in definition(f"tap-{name}")["settings"]}
    tops = {full.partition(".")[0] for full in described}
    assert tops == declared(name).keys()
    secret = {setting for setting, schema in declared(name).items() if schema.get("secret")}
    assert secret
    assert {full for full, setting in described.items() if setting.get("sensitive")} == secret


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_what_has_to_be_set_is_what_the_tap_requires(name: str) -> None:
    required = tap_class(host.load(name)).settings_schema["required"]
    groups = definition(f"tap-{name}").get("settings_group_validation", [])
    assert groups == ([required] if required else [])


def cast(kind: str, text: str) -> Any:
    """What Meltano 4 makes of a text in the environment, by the setting's kind."""
    readers: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "decimal": Decimal,
        "boolean": lambda text: text == "true",
        "array": json.loads,
        "object": json.loads,
    }
    return readers[kind](text) if kind in readers else text


SAMPLES = ("1", "20", "2.5", "true", "[]", '["a"]', "{}", "2025-01-31", "text", "US")


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_what_meltano_reads_by_kind_the_setting_takes(name: str) -> None:
    """A kind that does not go with a setting's type would let no text through."""
    for setting in definition(f"tap-{name}")["settings"]:
        if (schema := declared(name).get(setting["name"])) is None:
            continue  # a member of an object, which the SDK declares
        own = {key: word for key, word in schema.items() if key != "properties" and key != "additionalProperties"}
        validator = Draft202012Validator(own)
        texts = [option["value"] for option in setting.get("options", ())] or SAMPLES
        values = list(_readable(setting["kind"], texts))
        assert any(validator.is_valid(value) for value in values), setting["name"]
        if "value" in setting:
            assert validator.is_valid(setting["value"]), setting["name"]


def _readable(kind: str, texts: Any) -> Iterator[Any]:
    for text in texts:
        try:
            yield cast(kind, text)
        except (ValueError, ArithmeticError):
            continue


def test_kinds_and_labels_are_meltanos() -> None:
    by_name = {setting["name"]: setting for setting in definition("tap-scansource")["settings"]}
    kinds = {name: by_name[name]["kind"] for name in ("customer_numbers", "start_date", "page_size", "format")}
    assert kinds == {
        "customer_numbers": "array",
        "start_date": "date_iso8601",
        "page_size": "integer",
        "format": "options",
    }
    assert by_name["requests_per_second"]["kind"] == "decimal"
    assert by_name["base_url"]["label"] == "Base URL"
    assert by_name["format"]["options"] == [{"label": "JSON", "value": "json"}, {"label": "XML", "value": "xml"}]
    assert by_name["batch_config.encoding.format"]["kind"] == "options"
    assert by_name["stream_maps"]["kind"] == "object"


def test_streams_that_cost_more_need_no_selection_of_their_own() -> None:
    made = definition("tap-scansource")
    assert "select" not in made
    assert "extra_streams" in {setting["name"] for setting in made["settings"]}
    assert "extra_streams" not in {setting["name"] for setting in definition("tap-midnight")["settings"]}


# --- the example -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project() -> Any:
    return yaml.safe_load((EXAMPLE / "meltano.yml").read_text(encoding="utf-8"))


def test_the_example_has_every_plugin_of_this_repository(project: Any) -> None:
    found = [plugin for several in project["plugins"].values() for plugin in several]
    assert {plugin["name"] for plugin in found} == set(PLUGINS)
    assert {plugin["variant"] for plugin in found} == {definition(plugin)["variant"] for plugin in PLUGINS}


def environment(project: Any, name: str) -> Any:
    (found,) = [one for one in project["environments"] if one["name"] == name]
    return found["config"]["plugins"]


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_the_examples_sandbox_is_what_the_connector_declares(name: str, project: Any) -> None:
    sandbox = host.load(name).sandbox
    assert sandbox is not None
    expected = {k: v.replace("{url}", "$SANDBOX_URL") if isinstance(v, str) else v for k, v in sandbox.config.items()}
    expected["requests_per_second"] = 1000  # None is no value to Meltano
    (found,) = [one for one in environment(project, "sandbox")["extractors"] if one["name"] == f"tap-{name}"]
    assert found["config"] == expected


def test_the_examples_secrets_of_production_come_from_the_environment(project: Any) -> None:
    (tap,) = environment(project, "production")["extractors"]
    schema = tap_class(host.load("scansource")).settings_schema
    given = {name for name, value in tap["config"].items() if str(value).startswith("$")}
    assert given >= {*schema["required"], *(n for n in tap["config"] if schema["properties"][n].get("secret"))}
    example = (EXAMPLE / ".env.example").read_text(encoding="utf-8")
    assert {f"${name}" for name in re.findall(r"^(\w+)=", example, re.MULTILINE)} == {tap["config"][n] for n in given}


def test_each_environment_of_the_example_has_a_schedule_and_a_database_of_its_own(project: Any) -> None:
    names = {one["name"] for one in project["environments"]}
    assert {schedule["env"]["MELTANO_ENVIRONMENT"] for schedule in project["schedules"]} == names
    paths = {environment(project, name)["loaders"][0]["config"]["path"] for name in names}
    assert len(paths) == len(names) == 2


def _mails(schema: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Properties that hold mail addresses, by their names."""
    for name, member in schema.get("properties", {}).items():
        if "mail" in name.lower():
            yield (*path, name)
        yield from _mails(member, (*path, name))
    if "items" in schema:
        yield from _mails(schema["items"], path)


@pytest.mark.parametrize("name", FIRST_PARTY)
def test_the_example_lets_no_mail_address_through(name: str, project: Any) -> None:
    (plugin,) = [one for one in project["plugins"]["extractors"] if one["name"] == f"tap-{name}"]
    maps = plugin.get("config", {}).get("stream_maps", {})
    for stream in discovery.catalog(host.load(name))["streams"]:
        for path in _mails(stream["schema"]):
            if len(path) == 1:
                assert path[0] in maps[stream["tap_stream_id"]]
            else:
                assert f"!*.*.{path[-1]}" in plugin["select"]
