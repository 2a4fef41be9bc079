import pytest

from daemon.errors import SettingsError
from daemon.network import Shape
from daemon.network.shape import parse_layers


def test_layers_are_cells_from_the_input_up() -> None:
    """A layer is named by its kind and its number of cells."""
    assert (32, 16) == Shape(("lstm 32", "lstm 16"), window=64, carried=True, seed=0).units


@pytest.mark.parametrize(
    "layer", ["lstm x", "gru 3", "lstm 0", "lstm 1025", "lstm -1", "lstm", "lstm 3 4", "", "lstm ²"]
)
def test_a_layer_that_is_none_is_refused_by_its_number(layer: str) -> None:
    """The message says which layer, what was received and what is expected."""
    with pytest.raises(SettingsError) as caught:
        parse_layers(["lstm 16", layer])
    assert f"network: layer 2: received {layer!r}, expected lstm CELLS with 1 to 1024 cells, like lstm 16" == str(
        caught.value
    )


def test_no_layer_is_refused() -> None:
    """A network has at least one layer."""
    with pytest.raises(SettingsError, match="received no layer"):
        parse_layers([])
