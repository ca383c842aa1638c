"""Hooks on modules: the global ones, and the slow path of a call that has any."""

from __future__ import annotations

import arcgrad

from ... import Tensor
from ...utils.hooks import RemovableHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .module import Module

_global_forward_pre_hooks: dict[int, Any] = {}
_global_forward_hooks: dict[int, Any] = {}


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module."""
    return RemovableHandle.add(_global_forward_pre_hooks, (hook, False))


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module."""
    return RemovableHandle.add(_global_forward_hooks, (hook, with_kwargs, always_call))


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `module.forward` with all hooks: global ones before the module's own."""
    forward_hooks = [*_global_forward_hooks.values(), *module._forward_hooks.values()]
    called = 0
    try:
        args, kwargs = _run_pre_hooks(module, args, kwargs)
        watch = _BackwardWatch(module) if module._backward_hooks or module._backward_pre_hooks else None
        if watch is not None:
            args = watch.inputs(args)
        output = module.forward(*args, **kwargs)
        for hook, with_kwargs, _ in forward_hooks:
            called += 1
            changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
            if changed is not None:
                output = changed
        if watch is not None:
            output = watch.outputs(output)
        return output
    except Exception:
        # The hooks that asked to be told always are told; the exception that they follow stays the one that is seen.
        for hook, with_kwargs, always_call in forward_hooks[called:]:
            if always_call:
                hook(module, args, kwargs, None) if with_kwargs else hook(module, args, None)
        raise


def _run_pre_hooks(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook, with_kwargs in [*_global_forward_pre_hooks.values(), *module._forward_pre_hooks.values()]:
        if with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                )
            args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


class _BackwardWatch:
    """Sees the gradients at the inputs and outputs of one call of a module.

    Inputs and outputs each pass through one identity node, whose single backward call sees all their gradients at once:
    the node behind the outputs runs the pre-hooks, the node before the inputs runs the hooks.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.grad_output: tuple[Any, ...] | None = None
        self.watches_inputs = False
        self.arguments = 0

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.arguments = len(args)
        return _through_identity(args, self._at_inputs) if self._mark(args) else args

    def _mark(self, args: tuple[Any, ...]) -> bool:
        self.watches_inputs = arcgrad.is_grad_enabled() and any(
            isinstance(arg, Tensor) and arg.requires_grad for arg in args
        )
        return self.watches_inputs

    def outputs(self, output: Any) -> Any:
        many = isinstance(output, tuple)
        parts = output if many else (output,)
        if not any(isinstance(part, Tensor) and part.requires_grad for part in parts):
            return output
        parts = _through_identity(parts, self._at_outputs)
        return parts if many else parts[0]

    def _at_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.module._backward_pre_hooks.values()):
            changed = hook(self.module, grads)
            if changed is not None:
                grads = changed if isinstance(changed, tuple) else (changed,)
        self.grad_output = grads
        if not self.watches_inputs:
            # No gradient flows on to the inputs, so nothing later would tell the hooks.
            self._run_hooks((None,) * self.arguments)
        return grads

    def _at_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_output is None:
            # A pass through the graph of a pass: it came by the inputs and not by the outputs.
            return grads
        return self._run_hooks(grads)

    def _run_hooks(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in list(self.module._backward_hooks.values()):
            changed = hook(self.module, grads, self.grad_output)
            if changed is not None:
                grads = changed if isinstance(changed, tuple) else (changed,)
        self.grad_output = None
        return grads


_identity: Any = None


def _through_identity(values: tuple[Any, ...], watch: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> tuple[Any, ...]:
    """Pass the tensors among `values` through one node that shows their gradients to `watch`."""
    global _identity
    if _identity is None:
        # Made at first use: few programs hook a backward pass, and every one pays for the import of this file.
        autograd: Any = arcgrad.autograd
        function: Any = autograd.Function

        class Identity(function):  # type: ignore[misc]
            @staticmethod
            def forward(ctx: Any, watch: Any, places: list[int], size: int, *tensors: Tensor) -> tuple[Tensor, ...]:
                ctx.set_materialize_grads(False)
                ctx.watch, ctx.places, ctx.size = watch, places, size
                return tuple(tensor.view_as(tensor) for tensor in tensors)

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
                spread = [None] * ctx.size
                for place, grad in zip(ctx.places, grads, strict=True):
                    spread[place] = grad
                spread = list(ctx.watch(tuple(spread)))
                if not spread:
                    return (None, None, None, *grads)
                return (None, None, None, *(spread[place] for place in ctx.places))

        _identity = Identity
    places = [place for place, value in enumerate(values) if isinstance(value, Tensor)]
    passed = _identity.apply(watch, places, len(values), *(values[place] for place in places))
    result = list(values)
    for place, tensor in zip(places, passed, strict=True):
        result[place] = tensor
    return tuple(result)
