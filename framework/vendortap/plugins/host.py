"""The host: finds plugins, loads each by itself, and says which connectors are broken and why.

First-party connectors come through the same door as anyone's: the entry-point group ``vendortap.connectors``. What
plugins bring beside connectors, vendortap.plugins.extensions asks them for. Finding plugins reads metadata only; a
plugin is imported when it is used. Each is registered with a plugin manager of its own, so that a broken one breaks
nothing but itself.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from vendortap.declare.model import HOOKSPEC_VERSION, Connector
from vendortap.errors import PluginError, UnknownConnector, VendortapError
from vendortap.support.redact import shown

if TYPE_CHECKING:
    from pluggy import PluginManager

GROUP = "vendortap.connectors"
"""The entry-point group of connectors."""
HOOKS = "vendortap.plugins"
"""The entry-point group of plugins that bring anything else."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin as its metadata describe it: not yet imported. ``rivals`` bring a connector of the same name."""

    name: str
    entry_point: EntryPoint
    rivals: tuple[EntryPoint, ...] = ()

    @property
    def distribution(self) -> str:
        """The distribution that brings it, with its version; all of them, where they are rivals."""
        return " and ".join(_distribution(entry_point) for entry_point in (self.entry_point, *self.rivals))

    @property
    def package(self) -> str:
        """The name of the distribution that brings it."""
        return self.entry_point.dist.name if self.entry_point.dist else self.entry_point.module


def _distribution(entry_point: EntryPoint) -> str:
    if (found := entry_point.dist) is None:
        return "an unknown distribution"
    metadata = found.metadata  # parsed anew, with the whole description, each time that it is asked for
    return f"{metadata['Name']} {metadata['Version']}"


def find(group: str = GROUP) -> dict[str, Plugin]:
    """Return the installed plugins by name, which is that of the connector; imports none of them.

    Where two distributions bring the same name, none of the two is preferred: using that name is an error.
    """
    found: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry_point in entry_points(group=group):
        if not any(_same(entry_point, known) for known in found[entry_point.name]):
            found[entry_point.name].append(entry_point)
    return {name: Plugin(name, first, tuple(rest)) for name, (first, *rest) in sorted(found.items())}


def _same(one: EntryPoint, other: EntryPoint) -> bool:
    """An installation that is on the path twice shows each entry point twice."""
    return one.value == other.value and _distribution(one) == _distribution(other)


def load(name: str, *, fully: bool = False) -> Connector:
    """Import a plugin and return its connector, checked: ``fully``, or as far as each start can wait for.

    Raises:
        UnknownConnector: no plugin has that name.
        PluginError: the plugin is broken: with its distribution and the reason.
    """
    plugins = find()
    if name not in plugins:
        known = ", ".join(plugins) or "none"
        raise UnknownConnector(f"there is no connector {name!r}; installed: {known}. See `vendortap list`.")
    plugin = plugins[name]
    try:
        return _load(plugin, fully)
    except VendortapError as error:
        raise PluginError(f"connector {name!r} of {plugin.distribution} cannot be used: {error}") from error


def problems() -> Mapping[str, str | None]:
    """Load every plugin, fully checked; returns the reason why each is broken, or ``None``.

    What they use that is deprecated is told on standard error.
    """
    return problems_of(find(), lambda plugin: load(plugin.name, fully=True))


def problems_of(found: Mapping[str, Plugin], use: Callable[[Plugin], object]) -> dict[str, str | None]:
    """Use each plugin, deprecations shown; returns the reason why each cannot be used, or ``None``."""
    reasons: dict[str, str | None] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("default", "vendortap: ", DeprecationWarning)
        for name, plugin in found.items():
            try:
                use(plugin)
                reasons[name] = None
            except PluginError as error:
                reasons[name] = str(error)
    return reasons


def registered(plugin: Plugin) -> PluginManager:
    """Import a plugin, and register it with a manager of its own.

    Raises:
        PluginError: its name is taken twice, it cannot be imported, or it does not keep to the hook specification.
    """
    if plugin.rivals:
        raise PluginError("the name is taken by more than one distribution; uninstall all but one of them")
    module = guarded(f"importing {plugin.entry_point.value}", plugin.entry_point.load)
    wanted = getattr(module, "HOOKSPEC_VERSION", HOOKSPEC_VERSION)
    if not isinstance(wanted, int) or wanted > HOOKSPEC_VERSION:
        raise PluginError(
            f"it is made for hook specification {wanted}, this vendortap speaks {HOOKSPEC_VERSION}; upgrade vendortap"
        )
    return guarded("calling its hooks", lambda: _manager(module))


def _load(plugin: Plugin, fully: bool) -> Connector:
    manager = registered(plugin)
    from vendortap.plugins import validation  # here, as listing plugins needs none of it

    for hook in implemented(manager):
        if hook != "register_connector":
            raise PluginError(
                f"it implements the hook {hook}, which is called only in modules that an entry point of the group "
                "vendortap.plugins names"
            )
    connector = guarded("calling its hooks", manager.hook.register_connector)
    if connector is None:
        raise PluginError(f"{plugin.entry_point.value} implements no hook register_connector, or that returned None")
    if not isinstance(connector, Connector):
        raise PluginError(f"register_connector returned {type(connector).__name__}, not a Connector")
    if connector.name != plugin.name:
        raise PluginError(f"its entry point is called {plugin.name!r}, its connector {connector.name!r}")
    guarded("checking its declaration", lambda: validation.check(connector, fully=fully))
    return connector


def implemented(manager: PluginManager) -> list[str]:
    """Return the names of the hooks that a plugin implements."""
    (module,) = manager.get_plugins()
    return [caller.name for caller in manager.get_hookcallers(module) or ()]


def _manager(module: Any) -> PluginManager:
    import pluggy

    from vendortap.plugins import hookspecs

    manager = pluggy.PluginManager("vendortap")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    return manager


def guarded(doing: str, step: Callable[[], T]) -> T:
    """Run a plugin's code: whatever it raises is its own fault, and standard output is not for it to write to."""
    try:
        with redirect_stdout(sys.stderr):
            return step()
    except VendortapError:
        raise
    except (Exception, SystemExit) as error:
        reason = shown(str(error))
        raise PluginError(f"{doing} raised {type(error).__name__}: {reason}".rstrip(": ")) from error
