import numpy as np
import pytest
from online_lstm.checkpoint import digest_of
from online_lstm.learning.state.schema import PartitionState
from support.golden_checkpoints import GOLDEN, RENAMED, datasets, learned, read, untrained

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", GOLDEN)
def test_a_restored_checkpoint_is_written_as_it_was(name: str) -> None:
    """A checkpoint in the repository is restored and written with the same datasets, byte for byte."""
    golden, partition = read(name), untrained(name)
    golden |= {text: partition.state().to_arrays()[text] for text in RENAMED}
    partition.restore(PartitionState.from_arrays(golden))
    assert digest_of(golden) == digest_of(partition.state().to_arrays())


@pytest.mark.parametrize("name", GOLDEN)
def test_the_same_records_lead_to_the_same_checkpoint(name: str) -> None:
    """The records of a checkpoint in the repository lead to its datasets; floats may differ between machines."""
    expected, actual = dict(datasets(read(name))), dict(datasets(learned(name).state().to_arrays()))
    expected["digest"] = actual["digest"]  # of outputs, which have floats in them
    assert list(expected) == list(actual)
    for path, array in expected.items():
        assert (array.dtype, array.shape) == (actual[path].dtype, actual[path].shape), path
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, actual[path], rtol=1e-3, atol=1e-5, err_msg=path)
        else:
            np.testing.assert_array_equal(array, actual[path], path)
