"""The networks that the settings describe, one for each way of learning, and what they run on."""

from functools import cache

from online_lstm import __version__
from online_lstm.learning.learners import AnyNetwork
from online_lstm.learning.network import Classifier, Learning, Network, Regression, Shape, fingerprint
from online_lstm.learning.number.number_learner import panel_of
from online_lstm.learning.partition import NetworkFactory
from online_lstm.settings import Settings


def networks_of(settings: Settings) -> NetworkFactory:
    """Give the function that makes the network for some learning settings, once for each.

    Raises:
        SettingsError: A layer is none; raised by the function.
    """
    carried = settings.states == "carried"
    shape = Shape(
        layers=settings.network,
        window=settings.window,
        carried=carried,
        seed=settings.seed,
        replay_history=settings.replay_history,
    )

    @cache
    def network_for(learning: Learning) -> AnyNetwork:
        if settings.task == "number":
            return Regression(
                shape, learning, features=panel_of(settings).features, horizons=settings.horizons * settings.features
            )
        if settings.task == "label":
            return Classifier(
                shape,
                learning,
                features=settings.features,
                classes=settings.classes,
                position_weights=settings.position_weights,
            )
        return Network(shape, learning)

    return network_for


def versions() -> dict[str, str]:
    """Name what the figures of a report depend on."""
    return {"online-lstm": __version__, **fingerprint()}
