"""Loaders yield the samples they should, and shuffle in the order that PyTorch does for the same seed."""

from collections import namedtuple

import numpy
import pytest

import arcgrad
from arcgrad.utils.data import (
    ConcatDataset,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)


def generator(seed):
    source = arcgrad.Generator()
    source.manual_seed(seed)
    return source


def pairs(size=10):
    return TensorDataset(arcgrad.arange(2.0 * size).reshape(size, 2), arcgrad.arange(size))


# The orders were recorded with PyTorch 2.13.
def test_shuffling_draws_from_the_default_generator_as_pytorch_does():
    arcgrad.manual_seed(5)
    loader = DataLoader(range(10), 4, shuffle=True, collate_fn=list)
    assert list(loader) == [[8, 3, 0, 5], [9, 1, 6, 2], [4, 7]]
    assert list(loader) == [[5, 8, 9, 7], [2, 0, 4, 1], [3, 6]]
    assert arcgrad.rand(1).item() == pytest.approx(0.0332646369934082, rel=1e-7)


def test_shuffling_draws_from_the_given_generator_as_pytorch_does():
    loader = DataLoader(range(10), 4, shuffle=True, drop_last=True, generator=generator(7), collate_fn=list)
    assert list(loader) == [[1, 3, 5, 7], [9, 4, 6, 2]]
    assert list(loader) == [[5, 1, 6, 0], [9, 7, 8, 4]]


def test_splits_and_draws_with_replacement_follow_the_seed():
    parts = random_split(range(10), [0.7, 0.3], generator(1))
    assert [part.indices for part in parts] == [[5, 6, 1, 2, 0, 8, 9], [3, 7, 4]]
    assert list(RandomSampler(range(5), True, 7, generator(2))) == [3, 2, 1, 4, 3, 4, 2]


def test_batches_hold_the_rows_in_order():
    loader = DataLoader(pairs(), batch_size=4)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert batches[2][0].tolist() == [[16.0, 17.0], [18.0, 19.0]]
    assert batches[2][1].tolist() == [8, 9]
    assert len(DataLoader(pairs(), batch_size=4, drop_last=True)) == 2


def test_gathering_rows_at_once_gives_what_stacking_them_gives():
    at_once = list(DataLoader(pairs(), 3))
    one_by_one = list(DataLoader(Subset(pairs(), range(10)), 3))
    assert [[part.tolist() for part in batch] for batch in at_once] == [
        [part.tolist() for part in batch] for batch in one_by_one
    ]


def test_without_a_batch_size_single_samples_come():
    samples = list(DataLoader(pairs(), batch_size=None))
    assert len(samples) == 10
    assert samples[3][1].item() == 3


def test_streams_are_batched_as_they_come():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    assert [batch.tolist() for batch in DataLoader(Stream(), 2)] == [[0, 1], [2, 3], [4]]
    with pytest.raises(ValueError, match="shuffle"):
        DataLoader(Stream(), 2, shuffle=True)


def test_collation_enters_containers_and_keeps_their_kind():
    point = namedtuple("point", "x y")
    joined = default_collate([{"a": i, "b": [float(i), (i, "t")], "c": point(i, True)} for i in range(2)])
    assert joined["a"].dtype == arcgrad.int64
    assert joined["a"].tolist() == [0, 1]
    assert joined["b"][0].dtype == arcgrad.float64
    assert joined["b"][1][1] == ["t", "t"]
    assert type(joined["c"]) is point
    assert joined["c"].y.tolist() == [True, True]
    arrays = default_collate([numpy.ones(3, dtype=numpy.float32), numpy.zeros(3, dtype=numpy.float32)])
    assert arrays.dtype == arcgrad.float32
    assert list(arrays.shape) == [2, 3]
    assert default_collate([numpy.float32(1), numpy.float32(2)]).dtype == arcgrad.float32
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="must contain tensors"):
        default_collate([object()])


def test_datasets_add_up_and_divide():
    both = pairs(3) + pairs(2)
    assert isinstance(both, ConcatDataset)
    assert len(both) == 5
    assert both[3][1].item() == 0
    assert both[-1][1].item() == 1
    assert Subset(both, [4, 0])[0][1].item() == 1
    with pytest.raises(ValueError, match="does not equal the length"):
        random_split(range(10), [3, 3])
    with pytest.raises(AssertionError, match="Size mismatch"):
        TensorDataset(arcgrad.ones(2), arcgrad.ones(3))
