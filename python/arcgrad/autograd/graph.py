"""The graph itself, as far as a user may look at it and take part in what it keeps."""

from __future__ import annotations

import abc
import threading
import weakref
from typing import NamedTuple

from .. import Tensor
from .._core import (
    Node as _CoreNode,
    _disable_saved_tensors_hooks,
    _increment_version,
    _pass_number,
    _pop_saved_tensors_hooks,
    _push_saved_tensors_hooks,
    _track_passes,
    _watch_writes,
    _will_reach,
)
from ._lives import LiveNodes, assert_no_leaks, live_nodes
from .anomaly_mode import record_origins, record_ranges, track_nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Any

    from ..utils.hooks import RemovableHandle

__all__ = [
    "GradientEdge",
    "LiveNodes",
    "Node",
    "allow_mutation_on_saved_tensors",
    "assert_no_leaks",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "live_nodes",
    "record_origins",
    "record_ranges",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "track_nodes",
]


if TYPE_CHECKING:
    Node = _CoreNode
else:

    class Node(metaclass=abc.ABCMeta):  # noqa: B024
        """What the graph is made of: a recorded operation, or the place where a leaf's gradient is added up.

        Each operation has a class of its own, which `isinstance` and `issubclass` count among the nodes though it does
        not derive from this class.
        """

    Node.register(_CoreNode)


class GradientEdge(NamedTuple):
    """A place in the graph: an output of a node. `grad` and `backward` take it where they take a tensor."""

    node: Node
    output_nr: int
    # PyTorch's third field, which keeps alive what its nodes do not own; here nodes own what they need.
    ownership_token: Node | None = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of `tensor` is to be had; a leaf's is its accumulator.

    Raises RuntimeError when the tensor requires no gradient.
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(_node(tensor), tensor.output_nr)


def _node(tensor: Tensor) -> Node:
    if tensor.grad_fn is not None:
        return tensor.grad_fn
    # A leaf's accumulator is reached through any operation on it, also where nothing is recorded.
    from .grad_mode import enable_grad

    with enable_grad():
        reader: Any = tensor.view_as(tensor).grad_fn
    node: Node = reader.next_functions[0][0]
    return node


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Note that the memory of these tensors was written to by something that arcgrad does not see."""
    _increment_version([tensor] if isinstance(tensor, Tensor) else list(tensor))


class saved_tensors_hooks:
    """While in force, tensors that operations save are packed by `pack_hook`, and unpacked when they are needed.

    `pack_hook(tensor)` returns anything; `unpack_hook` makes a tensor of the same shape and dtype of it again. Both run
    unrecorded. The innermost pair of a thread is used.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _push_saved_tensors_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *args: object) -> None:
        _pop_saved_tensors_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Keep saved tensors in the CPU's memory, where all tensors are: what is saved is copied.

    So later writes to it do no harm.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Tensor) -> Tensor:
            return tensor.clone()

        def unpack(packed: Tensor) -> Tensor:
            return packed

        super().__init__(pack, unpack)


