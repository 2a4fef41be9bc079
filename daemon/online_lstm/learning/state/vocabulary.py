"""Vocabulary learned online: the small integers that stand for the values of one stream.

The module owns the naming of values and nothing else: learned state about a value is stored elsewhere, under these
integers. A vocabulary is bounded: the least recently seen values are evicted, and their integers are reused.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from online_lstm.errors import StateMismatchError
from online_lstm.events import Symbol
from online_lstm.learning.state.packed import require_same

_ARRAYS = {"ids": np.int32, "codes": np.int32, "sightings": np.int64}
"""The arrays of a state beside the literals, with an entry for each literal."""


class VocabularyLookup(NamedTuple):
    """The integers of a value at one sighting (a tuple, because one is made for every event).

    ``value_id`` names the value to the experts; ``fresh`` says that the id was assigned at this sighting. ``code``
    names the value to the network, 0 while the value is not admitted; ``admitted`` says that the value was admitted at
    this sighting, ``replaced`` that the code was taken from another value. ``left`` is the value id of an evicted
    value, or -1.
    """

    value_id: int
    fresh: bool = False
    code: int = 0
    admitted: bool = False
    replaced: bool = False
    left: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class VocabularyState:
    """The values of a vocabulary, admitted values before candidates, each group with the least recently seen one first.

    ``literals`` are JSON texts. ``ids`` and ``codes`` are int32 ``(N,)``; code 0 is the code of a candidate.
    ``sightings``, int64 ``(N,)``, are counted until a value is admitted.
    """

    literals: list[str]
    ids: NDArray[np.int32]
    codes: NDArray[np.int32]
    sightings: NDArray[np.int64]

    def to_arrays(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"literals": self.literals, "ids": self.ids, "codes": self.codes, "sightings": self.sightings}

    @classmethod
    def from_arrays(cls, content: Mapping[str, Any]) -> Self:
        """Read a state that ``to_arrays`` returned."""
        require_same("vocabulary: names", sorted(content), ["codes", "ids", "literals", "sightings"])
        return cls(**content)


@dataclass(slots=True)
class _Entry:
    literal: str
    value_id: int
    code: int = 0
    sightings: int = 0


class Vocabulary:
    """The values of one stream: at most ``max_codes`` admitted values and at most ``max_codes`` candidates.

    A candidate is admitted at its ``min_occurrences``-th sighting; the first value of a stream is admitted at once.
    ``value_ids`` has the ids of the admitted values by code, int32 ``(max_codes + 1,)``.
    """

    def __init__(self, *, max_codes: int, min_occurrences: int) -> None:
        self._max_codes = max_codes
        self._min_occurrences = min_occurrences
        self.value_ids = np.zeros(max_codes + 1, np.int32)
        self._clear()

    @property
    def known(self) -> int:
        """The number of codes in use, including 0."""
        return len(self._admitted) + 1

    @property
    def full(self) -> bool:
        """Whether a value can only be admitted by evicting another value."""
        return len(self._admitted) == self._max_codes

    def literals(self) -> dict[int, str]:
        """Return the JSON text of each value by its id, as received at its admission, or else at its first sighting."""
        return {value_id: entry.literal for value_id, entry in self._by_id.items()}

    def ids(self) -> dict[int, int]:
        """Return the value ids by the codes in use."""
        return {code: entry.value_id for code, entry in self._by_code.items()}

    def literal_of(self, value_id: int) -> str:
        """Return the JSON text of the value that an id in use stands for."""
        return self._by_id[value_id].literal

    def admitted(self, symbol: Symbol) -> VocabularyLookup | None:
        """Return the integers of an admitted value, without a sighting; None if the value is not admitted."""
        entry = self._admitted.get(symbol)
        return None if entry is None else VocabularyLookup(entry.value_id, code=entry.code)

    def observe(self, symbol: Symbol, literal: str, *, admits: bool = True) -> VocabularyLookup:
        """Count a sighting of a value with the JSON text ``literal``; without ``admits``, do not admit the value."""
        entry = self._admitted.get(symbol)
        if entry is not None:
            self._admitted.move_to_end(symbol)
            return VocabularyLookup(entry.value_id, code=entry.code)
        entry = self._candidates.pop(symbol, None)
        fresh = entry is None
        enough = not self._admitted or (entry.sightings if entry else 0) + 1 >= self._min_occurrences
        admitted = admits and enough
        replaced = admitted and self.full
        code = self.known if admitted else 0
        left = -1
        # evict first, so that there is always a free id
        if replaced:
            stalest = self._forget_stalest(self._admitted)
            code, left = stalest.code, stalest.value_id
        elif fresh and not admitted and len(self._candidates) == self._max_codes:
            left = self._forget_stalest(self._candidates).value_id
        if entry is None:
            entry = _Entry(literal, self._free_id())
            self._by_id[entry.value_id] = entry
        entry.sightings += 1
        if admitted:
            entry.literal, entry.code = literal, code
            self._by_code[code] = self._admitted[symbol] = entry
            self.value_ids[code] = entry.value_id
        else:
            self._candidates[symbol] = entry
        return VocabularyLookup(entry.value_id, fresh, code, admitted, replaced, left)

    def state(self) -> VocabularyState:
        """Return a copy of all values."""
        entries = [*self._admitted.values(), *self._candidates.values()]
        return VocabularyState(
            literals=[entry.literal for entry in entries],
            ids=np.array([entry.value_id for entry in entries], np.int32),
            codes=np.array([entry.code for entry in entries], np.int32),
            sightings=np.array([entry.sightings for entry in entries], np.int64),
        )

    def restore(self, state: VocabularyState) -> None:
        """Restore a state that ``state`` returned.

        Raises:
            StateMismatchError: The state is invalid for a vocabulary with these bounds; the vocabulary is unchanged.
        """
        self._require_restorable(state)
        symbols = [_symbol_of(literal) for literal in state.literals]
        require_same("vocabulary: number of different values", len(set(symbols)), len(symbols))
        self._clear()
        columns = (state.literals, state.ids.tolist(), state.codes.tolist(), state.sightings.tolist())
        for symbol, *column in zip(symbols, *columns, strict=True):
            entry = _Entry(*column)
            self._by_id[entry.value_id] = entry
            if entry.code:
                self._by_code[entry.code] = self._admitted[symbol] = entry
                self.value_ids[entry.code] = entry.value_id
            else:
                self._candidates[symbol] = entry
        # an ascending list is a heap already
        self._freed_ids.extend(sorted(set(range(max(self._by_id, default=-1))) - self._by_id.keys()))

    def _clear(self) -> None:
        self._admitted: OrderedDict[Symbol, _Entry] = OrderedDict()
        self._candidates: OrderedDict[Symbol, _Entry] = OrderedDict()
        self._by_id: dict[int, _Entry] = {}
        self._by_code: dict[int, _Entry] = {}
        self._freed_ids: list[int] = []

    def _forget_stalest(self, entries: OrderedDict[Symbol, _Entry]) -> _Entry:
        _, entry = entries.popitem(last=False)
        del self._by_id[entry.value_id]
        heappush(self._freed_ids, entry.value_id)
        return entry

    def _free_id(self) -> int:
        # the smallest free id, so that it depends only on the ids in use, not on the order in which ids were freed
        return heappop(self._freed_ids) if self._freed_ids else len(self._by_id)

    def _require_restorable(self, state: VocabularyState) -> None:
        count = len(state.literals)
        for name, dtype in _ARRAYS.items():
            array = getattr(state, name)
            require_same(f"vocabulary: shape of {name}", array.shape, (count,))
            require_same(f"vocabulary: dtype of {name}", array.dtype, np.dtype(dtype))
        ids, codes = state.ids, state.codes[state.codes != 0]
        require_same("vocabulary: codes", sorted(codes.tolist()), list(range(1, len(codes) + 1)))
        require_same("vocabulary: number of different ids", len(set(ids.tolist())), count)
        fits = max(len(codes), count - len(codes)) <= self._max_codes
        require_same(f"vocabulary: room for all in `max_vocabulary` {self._max_codes}", fits, expected=True)
        in_range = bool(((ids >= 0) & (ids < 2 * self._max_codes)).all())
        require_same(f"vocabulary: ids below {2 * self._max_codes}", in_range, expected=True)


def pack(states: Sequence[VocabularyState]) -> dict[str, Any]:
    """Concatenate the states of vocabularies of different sizes."""
    return {
        "sizes": np.array([len(state.literals) for state in states], np.int64),
        "literals": [literal for state in states for literal in state.literals],
        **{
            name: np.concatenate([np.empty(0, dtype), *(getattr(state, name) for state in states)], dtype=dtype)
            for name, dtype in _ARRAYS.items()
        },
    }


def unpack(packed: Mapping[str, Any]) -> list[VocabularyState]:
    """Return the states that ``pack`` concatenated."""
    ends = np.cumsum(packed["sizes"]).tolist()
    return [
        VocabularyState(**{name: packed[name][end - size : end] for name in ("literals", *_ARRAYS)})
        for end, size in zip(ends, packed["sizes"].tolist(), strict=True)
    ]


def _symbol_of(literal: str) -> Symbol:
    try:
        symbol = json.loads(literal)
    except ValueError as error:
        raise StateMismatchError(
            f"vocabulary: literal in the restored state: received {literal!r}, expected JSON text ({error})"
        ) from error
    if isinstance(symbol, bool) or not isinstance(symbol, int | float | str):
        raise StateMismatchError(
            f"vocabulary: literal in the restored state: received {literal!r}, expected a number or a string"
        )
    return symbol
