"""The markers by which pluggy knows a hook's implementation (``hookimpl``) and its specification (``hookspec``)."""

from __future__ import annotations

import pluggy

hookspec = pluggy.HookspecMarker("vendortap")
hookimpl = pluggy.HookimplMarker("vendortap")
