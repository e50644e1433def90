"""The hooks a plugin can implement, and their markers.

A plugin is a module named by an entry point of the group ``vendortap.connectors``, whose name is the connector's.
It implements hooks by decorating functions with ``hookimpl``. Where it needs a newer set of hooks than the
installed vendortap has, it says so with a module constant ``HOOKSPEC_VERSION``.
"""

from __future__ import annotations

import pluggy

from vendortap.model import Connector

hookspec = pluggy.HookspecMarker("vendortap")
hookimpl = pluggy.HookimplMarker("vendortap")


@hookspec(firstresult=True)
def register_connector() -> Connector | None:
    """Return the connector that this plugin brings."""
