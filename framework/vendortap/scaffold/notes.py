"""What a draft has to say for itself: guesses, and what could not be told. Names and paths, never values."""

from __future__ import annotations

from collections.abc import Iterator

from vendortap.scaffold.source import printable

SHOWN = 12
"""How many places of a sentence are shown."""


class Notes:
    """Sentences, each with the places that it is true of."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, None]] = {}

    def say(self, sentence: str, place: str = "") -> None:
        """Keep a sentence; ``place`` is a JSON path inside the record, or a name."""
        places = self._places.setdefault(sentence, {})
        if place:
            places[place] = None

    def take(self, other: Notes, path: tuple[str, ...], *, many: bool) -> None:
        """Keep the other's sentences as well, their places as they are called from the record at a path."""
        inside = f"${''.join(f'.{name}' for name in path)}{'[]' if many else ''}"
        for sentence, places in other._places.items():
            for place in places or ("",):
                self.say(sentence, f"${place.removeprefix(inside)}" if place.startswith(inside) else place)

    def __iter__(self) -> Iterator[str]:
        """Yield one line a sentence, with its places behind it: the first of them, where they are many."""
        for sentence, found in self._places.items():
            places = [*found]
            rest = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
            yield printable(f"{sentence}: {', '.join(places[:SHOWN])}{rest}" if places else sentence)

    def places(self, sentence: str) -> tuple[str, ...]:
        """Return the places of a sentence; none where it was not said."""
        return tuple(self._places.get(sentence, ()))
