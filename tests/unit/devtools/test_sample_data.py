"""Streams that are made: what they promise to whoever measures on them."""

from collections import defaultdict
from itertools import islice, pairwise

import pytest
from online_lstm.devtools.sample_data import (
    DAY,
    LEVEL_CHANGE,
    LEVEL_EVERY,
    LOOP,
    LOOP_CEILING,
    LOOP_SYMBOLS,
    NOISE_CHANGE,
    OUTLIER,
    PHASE,
    PHASE_PERIODS,
    Element,
    daily_load,
    demo_elements,
    demo_stream,
    high_order,
    noisy_loop,
    switching,
)

MADE = {
    "high order": high_order,
    "switched": lambda seed, events: high_order(seed, events, switch=300),
    "two endings": lambda seed, events: high_order(seed, events, endings=2),
    "noise": noisy_loop,
    "switch": switching,
}


def sequences_of(elements: list[Element]) -> list[tuple[float, ...]]:
    """Cut a high-order stream after the noise that follows each scored element."""
    sequences, begin = [], 0
    for place, element in enumerate(elements[:-1]):
        if element.scored:
            sequences.append(tuple(e.value for e in elements[begin : place + 1]))
            begin = place + 2
    return sequences


def test_the_seeds_stream_repeats_after_27_values() -> None:
    """Every 28 ends a period; 0 asks for a stream without end; as elements it is scored from the first on."""
    values = [int(value) for value in demo_stream(54)]
    assert [26, 53] == [place for place, value in enumerate(values) if value == 28]
    assert values[:27] == values[27:]
    assert values == [int(value) for value in islice(demo_stream(0), 54)]
    assert [Element(value, scored=True) for value in values] == list(demo_elements(54))


def test_the_daily_load_has_season_noise_change_and_outliers() -> None:
    """Between two days there is noise only; then level and noise change, and one value in 600 is far away."""
    values = [float(value) for value in daily_load(2000)]
    assert values == [float(value) for value in islice(daily_load(0), 2000)]
    differences = [after - before for before, after in zip(values, values[DAY:], strict=False)]
    outliers = [300, 900, 1500]
    near = {place + shift for place in outliers for shift in (0, -DAY)}
    changing = range(LEVEL_EVERY - DAY, LEVEL_EVERY)
    quiet = [d for place, d in enumerate(differences) if place not in near and place not in changing]
    before = LEVEL_EVERY - DAY - 2 * len(near) // 3  # without the outliers
    assert 1 < max(map(abs, quiet[:before])) <= 6.1 < max(map(abs, quiet[before:])) <= 6 * NOISE_CHANGE + 0.1
    assert all(abs(differences[place] - LEVEL_CHANGE) <= 3 + 3 * NOISE_CHANGE + 0.1 for place in changing)
    assert all(abs(differences[place] + OUTLIER) <= 6 * NOISE_CHANGE + 0.1 for place in outliers)
    assert max(values[:300]) - min(values[:300]) > 40


@pytest.mark.parametrize("name", MADE)
def test_a_stream_follows_from_its_seed(name: str) -> None:
    """The same seed gives the same elements, however many are taken; another one gives others."""
    longer = list(MADE[name](7, 500))
    assert 500 == len(longer)
    assert longer[:200] == list(MADE[name](7, 200))
    assert longer != list(MADE[name](8, 500))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("high order", [8, 4, 6, 0, 2, 7, 5, 11199, 1, 8, 3, 9]),
        ("noise", [2, 2, 4, 1, 2, 4, 2, 0, 0, 1, 3, 4]),
        ("switch", [3, 3, 5, 4, 2, 3, 2, 4, 4, 4, 1, 0]),
    ],
)
def test_streams_stay_the_same(name: str, expected: list[int]) -> None:
    """Published figures are of these very elements, on any machine."""
    assert expected == [element.value for element in MADE[name](1000, 12)]


