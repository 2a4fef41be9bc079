"""The networks that the settings describe, one for each way of learning, what they begin as, and what they run on."""

from functools import cache

from daemon import __version__
from daemon.errors import SettingsError, StateMismatchError
from daemon.learners import AnyNetwork
from daemon.learners.number import panel_of
from daemon.network import Classifier, Learning, Network, Regression, Shape, fingerprint
from daemon.partition import NetworkFactory
from daemon.settings import Settings
from daemon.warm_start import WarmStart


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


def warm_start_of(settings: Settings) -> WarmStart | None:
    """Read what streams begin as, if the settings say so.

    Raises:
        SettingsError: The file is no checkpoint, or was learned with other shape settings.
    """
    if settings.warm_start is None:
        return None
    from daemon.checkpoint.files import read_file

    file = read_file(str(settings.warm_start))
    if file.damage:
        raise SettingsError(f"warm_start: {file.damage}; expected a checkpoint")
    try:
        return WarmStart(settings, file.state)
    except StateMismatchError as error:
        raise SettingsError(f"warm_start: {error}") from error


def versions() -> dict[str, str]:
    """Name what the figures of a report depend on."""
    return {"online-lstm": __version__, **fingerprint()}