class disable_saved_tensors_hooks:
    """While in force, entering `saved_tensors_hooks` raises RuntimeError with this message."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __enter__(self) -> None:
        self._before = _disable_saved_tensors_hooks(self.error_message)

    def __exit__(self, *args: object) -> None:
        _disable_saved_tensors_hooks(self._before)

    def __call__(self, function: Any) -> Any:
        """Decorate a function: what holds while the context is in force holds while it runs."""
        from functools import wraps

        @wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self.__class__(self.error_message):
                return function(*args, **kwargs)

        return decorated


class _MultiHandle:
    """Removes several hooks as one."""

    def __init__(self, handles: tuple[RemovableHandle, ...]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all") -> _MultiHandle:
    """Call `fn` once in each backward pass.

    In mode `all` with the gradients of all `tensors` (None for one that the pass does not reach), as soon as all that
    it will compute are there; in mode `any` with the first gradient that is there.

    Raises ValueError for another mode. Returns a handle whose `remove()` takes the hook away.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    _track_passes()
    lock = threading.Lock()
    if mode == "all":
        counts: dict[int, int] = {}
        found: dict[int, list[Tensor | None]] = {}
        nodes = [_node(tensor) for tensor in tensors]
        edges = [(node, tensor.output_nr) for node, tensor in zip(nodes, tensors, strict=True)]
        expected: dict[int, int] = {}

        def watch(index: int) -> Callable[[Tensor], None]:
            def one(grad: Tensor) -> None:
                number = _pass_number()
                with lock:
                    if number not in counts:
                        counts[number], found[number] = 0, [None] * len(tensors)
                        expected[number] = sum(_will_reach([node for node, _ in edges]))
                    counts[number] += 1
                    found[number][index] = grad
                    if counts[number] < expected[number]:
                        return
                    grads = found.pop(number)
                    del counts[number], expected[number]
                fn(grads)

            return one

        return _MultiHandle(tuple(tensor.register_hook(watch(i)) for i, tensor in enumerate(tensors)))

    ran: set[int] = set()

    def first(grad: Tensor) -> None:
        number = _pass_number()
        with lock:
            if number in ran:
                return
            ran.add(number)
        fn(grad)

    return _MultiHandle(tuple(tensor.register_hook(first) for tensor in tensors))


class _Handle:
    """Stands for a saved tensor in the graph; who holds it wants the numbers of when it was made."""


class _AllowMutationOnSavedContext:
    """What was saved while mutation is allowed, by memory, version and place."""

    def __init__(self) -> None:
        self.cloned: weakref.WeakKeyDictionary[_Handle, Tensor] = weakref.WeakKeyDictionary()
        self.original: weakref.WeakKeyDictionary[_Handle, Tensor] = weakref.WeakKeyDictionary()
        self.tid_to_weakhandle: weakref.WeakValueDictionary[Any, _Handle] = weakref.WeakValueDictionary()

    def clear(self) -> None:
        """Forget everything: saved tensors can no longer be asked for."""
        self.cloned.clear()
        self.original.clear()
        self.tid_to_weakhandle.clear()

    def pack(self, tensor: Tensor) -> _Handle:
        key = (tensor._storage_address(), tensor._version, tensor.storage_offset(), tensor.shape, tensor.stride())
        handle = self.tid_to_weakhandle.get(key)
        if handle is None:
            handle = self.tid_to_weakhandle[key] = _Handle()
            self.original[handle] = tensor
        return handle

    def unpack(self, handle: _Handle) -> Tensor:
        if handle in self.cloned:
            return self.cloned[handle]
        if handle not in self.original:
            raise AssertionError("Trying to backward outside of the 'allow_mutation_on_saved_tensors' context")
        return self.original[handle]

    def before_write(self, target: Tensor) -> None:
        """Copy what was saved of the memory that is about to be written."""
        memory = target._storage_address()
        for handle, tensor in list(self.original.items()):
            if tensor._storage_address() == memory:
                self.cloned[handle] = tensor.clone()
                del self.original[handle]


class allow_mutation_on_saved_tensors:
    """While in force, a tensor that was saved may be written to: what was saved is copied before the first write.

    Backward must run inside the context too. Contexts cannot be nested.
    """

    _active = threading.local()

    def __enter__(self) -> _AllowMutationOnSavedContext:
        if getattr(self._active, "context", None) is not None:
            raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
        self._context = _AllowMutationOnSavedContext()
        self._hooks = saved_tensors_hooks(self._context.pack, self._context.unpack)
        self._hooks.__enter__()
        self._active.context = self._context
        _watch_writes(self._context.before_write)
        return self._context

    def __exit__(self, *args: object) -> None:
        _watch_writes(None)
        self._active.context = None
        self._hooks.__exit__()
        self._context.clear()
