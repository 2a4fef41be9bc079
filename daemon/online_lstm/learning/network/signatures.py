"""The signatures of the compiled programs: the named arguments and results of each, with their shapes.

A class of this module holds specs in ``specs``, NumPy arrays in a model, and tensors in a program.
``online_lstm.learning.network.call_packing`` converts between them. Must not know TensorFlow.
"""

from typing import Any, NamedTuple

from online_lstm.learning.network.hyperparameters import LearningSettings, line_width
from online_lstm.learning.network.layout import Layout
from online_lstm.learning.network.rng import drops_out
from online_lstm.learning.state.packed import ArraySpec


class SymbolArguments(NamedTuple):
    """The arguments of a call for K of at most E events, with a window of W positions.

    ``known`` has the number of known classes before each event, and after the last one. The ``replayed_`` fields have
    R = E + 1 rows with replay, else none. ``replayed_index`` is the index of the event of the replayed window in the
    call, whose left-edge states only the program knows; -1 for an event before the call, with ``replayed_states``.
    ``dropout`` has the seed of each event, and no rows if nothing is dropped.
    """

    state: Any  # (row_size,)
    events: Any  # int32 (): K
    codes: Any  # int32 (W + E + 1,)
    known: Any  # int32 (E + 2,)
    replayed_codes: Any = None  # int32 (R, W + 1)
    replayed_index: Any = None  # int32 (R,)
    replayed_states: Any = None  # (R, states_size)
    dropout: Any = None  # int32 (E + 1, 2)

    @classmethod
    def specs(
        cls, layout: Layout, learning: LearningSettings, *, window: int, replayed: bool, events: int
    ) -> "SymbolArguments":
        """Describe the arguments."""
        rows = (events + 1) * replayed
        return cls(
            state=ArraySpec((layout.row_size,), "float32"),
            events=ArraySpec((), "int32"),
            codes=ArraySpec((window + events + 1,), "int32"),
            known=ArraySpec((events + 2,), "int32"),
            replayed_codes=ArraySpec((rows, window + 1), "int32", -1),
            replayed_index=ArraySpec((rows,), "int32", -1),
            replayed_states=ArraySpec((rows, layout.sizes[-1]), "float32"),
            dropout=_dropout(layout, learning, replayed=replayed, events=events),
        )


class NumberArguments(NamedTuple):
    """The arguments of a call for K of at most E events; ``NumberModel`` describes a line.

    ``lines`` are the T = window + longest horizon - 1 lines before the first event, then one line for each event. The
    ``replayed_`` fields have R = E + 1 rows with replay, else none: the lines and the left-edge states that each event
    replays. ``dropout`` has the seed of each event, and no rows if nothing is dropped.
    """

    state: Any  # (row_size,)
    events: Any  # int32 (): K
    lines: Any  # (T + E, width)
    replayed_lines: Any = None  # (R, window, width)
    replayed_states: Any = None  # (R, states_size)
    dropout: Any = None  # int32 (E + 1, 2)

    @classmethod
    def specs(
        cls,
        layout: Layout,
        learning: LearningSettings,
        *,
        window: int,
        horizons: tuple[int, ...],
        replayed: bool,
        events: int,
    ) -> "NumberArguments":
        """Describe the arguments."""
        width, rows = line_width(layout.classes, len(horizons)), (events + 1) * replayed
        return cls(
            state=ArraySpec((layout.row_size,), "float32"),
            events=ArraySpec((), "int32"),
            lines=ArraySpec((window + max(horizons) - 1 + events, width), "float32"),
            replayed_lines=ArraySpec((rows, window, width), "float32"),
            replayed_states=ArraySpec((rows, layout.sizes[-1]), "float32"),
            dropout=_dropout(layout, learning, replayed=replayed, events=events),
        )


