"""The networks that the settings describe, one for each set of learning settings, and the versions they run on."""

from functools import cache, lru_cache

from online_lstm import __version__
from online_lstm.learning.network import (
    LabelModel,
    LearningSettings,
    Model,
    ModelShape,
    NumberModel,
    SymbolModel,
    fingerprint,
)
from online_lstm.learning.number.number_learner import number_ensemble_from
from online_lstm.learning.partition import NetworkFactory
from online_lstm.settings import Settings


@lru_cache(maxsize=8)
def model_factory(settings: Settings) -> NetworkFactory:
    """Return a function that makes the network for given learning settings, once for each set of them.

    Equal settings share their networks, and so their compiled programs.

    Raises:
        SettingsError: A layer is invalid; raised by the returned function.
    """
    stateful = settings.stateful
    shape = ModelShape(
        layers=settings.network,
        window=settings.window,
        stateful=stateful,
        seed=settings.seed,
        replay_buffer_size=settings.replay_buffer_size,
    )

    @cache
    def network_for(learning: LearningSettings) -> Model:
        if settings.task == "number":
            return NumberModel(
                shape,
                learning,
                features=number_ensemble_from(settings).features,
                horizons=settings.horizons * settings.features,
            )
        if settings.task == "label":
            return LabelModel(
                shape,
                learning,
                features=settings.features,
                classes=settings.classes,
                position_weights=settings.position_weights,
            )
        return SymbolModel(shape, learning)

    return network_for


def versions() -> dict[str, str]:
    """Return the versions and the machine properties that the figures of a report depend on."""
    return {"online-lstm": __version__, **fingerprint()}