def test_an_ending_follows_from_both_ends_of_what_leads_up_to_it() -> None:
    """Eight sequences; who forgets the first symbol, or sees the last three values only, cannot know the ending."""
    sequences = set(sequences_of(list(high_order(3, 5000))))
    assert 8 == len(sequences)
    assert [7] * 4 + [8] * 4 == sorted(map(len, sequences))
    for hidden in (slice(1, -1), slice(-4, -1)):
        endings = defaultdict(set)
        for sequence in sequences:
            endings[sequence[hidden]].add(sequence[-1])
        assert {2} == {len(possible) for possible in endings.values()}
    assert 8 == len({sequence[:-1] for sequence in sequences})


def test_noise_stands_between_sequences() -> None:
    """One value that says nothing, after each scored one; none of the two is predictable from the other."""
    elements = list(high_order(3, 5000))
    noise = [after.value for before, after in pairwise(elements) if before.scored]
    others = {value for sequence in sequences_of(elements) for value in sequence}
    assert set(range(10)) == others
    assert set() == others & set(noise)
    assert len(set(noise)) > 0.95 * len(noise)


def test_a_switch_exchanges_the_endings_and_nothing_else() -> None:
    """Until then the stream is as without it; then pairs of sequences have each other's endings."""
    plain, switched = list(high_order(4, 6000)), list(high_order(4, 6000, switch=3000))
    assert plain[:3000] == switched[:3000]
    differing = [place for place, pair in enumerate(zip(plain, switched, strict=True)) if pair[0] != pair[1]]
    assert [place for place in range(3008, 6000) if plain[place].scored] == [
        place for place in differing if place >= 3008
    ]
    first = next(place for place in range(3008, 6000) if plain[place].scored) + 2
    before, after = set(sequences_of(plain)), set(sequences_of(switched[first:]))
    assert {sequence[:-1] for sequence in before} == {sequence[:-1] for sequence in after}
    assert set() == before & after


@pytest.mark.parametrize("endings", [2, 4])
def test_sequences_may_have_several_endings(endings: int) -> None:
    """All of them come equally often, and no other sequence over the same run has one of them."""
    seen = defaultdict(list)
    for sequence in sequences_of(list(high_order(5, 20_000, endings=endings))):
        seen[sequence[:-1]].append(sequence[-1])
    assert {endings} == {len(set(lasts)) for lasts in seen.values()}
    for beginning, lasts in seen.items():
        rivals = {
            last for other, found in seen.items() if other != beginning and other[1:] == beginning[1:] for last in found
        }
        assert set() == rivals & set(lasts)
        assert all(abs(lasts.count(last) / len(lasts) - 1 / endings) < 0.15 for last in set(lasts))


def test_the_noisy_loop_has_the_ceiling_that_it_says() -> None:
    """Who knows the loop is right in about 96 of 100, and the misses are spread over all its places."""
    elements = [element.value for element in noisy_loop(6, 60_000)]
    places = [elements[place::LOOP] for place in range(LOOP)]
    usual = [max(set(values), key=values.count) for values in places]
    assert 0.96 == pytest.approx(LOOP_CEILING)
    assert pytest.approx(LOOP_CEILING, abs=0.004) == sum(
        value == usual[place % LOOP] for place, value in enumerate(elements)
    ) / len(elements)
    assert set(range(LOOP_SYMBOLS)) == set(elements)
    assert all(set(range(LOOP_SYMBOLS)) == set(values) for values in places)


def test_switching_stream_repeats_within_a_phase() -> None:
    """Each phase has a period of its own."""
    elements = [element.value for element in switching(9, 5 * PHASE)]
    phases = [elements[begin : begin + PHASE] for begin in range(0, len(elements), PHASE)]
    periods = [next(p for p in PHASE_PERIODS if phase[:-p] == phase[p:]) for phase in phases]
    assert len(set(periods)) > 1
    loops = {tuple(phase[:period]) for phase, period in zip(phases, periods, strict=True)}
    assert 5 == len(loops)
