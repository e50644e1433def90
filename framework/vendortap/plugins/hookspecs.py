"""The hooks a plugin can implement, and their markers.

A plugin is a module that an entry point names. It implements hooks by decorating functions with ``hookimpl``:

- in the group ``vendortap.connectors``, it brings the connector that the entry point is called like, by
  ``register_connector``;
- in the group ``vendortap.plugins``, it brings parts that connectors of any distribution can use, or acts on the pages
  of all of them, by the other hooks. The entry point's name is the plugin's, in messages and in the setting
  ``plugins``.

Where a plugin needs a newer set of hooks than the installed vendortap has, it says so with a module constant
``HOOKSPEC_VERSION``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vendortap.declare.hooks import hookspec
from vendortap.declare.model import Authorize, Connector, Decoder, PageAction, Pager, Stream


@hookspec(firstresult=True)
def register_connector() -> Connector | None:
    """Return the connector that this plugin brings."""


@hookspec
def register_auth_flows() -> Mapping[str, Callable[..., Authorize]] | None:
    """Return makers of auth flows by name, for ``vendortap.plugins.extensions.auth_flow(name, ...)`` in declarations.

    Each takes what a declaration gives it, such as names of settings, and returns the flow: a generator that yields
    token calls, is sent their replies, and returns ``Credentials``, whose ``sign`` signs each request where need be.
    """


@hookspec
def register_pagers() -> Mapping[str, Callable[..., Pager]] | None:
    """Return makers of pagers by name, for ``vendortap.plugins.extensions.pager(name, ...)`` in declarations.

    A pager is a generator that yields requests and is sent pages, with headers and the values of
    ``RecordSelector.more``.
    """


@hookspec
def register_decoders() -> Mapping[str, Decoder] | None:
    """Return readers of further formats by media type, in lower case and without parameters, such as ``text/csv``.

    Replies of that type are read by them, of any connector. JSON and XML are vendortap's own and cannot be replaced.
    """


@hookspec
def page_action(connector: Connector, stream: Stream, options: Mapping[str, Any]) -> PageAction | None:
    """Return what to do with each page of a stream, or ``None`` for nothing; asked once for each stream of a run.

    ``options`` is what the operator's setting ``plugins`` has under the plugin's name, empty if nothing. The actions
    of several plugins are taken in the order of the plugins' names. Records in quarantine do not come this way.
    """
