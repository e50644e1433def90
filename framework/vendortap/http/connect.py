"""From a connector and its settings to the connection that its streams are read through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vendortap.declare.model import Config, Connector, Limit
from vendortap.decode.schemas import Schema, secrets
from vendortap.http.client import Client
from vendortap.http.token_store import Memory
from vendortap.http.traffic import Attempt


def connect(
    connector: Connector, config: Config, settings: Schema, observe: Callable[[Attempt], None] | None = None
) -> Client:
    """Return the connection of a connector; nothing is sent yet. ``observe`` is told of each attempt of a request.

    Raises:
        ConfigError: an address that is neither https nor loopback, or a CA bundle that cannot be used.
    """
    return Client(
        name=connector.name,
        base_url=connector.base_url(config),
        config=config,
        auth=connector.auth,
        limit=limit(connector, config),
        timeout=float(config["timeout_seconds"]),
        retry_seconds=float(config["retry_seconds"]),
        reply_seconds=float(config["reply_seconds"]),
        max_body=round(config["max_body_mb"] * 1_000_000),
        connections=config["concurrency"],
        expired=connector.expired,
        missing=connector.missing,
        headers=lambda: connector.headers(config),
        rate_limit=connector.rate_limit,
        trace=connector.trace,
        memory=Memory(Path(config["token_file"]) if config.get("token_file") else None),
        ca_bundle=config.get("ca_bundle"),
        observe=observe,
        secrets=secrets(config, settings),
    )


def limit(connector: Connector, config: Config) -> Limit | None:
    """Return the token bucket: the connector's, unless the operator set another one."""
    declared = connector.limit
    burst = config.get("burst") or (declared.burst if declared else 1)
    each_endpoint = declared.each_endpoint if declared else False
    if "requests_per_second" not in config:
        return declared and replace(declared, burst=burst)
    rate = config["requests_per_second"]
    return None if rate is None else Limit(float(rate), burst, each_endpoint, adaptive=False)
