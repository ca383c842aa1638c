"""DataLoader: batches of a dataset, in order or shuffled, loaded in the calling process."""

from __future__ import annotations

import arcgrad

from .collate import default_collate, default_convert
from .dataset import IterableDataset, TensorDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler, random_seed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

__all__ = ["DataLoader"]


class DataLoader:
    """An iterable over the batches of a dataset.

    Args:
        dataset: anything with `__getitem__` and `__len__`, or an `IterableDataset`.
        batch_size: samples in a batch; None yields single samples.
        shuffle: draw in random order, another at each iteration.
        sampler: the order of samples, instead of `shuffle`.
        batch_sampler: the lists of indices of whole batches, instead of the four arguments around it.
        collate_fn: puts a list of samples together.
        drop_last: leave out a last shorter batch.
        generator: the source of the order's randomness.
        num_workers, pin_memory, timeout, worker_init_fn, multiprocessing_context, prefetch_factor,
            persistent_workers, pin_memory_device, in_order: accepted; loading happens in the calling process.

    Raises:
        ValueError: arguments that exclude each other.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        self._streams = isinstance(dataset, IterableDataset)
        if self._streams:
            if shuffle:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}"
                )
            if sampler is not None or batch_sampler is not None:
                raise ValueError("DataLoader with IterableDataset: expected unspecified sampler option")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None and not self._streams:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        batched = batch_size is not None or batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)

    def __iter__(self) -> Iterator[Any]:
        # PyTorch draws a seed for its workers here, used or not: the draw keeps the random streams equal.
        random_seed(self.generator)
        if self._streams:
            return self._stream()
        if self.batch_sampler is None:
            return self._singles()
        if type(self.dataset) is TensorDataset and self.collate_fn is default_collate:
            return self._gathered(self.dataset.tensors)
        return self._batches()

    def _singles(self) -> Iterator[Any]:
        for index in self.sampler or ():
            yield self.collate_fn(self.dataset[index])

    def _batches(self) -> Iterator[Any]:
        for indices in self.batch_sampler or ():
            fetch = getattr(self.dataset, "__getitems__", None)
            samples = [self.dataset[index] for index in indices] if fetch is None else fetch(indices)
            yield self.collate_fn(samples)

    def _gathered(self, tensors: tuple[Any, ...]) -> Iterator[Any]:
        """Take each batch's rows at once: what stacking them one by one would give, without a tensor for each."""
        for indices in self.batch_sampler or ():
            rows = arcgrad.tensor(indices, dtype=arcgrad.int64)
            yield [tensor[rows] for tensor in tensors]

    def _stream(self) -> Iterator[Any]:
        if self.batch_size is None:
            for sample in self.dataset:
                yield self.collate_fn(sample)
            return
        batch: list[Any] = []
        for sample in self.dataset:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)

    def __len__(self) -> int:
        if not self._streams:
            order: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
            return len(order)
        length = len(self.dataset)
        if self.batch_size is None:
            return length
        full, rest = divmod(length, self.batch_size)
        return full if self.drop_last or rest == 0 else full + 1