class RunResults(NamedTuple):
    """The results of a call for K of at most E events: the new state, and N = E + 1 rows, K + 1 of them meaningful.

    ``fit_steps`` counts the steps of each event that were applied, ``skipped_steps`` the steps that would not have been
    finite. ``losses`` are the losses before the first step. ``outputs`` were predicted before each event, and ``edges``
    are the left-edge states before it. The last row has a prediction, but no fit step.
    """

    state: Any  # (row_size,)
    fit_steps: Any  # (N,)
    skipped_steps: Any  # (N,)
    losses: Any  # (N,)
    outputs: Any  # (N, outputs)
    edges: Any  # (N, states_size)

    @classmethod
    def specs(cls, layout: Layout, *, outputs: int, events: int) -> "RunResults":
        """Describe the results."""
        column = ArraySpec((events + 1,), "float32")
        return cls(
            state=ArraySpec((layout.row_size,), "float32"),
            fit_steps=column,
            skipped_steps=column,
            losses=column,
            outputs=ArraySpec((events + 1, outputs), "float32"),
            edges=ArraySpec((events + 1, layout.sizes[-1]), "float32"),
        )


class SampleArguments(NamedTuple):
    """The arguments of a call for K of at most E samples of labelled sequences.

    ``state_index`` is, for each sample, the index of the states that it updates. ``possible`` is 1 for a possible
    label, else 0.
    """

    weights: Any  # (weights_size,)
    events: Any  # int32 (): K
    samples: Any  # (E, features)
    state_index: Any  # int32 (E,)
    states: Any  # (E, states_size)
    possible: Any  # (classes,)

    @classmethod
    def specs(cls, layout: Layout, *, features: int, classes: int, events: int) -> "SampleArguments":
        """Describe the arguments."""
        return cls(
            weights=ArraySpec((layout.sizes[0],), "float32"),
            events=ArraySpec((), "int32"),
            samples=ArraySpec((events, features), "float32"),
            state_index=ArraySpec((events,), "int32"),
            states=ArraySpec((events, layout.sizes[-1]), "float32"),
            possible=ArraySpec((classes,), "float32"),
        )


class SampleResults(NamedTuple):
    """The results of a call for samples: the probabilities after each sample, and the states of each sequence."""

    probabilities: Any  # (E, classes)
    states: Any  # (E, states_size)

    @classmethod
    def specs(cls, layout: Layout, *, classes: int, events: int) -> "SampleResults":
        """Describe the results."""
        return cls(
            probabilities=ArraySpec((events, classes), "float32"),
            states=ArraySpec((events, layout.sizes[-1]), "float32"),
        )


class SequenceArguments(NamedTuple):
    """The arguments of a fit step on a sequence of at most T samples; shorter sequences are padded in front.

    ``positions`` are the weights of the samples in the loss. ``possible`` is 1 for a possible label, else 0.
    ``dropout`` is the seed of the sequence, without elements if no layer drops out.
    """

    state: Any  # (row_size,)
    samples: Any  # (T, features)
    positions: Any  # (T,)
    possible: Any  # (classes,)
    length: Any  # int32 ()
    label: Any  # int32 ()
    dropout: Any = None  # int32 (2,)

    @classmethod
    def specs(cls, layout: Layout, *, features: int, classes: int, steps: int) -> "SequenceArguments":
        """Describe the arguments."""
        return cls(
            state=ArraySpec((layout.row_size,), "float32"),
            samples=ArraySpec((steps, features), "float32"),
            positions=ArraySpec((steps,), "float32"),
            possible=ArraySpec((classes,), "float32"),
            length=ArraySpec((), "int32"),
            label=ArraySpec((), "int32"),
            dropout=ArraySpec((2 * layout.drops_out,), "int32"),
        )


class SequenceResults(NamedTuple):
    """The results of a fit step on a sequence: the new state, steps applied, steps skipped, and the loss."""

    state: Any  # (row_size,)
    fit_steps: Any  # ()
    skipped_steps: Any  # ()
    losses: Any  # ()

    @classmethod
    def specs(cls, layout: Layout) -> "SequenceResults":
        """Describe the results."""
        number = ArraySpec((), "float32")
        return cls(ArraySpec((layout.row_size,), "float32"), number, number, number)


def _dropout(layout: Layout, learning: LearningSettings, *, replayed: bool, events: int) -> ArraySpec:
    drops = drops_out(layout, learning, replayed=replayed)
    return ArraySpec(((events + 1) * drops, 2), "int32")
