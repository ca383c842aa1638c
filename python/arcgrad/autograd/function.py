"""Operations with a derivative written by hand: `Function`, its context, and the decorators of a derivative."""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import Any

from .. import Tensor
from .._core import Node, _attach_function, _delayed_error, _mode, _set_mode
from .grad_mode import _FORWARD, _GRAD, no_grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "FunctionMeta", "InplaceFunction", "once_differentiable"]


class FunctionCtx:
    """What `forward` (or `setup_context`) tells `backward`: tensors to save, and facts about inputs and outputs."""

    to_save: Sequence[Tensor | None] = ()
    saved_for_forward: Sequence[Tensor | None] | None = None
    dirty_tensors: Sequence[Tensor] = ()
    non_differentiable: Sequence[Tensor] = ()
    materialize_grads = True
    _materialize_non_diff_grads = True
    _runs_jvp = False
    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in `saved_tensors`.

        Each is checked against being overwritten since, and inputs and outputs keep their histories, so that `backward`
        can itself be differentiated. Anything else may simply be an attribute of the context.
        """
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`, which finds them in `saved_tensors`."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor) and tensor is not None:
                raise TypeError(
                    "save_for_forward expects all arguments to be tensors; you should save non-tensors as attributes "
                    "on ctx."
                )
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say that `forward` wrote to these inputs. Each must be returned, and only `forward` may call this, once."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say that these outputs have no derivative; `backward` still gets a gradient of zeros for each."""
        self.non_differentiable = args

    def mark_shared_storage(self, *pairs: Any) -> None:
        """Do nothing: that outputs share memory with inputs is found out untold. Deprecated in PyTorch too."""
        warnings.warn(
            "function 'mark_shared_storage' is deprecated. Tensors with shared storages are automatically tracked. "
            "Note that calls to `set_()` are not tracked",
            FutureWarning,
            stacklevel=2,
        )

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether `backward` gets zeros (True, as from the start) or None for outputs that no gradient reached."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved. Raises RuntimeError when it was overwritten since, or freed by a backward pass."""
        if self._runs_jvp:
            return tuple(self.saved_for_forward or ())
        saved: tuple[Tensor | None, ...] = self._saved_tensors()  # type: ignore[attr-defined]
        return saved

    @property
    def saved_variables(self) -> tuple[Tensor | None, ...]:
        """The old name of `saved_tensors`."""
        warnings.warn("'saved_variables' is deprecated; use 'saved_tensors'", DeprecationWarning, stacklevel=2)
        return self.saved_tensors


class BackwardCFunction(Node, FunctionCtx):
    """The context of a function and, once recorded, its node in the graph."""

    _forward_cls: type[Function]

    def apply(self, *args: Any) -> Any:
        """Run the derivative that the function's class defines."""
        backward, vjp = self._forward_cls.backward, self._forward_cls.vjp
        if backward is not Function.backward and vjp is not Function.vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                "implement one of them."
            )
        return (vjp if vjp is not Function.vjp else backward)(self, *args)

    def apply_jvp(self, *args: Any) -> Any:
        """Run the forward-mode derivative that the function's class defines."""
        self._runs_jvp = True
        try:
            return self._forward_cls.jvp(self, *args)
        finally:
            self._runs_jvp = False


class FunctionMeta(type):
    """Gives each function a class for its contexts, named as its node."""

    _backward_cls: type[BackwardCFunction]

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> None:
        # The module of the new class is the function's, so that its repr says where it is from.
        attributes = {"_forward_cls": cls, "__module__": cls.__module__}
        cls._backward_cls = type(f"{name}Backward", (BackwardCFunction,), attributes)
        super().__init__(name, bases, body)


# What every node has and no instance of a function.
_OF_NODES = frozenset({"name", "next_functions", "register_hook", "register_prehook", "_register_hook_dict"})


class Function(FunctionCtx, metaclass=FunctionMeta):
    """An operation with a derivative of its own.

    Derive a class, define the static methods `forward` and `backward` (or its other name `vjp`), and call `apply`.
    Either `forward(ctx, *args)` saves what `backward(ctx, *grads)` needs, or `forward(*args)` computes and
    `setup_context(ctx, inputs, output)` saves. `backward` returns one gradient for each argument of `forward`, None for
    what is not a tensor. `jvp(ctx, *tangents)` is the derivative in forward mode.

    >>> class Exp(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         y = x.exp()
    ...         ctx.save_for_backward(y)
    ...         return y
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (y,) = ctx.saved_tensors
    ...         return grad * y
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{self.__class__} should not be instantiated. Methods on autograd functions are all static, so you should "
            "invoke them on the class itself. Instantiating an autograd function will raise an error in a future "
            "version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse what long ago was a way to run a function: always RuntimeError."""
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function with static forward method. "
            "(Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    def __getattr__(self, name: str) -> Any:
        """Say why an instance has none of a node's attributes: the node is the context, which `apply` makes."""
        if name == "metadata":
            raise RuntimeError("Attribute 'metadata' is invalid: the underlying PyNode has already been deallocated")
        if name in _OF_NODES:
            raise RuntimeError(
                f"Attribute '{name}' is invalid for an instance of an autograd.Function, which is no node; call "
                f"{type(self).__name__}.apply and look at the grad_fn of what it returns"
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs from the arguments, unrecorded. To be defined by each function."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what `backward` needs; if a class defines this, its `forward` gets no context."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """From the gradients of the outputs compute those of the arguments. To be defined by each function."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    # Another name of `backward`; which of the two a class defines is told by identity.
    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """From the tangents of the arguments compute those of the outputs."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        """Say how the function is batched. There is no `vmap` here that would call it."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set "
            "generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run the operation, record it, and return what `forward` returned.

        Raises TypeError where `forward` returns no tensor, RuntimeError where `forward` wrote to a leaf that requires a
        gradient or marked what is no input as dirty.
        """
        is_setup = cls.setup_context is not Function.setup_context
        if kwargs or is_setup:
            args = _bound(cls.forward, args, kwargs, is_setup)
        ctx = cls._backward_cls()
        ctx.needs_input_grad = tuple([isinstance(arg, Tensor) and arg.requires_grad for arg in args])
        mode = _mode()
        _set_mode(mode & ~(_GRAD | _FORWARD))
        try:
            if is_setup:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        finally:
            _set_mode(mode)
        return _attach_function(ctx, args, output, is_setup)


class InplaceFunction(Function):
    """A function that may be told to write to its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


def _bound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], is_setup: bool
) -> tuple[Any, ...]:
    """The arguments by position, defaults filled in; a context among the parameters is not bound."""
    if not is_setup:
        raise TypeError("apply() takes no keyword arguments")
    signature = inspect.signature(function)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that is not itself differentiable: a second derivative is an error, not a wrong number."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = fn(ctx, *args)
        if not (_mode() & _GRAD) or not any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            return outputs
        many = isinstance(outputs, tuple)
        given = outputs if many else (outputs,)
        failing = iter(
            _delayed_error(
                "trying to differentiate twice a function that was marked with @once_differentiable",
                [grad.detach().requires_grad_() for grad in given if grad is not None],
            )
        )
        marked = tuple([None if grad is None else next(failing) for grad in given])
        return marked if many else marked[0]

    return wrapper
