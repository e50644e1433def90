"""What is passed on of an environment: by names, and never more than a program needs."""

from __future__ import annotations

import pytest

from vendortap.support.environment import for_tap, for_target, for_tool, hint, withheld

NEEDED = {
    "PATH": "/bin",
    "HOME": "/home/x",
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "UTC",
    "TMPDIR": "/var/x",
    "PYTHONPATH": "x",
    "VIRTUAL_ENV": "/venv",
}
SECRETS = {
    "HTTPS_PROXY": "http://user:hush@proxy:3128",
    "http_proxy": "http://user:hush@proxy:3128",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=hush",
    "AWS_SECRET_ACCESS_KEY": "hush",
    "TAP_ACME_CLIENT_SECRET": "hush",
    "TAP_ACME_EU_CLIENT_SECRET": "hush",
    "TAP_OTHER_CLIENT_SECRET": "hush",
    "TARGET_POSTGRES_PASSWORD": "hush",
    "TARGET_SNOWFLAKE_PASSWORD": "hush",
    "PGPASSWORD": "hush",
    "VENDORTAP_REPORT": "/somewhere",
    "GITHUB_TOKEN": "hush",
    "PYTHON_TOKEN": "hush",
    "DATABASE_URL": "postgres://user:hush@host",
}
ALL = NEEDED | SECRETS


@pytest.mark.parametrize(
    ("command", "own"),
    [
        (["target-postgres"], {"TARGET_POSTGRES_PASSWORD", "PGPASSWORD"}),
        (["/opt/target-snowflake/bin/target-postgres", "--config", "target-snowflake.json"], None),
        (["sh", "-c", "exec target-snowflake --config x"], {"TARGET_SNOWFLAKE_PASSWORD"}),
        (["python", "-m", "target_snowflake"], {"TARGET_SNOWFLAKE_PASSWORD"}),
        (["target-jsonl"], set()),
        (["python", "-P", "-m", "vendortap.duckdb", "--config", "target-postgres.json"], set()),
        (["load-invoices"], {"TARGET_POSTGRES_PASSWORD", "TARGET_SNOWFLAKE_PASSWORD"}),
    ],
)
def test_a_target_gets_its_own_settings_only(command: list[str], own: set[str] | None) -> None:
    own = {"TARGET_POSTGRES_PASSWORD", "PGPASSWORD"} if own is None else own
    assert for_target(ALL, command).keys() == NEEDED.keys() | own


def test_a_proxy_without_a_password_is_no_secret() -> None:
    proxies = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost", "all_proxy": "socks5://u:hush@proxy"}
    assert for_target(proxies, ["target-x"]).keys() == {"HTTPS_PROXY", "NO_PROXY"}


def test_a_tap_gets_its_own_settings_and_not_those_of_a_connector_whose_name_begins_alike() -> None:
    given = for_tap(ALL, "acme", ["acme", "acme-eu", "other"])
    foreign = {name for name in SECRETS if name.startswith(("TAP_", "TARGET_", "PG", "GITHUB", "DATABASE", "PYTHON_"))}
    assert ALL.keys() - given.keys() == foreign - {"TAP_ACME_CLIENT_SECRET"}
    assert "TAP_ACME_EU_CLIENT_SECRET" in for_tap(ALL, "acme-eu", ["acme", "acme-eu"])
    assert "TAP_ACME_CLIENT_SECRET" not in for_tap(ALL, "acme-eu", ["acme", "acme-eu"])


def test_a_tool_gets_no_setting_at_all() -> None:
    assert for_tool(ALL | {"LOGLEVEL": "INFO"}) == NEEDED


@pytest.mark.parametrize(
    ("more", "names"),
    [
        (["AWS_SECRET_ACCESS_KEY"], {"AWS_SECRET_ACCESS_KEY"}),
        (["TAP_ACME_*"], {"TAP_ACME_CLIENT_SECRET", "TAP_ACME_EU_CLIENT_SECRET"}),
        (["NOSUCH", "PY*N"], set()),
        (["*"], set(SECRETS)),
    ],
)
def test_names_and_prefixes_widen_what_is_given(more: list[str], names: set[str]) -> None:
    assert for_target(ALL, ["target-x"], more).keys() == NEEDED.keys() | names
    assert for_tap(ALL, "acme", ["acme", "acme-eu"], more).keys() >= NEEDED.keys() | names


def test_what_was_withheld_is_told_by_name() -> None:
    environment = {**ALL, "BASH_FUNC_x%%": "() { :; }"}
    names = withheld(environment, for_target(environment, ["target-postgres"]), ["target-postgres"])
    assert {*names} == SECRETS.keys() - {"TARGET_POSTGRES_PASSWORD", "PGPASSWORD"}
    assert hint(["A", "B"]).endswith("of the environment: A, B. If it needs one of them, name it with --target-env")
    assert "hush" not in hint(names)
    assert withheld(environment, {}, ["python", "-m", "vendortap.duckdb"]) == []
