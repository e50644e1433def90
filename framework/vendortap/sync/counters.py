"""What became of each record of a stream, counted; and that it adds up."""

from __future__ import annotations

from dataclasses import dataclass, field

from vendortap.errors import InternalError


@dataclass(slots=True)
class Counters:
    """What became of each record of a stream: ``fetched = emitted + filtered + quarantined + skipped``.

    ``fetched``
        came up: in a reply, or, left out already there, in the list that documents are asked for by.
    ``emitted``
        went into RECORD or BATCH messages; a record that a stream map makes several of counts once.
    ``filtered``
        was dropped by the operator's stream maps.
    ``quarantined``
        does not fit its schema, and is in the quarantine.
    ``skipped``
        is not to be handed on: ``known`` are covered by the bookmark, ``repeated`` have the key of one that came
        before, and ``missing`` are listed or configured, but the vendor does not have them.

    ``conflicting`` are keys that several records of a list have which differ, and of which a target keeps one. They are
    no outcome of their own: the records have been emitted.

    ``expected`` is how many slices the stream has where that is known; where only some of its lists have been read yet,
    an estimate from these. ``slices`` is how many are done.

    The pipeline counts what it reads and leaves out, whoever writes messages counts ``emitted`` and ``filtered``: so
    the equation holds only if nothing was lost between the two.
    """

    fetched: int = 0
    emitted: int = 0
    filtered: int = 0
    quarantined: int = 0
    known: int = 0
    repeated: int = 0
    missing: int = 0
    conflicting: int = 0
    slices: int = field(default=0, compare=False)
    expected: int | None = field(default=None, compare=False)

    @property
    def skipped(self) -> int:
        """How many were not to be handed on."""
        return self.known + self.repeated + self.missing

    def outcomes(self) -> dict[str, int]:
        """Return what became of how many, without those that are still on their way."""
        return {
            "emitted": self.emitted,
            "filtered": self.filtered,
            "quarantined": self.quarantined,
            "skipped": self.skipped,
        }

    def __str__(self) -> str:
        """Return the equation."""
        return (
            f"fetched {self.fetched} = emitted {self.emitted} + filtered {self.filtered} + quarantined "
            f"{self.quarantined} + skipped {self.skipped} (known {self.known}, repeated {self.repeated}, "
            f"missing {self.missing})" + (f", conflicting {self.conflicting}" if self.conflicting else "")
        )

    def check(self, who: str) -> None:
        """Hold the equation, of a stream that has been read to its end.

        Raises:
            InternalError: it does not hold.
        """
        if self.fetched != self.emitted + self.filtered + self.quarantined + self.skipped:
            raise InternalError(
                f"{who}: internal error: the records do not add up, {self}. "
                "Do not rely on this run; report it to vendortap with these figures"
            )
