"""Every error of vendortap, one tree, and every exit code.

::

    VendortapError                  exit 1
    ├── UsageError                  exit 2   what the operator gave is wrong
    │   ├── ConfigError                      a setting, or a file that a setting names
    │   ├── CatalogError                     the catalog given with --catalog
    │   └── StateError                       the state: given with --state, or kept by the database
    ├── PluginError                          a plugin that cannot be used: distribution and reason
    │   ├── UnknownConnector        exit 2   no plugin of that name
    │   └── DeclarationError                 a connector or schema that contradicts itself
    ├── VendorError                          what came back from the vendor, or did not
    │   ├── TransportError                   no usable answer within the retry budget
    │   ├── CredentialsError                 the vendor refuses the credentials
    │   ├── MissingError                     the vendor does not have what was asked for
    │   ├── RefusedError                     the vendor answered with an error
    │   │   └── UnavailableError             and would answer so to every other request
    │   ├── DriftError                       replies are not as they were, and `on_drift` is `fail`
    │   ├── QuarantineError                  more records do not fit than `quarantine_limit` allows
    │   ├── OpenItemsError                   more was not obtained than a stream remembers
    │   └── BodyError                        the answer cannot be read at all
    │       └── RecordError                  one record in it does not fit its schema
    ├── LoadError                            a message or value that the target cannot take
    ├── InUseError                           another run is at work on the same state file or database
    └── InternalError                        vendortap contradicts itself

A message says who (connector, stream), where (invoice, field, page), what, and what to do next. It never
holds a response body, a secret, or personal data.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with. A signal that ends it gives 128 and its number, as shells have it."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """What the operator gave is wrong: the command line, a setting, a file."""
    INCOMPLETE = 3
    """The run is done, but records are missing, are in quarantine, or share a key with others."""


class VendortapError(Exception):
    """The root: whatever vendortap itself raises.

    ``exit_code`` is what a command ends with. ``of_one_request`` says that other requests may well succeed: where there
    are several documents or partitions, the others are read first. ``is_last`` says that this has been done.
    """

    exit_code = ExitCode.FAILED
    of_one_request = False
    is_last = False


class UsageError(VendortapError):
    """What the operator gave on the command line or in a file is wrong."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A setting is missing, unknown or of the wrong kind, or the file it names cannot be used."""


class CatalogError(UsageError):
    """The catalog is not JSON, or names a stream or field that the connector does not have."""


class StateError(UsageError):
    """The state is not JSON, not a state, of another version, or does not belong to what is in the database."""


class PluginError(VendortapError):
    """A plugin that cannot be used; the message names its distribution and the reason."""


class UnknownConnector(PluginError):
    """No plugin registers a connector of that name."""

    exit_code = ExitCode.USAGE


class DeclarationError(PluginError):
    """A connector's declaration or one of its schemas contradicts itself or asks for what cannot be honoured."""


class VendorError(VendortapError):
    """Something that the vendor sent, or failed to send."""


class TransportError(VendorError):
    """No usable answer within the retry budget: connection, timeout, 408, 429 or 5xx."""


class CredentialsError(VendorError):
    """The vendor refuses the credentials; asking again does not help."""


class MissingError(VendorError):
    """The vendor says that what was asked for does not exist."""

    of_one_request = True


class RefusedError(VendorError):
    """The vendor answered with an error that is neither transient, nor missing, nor about credentials."""

    of_one_request = True


class UnavailableError(RefusedError):
    """A refusal that other requests would meet as well: a redirect, a 5xx that does not pass, no token."""

    of_one_request = False


class DriftError(VendorError):
    """A field that is not declared, one that is no longer there, or another type; the operator wants to stop at it."""


class QuarantineError(VendorError):
    """So many records do not fit that something is wrong altogether."""


class OpenItemsError(VendorError):
    """More was listed and not obtained than a stream remembers."""


class BodyError(VendorError):
    """The body is truncated, not in the declared format, hostile, or not the document that was expected."""

    of_one_request = True


class RecordError(BodyError):
    """One record does not fit its schema: the message names stream, key and JSON path."""


class LoadError(VendortapError):
    """A Singer message, or a value in it, that the target cannot load exactly."""


class InUseError(VendortapError):
    """Another run is at work on the same state file or database; nothing was fetched."""


class InternalError(VendortapError):
    """A promise that vendortap makes to itself is broken; it cannot go on as if nothing were."""
