"""What a connector's tap says before anything is read: its catalog, and the settings that the environment gives."""

from __future__ import annotations

from typing import Any

from vendortap.declare.model import Connector
from vendortap.singer.tap import ConnectorTap, tap_class


def catalog(connector: Connector) -> dict[str, Any]:
    """Return the connector's Singer catalog, everything selected by default."""
    tap = tap_class(connector)(validate_config=False, setup_mapper=False)
    return tap.catalog_dict


def catalog_entry(connector: Connector) -> dict[str, Any]:
    """Return what `catalog.json` says of a first-party connector."""
    return {
        "title": connector.title,
        "executable": f"tap-{connector.name}",
        "capabilities": [str(capability.value) for capability in ConnectorTap.capabilities],
        "catalog": catalog(connector),
    }


def environment(connector: Connector) -> dict[str, Any]:
    """Return the settings that the environment gives, as the SDK reads them: TAP_<CONNECTOR>_<SETTING>."""
    config: dict[str, Any] = tap_class(connector)._env_var_config
    return config
