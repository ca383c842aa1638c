"""Module: the base class of every layer and model; it registers parameters, buffers and submodules by assignment."""

from __future__ import annotations

from collections import OrderedDict

import arcgrad

from ... import Tensor
from ...utils.hooks import RemovableHandle
from ..parameter import Parameter
from . import _hooks, _state
from ._hooks import _global_forward_hooks, _global_forward_pre_hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T", bound="Module")

__all__ = ["Module"]

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_STATE_HOOKS = (
    "_state_dict_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class Module:
    """Base class of layers and models: subclass it, register parts in `__init__`, compute in `forward`.

    Assigning a `Parameter` or a `Module` to an attribute registers it, so that `parameters()`, `state_dict()`, `to()`
    and the rest find it. `super().__init__()` must run before the first such assignment.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]
    _forward_pre_hooks: dict[int, Any]
    _forward_hooks: dict[int, Any]
    _backward_pre_hooks: dict[int, Any]
    _backward_hooks: dict[int, Any]
    _state_dict_pre_hooks: dict[int, Any]
    _state_dict_hooks: dict[int, Any]
    _load_state_dict_pre_hooks: dict[int, Any]
    _load_state_dict_post_hooks: dict[int, Any]

    # Raised by a class whose saved layout changes, and stored in the state dict's metadata.
    _version: int = 1

    # What a call runs; a subclass defines it with a signature of its own, which is why it is no method here.
    forward: Callable[..., Any]

    def __init__(self) -> None:
        """Make the registries, all empty, in training mode."""
        fields = self.__dict__
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_modules"] = {}
        fields["_non_persistent_buffers_set"] = set()
        for name in _HOOKS + _STATE_HOOKS:
            fields[name] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` with the hooks registered on this module and on all modules."""
        if (
            self._forward_pre_hooks
            or self._forward_hooks
            or self._backward_pre_hooks
            or self._backward_hooks
            or _global_forward_pre_hooks
            or _global_forward_hooks
        ):
            return _hooks.call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        # Reached only where the ordinary look-up finds nothing, so a registry may itself be missing here.
        fields = self.__dict__
        if "_parameters" in fields:
            # Spelled out, parameters first: every read of a layer's weight comes through here.
            entries = fields["_parameters"]
            if name in entries:
                return entries[name]
            entries = fields["_modules"]
            if name in entries:
                return entries[name]
            entries = fields["_buffers"]
            if name in entries:
                return entries[name]
        if name == "forward":
            raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in fields:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
            return
        if isinstance(value, Module):
            if "_modules" not in fields:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            fields["_modules"][name] = value
            return
        for registry, kind, wanted in (
            ("_parameters", "parameter", "nn.Parameter"),
            ("_modules", "child module", "nn.Module"),
            ("_buffers", "buffer", "Tensor"),
        ):
            entries = fields.get(registry)
            if entries is not None and name in entries:
                if value is not None and not (registry == "_buffers" and isinstance(value, Tensor)):
                    raise TypeError(
                        f"cannot assign '{type_name(value)}' as {kind} '{name}' ({wanted} or None expected)"
                    )
                entries[name] = value
                return
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            entries = self.__dict__.get(registry)
            if entries is not None and name in entries:
                del entries[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = set(object.__dir__(self))
        for registry in _REGISTRIES:
            names.update(self.__dict__.get(registry, ()))
        return sorted(name for name in names if not name[:1].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOKS + _STATE_HOOKS:
            self.__dict__.setdefault(name, {})

    def _forget(self, name: str, keep: str) -> None:
        """Drop `name` from wherever it lives other than the registry `keep`."""
        fields = self.__dict__
        fields.pop(name, None)
        for registry in _REGISTRIES:
            if registry != keep and name in fields[registry]:
                del fields[registry][name]
        if keep != "_buffers":
            self._non_persistent_buffers_set.discard(name)

    # Registration

    def _check_new_name(self, name: Any, kind: str, registry: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type_name(name)}")
        if "." in name:
            raise KeyError(
                f'{kind} name can\'t contain ".", got: {name}'
                if kind == "module"
                else f'{kind} name can\'t contain "."'
            )
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[registry]:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register `param` as `name`; None keeps the name without a parameter (it is left out of `state_dict`).

        Raises:
            KeyError: the name is empty, dotted or taken.
            TypeError: `param` is not a Parameter.
            ValueError: `param` is not a leaf.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_new_name(name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{type_name(param)}' object to parameter '{name}' (nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    "explicitly. To express a parameter as a function of another tensor, compute the value in the "
                    "forward() method."
                )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is state but not trained; `state_dict` includes it where `persistent`.

        Raises:
            KeyError: the name is empty, dotted or taken.
            TypeError: `tensor` is not a Tensor.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_new_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{type_name(tensor)}' object to buffer '{name}' (Tensor or None required)")
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register `module` as the child `name`.

        Raises:
            KeyError: the name is empty, dotted or taken.
            TypeError: `module` is not a Module.
        """
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{type_name(module)} is not a Module subclass")
        self._check_new_name(name, "module", "_modules")
        self._modules[name] = module

    register_module = add_module

    # Finding parts

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for module_prefix, module in modules:
            for name, member in getattr(module, registry).items():
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield (f"{module_prefix}.{name}" if module_prefix else name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield each parameter with its dotted name, in order of registration, parents first."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield each parameter once."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield each buffer with its dotted name."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield each buffer once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the direct submodules with their names, each once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all modules below it, parents first, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all modules below it, each once."""
        for _, module in self.named_modules():
            yield module

    def get_submodule(self, target: str) -> Module:
        """Return the submodule with the dotted name `target`; the empty name is this module.

        Raises:
            AttributeError: there is no such attribute, or it is not a module.
        """
        module: Module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter with the dotted name `target`.

        Raises:
            AttributeError: there is no such attribute, or it is not a parameter.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        param = getattr(module, name)
        if not isinstance(param, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return param

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer with the dotted name `target`.

        Raises:
            AttributeError: there is no such attribute, or it is not a buffer.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        buffer: Tensor = getattr(module, name)
        return buffer

    # Changing all parts

    def apply(self: T, fn: Callable[[Module], None]) -> T:
        """Call `fn` with every module below this one, children first, then with this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self: T, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> T:
        """Replace every parameter's values, gradient and every buffer by what `fn` makes of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            with arcgrad.no_grad():
                param.data = fn(param.detach())
                if param.grad is not None:
                    grad = fn(param.grad)
                    # The old gradient would not fit the new dtype, nor the new one the old, so it goes first.
                    param.grad = None
                    param.grad = grad
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self: T, *args: Any, **kwargs: Any) -> T:
        """Cast floating-point parameters and buffers, in place: `to(dtype)`, `to(device, dtype)` or `to(tensor)`.

        The one device is the CPU. `non_blocking` and `copy` are accepted and change nothing.

        Raises:
            TypeError: the dtype asked for is not a floating-point one.
        """
        dtype = kwargs.get("dtype")
        devices = [kwargs["device"]] if kwargs.get("device") is not None else []
        other = kwargs.get("tensor")
        for arg in args:
            if isinstance(arg, Tensor):
                other = arg
            elif isinstance(arg, arcgrad.dtype):
                dtype = arg
            elif arg is not None and not isinstance(arg, bool):
                devices.append(arg)
        if other is not None:
            dtype = other.dtype
        for device in devices:
            # Naming a device the package does not have fails here, in the core's words.
            arcgrad.empty(0, device=device)
        if dtype is None:
            return self
        if not dtype.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def type(self: T, dst_type: Any) -> T:
        """Cast every parameter and buffer to `dst_type`, integer ones too."""
        return self._apply(lambda t: t.to(dst_type))

    def float(self: T) -> T:
        """Cast floating-point parameters and buffers to float32."""
        return self.to(arcgrad.float32)

    def double(self: T) -> T:
        """Cast floating-point parameters and buffers to float64."""
        return self.to(arcgrad.float64)

    def half(self: T) -> T:
        """Cast floating-point parameters and buffers to float16."""
        return self.to(arcgrad.float16)

    def bfloat16(self: T) -> T:
        """Cast floating-point parameters and buffers to bfloat16."""
        return self.to(arcgrad.bfloat16)

    def cpu(self: T) -> T:
        """Return this module: everything is on the CPU already."""
        return self

    def train(self: T, mode: bool = True) -> T:
        """Set training mode here and below: dropout drops, batch norm uses the batch's statistics.

        Raises:
            ValueError: `mode` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: T) -> T:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self: T, requires_grad: bool = True) -> T:
        """Set whether backward passes reach the parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop all gradients, or fill them with zeros where not `set_to_none`."""
        for param in self.parameters():
            if param.grad is not None:
                if set_to_none:
                    param.grad = None
                else:
                    if param.grad.grad_fn is not None:
                        param.grad.detach_()
                    else:
                        param.grad.requires_grad_(False)
                    param.grad.zero_()

    # Saving and loading

    def get_extra_state(self) -> Any:
        """Return what `state_dict` should keep besides tensors; define it together with `set_extra_state`."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Write this module's own tensors, not its children's, into `destination`."""
        _state.save_own(self, destination, prefix, keep_vars)

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """Return every parameter and persistent buffer by dotted name.

        The tensors share memory with the module and are detached, unless `keep_vars`.
        """
        if args:
            # The three options were positional once; callers of that time still exist.
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = given.get("destination", destination)
            prefix = given.get("prefix", prefix)
            keep_vars = given.get("keep_vars", keep_vars)
        return _state.save(self, destination, prefix, keep_vars)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Read this module's own tensors, not its children's, from `state_dict`; report into the three lists."""
        _state.load_own(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _state._IncompatibleKeys:
        """Copy tensors from `state_dict` into this module and those below it.

        Args:
            strict: raise where the keys are not exactly those of `state_dict()`.
            assign: take the given tensors themselves instead of copying their values.

        Returns:
            The missing and the unexpected keys.

        Raises:
            TypeError: `state_dict` is not a mapping.
            RuntimeError: keys (where `strict`) or shapes do not match; the message lists all of them.
        """
        return _state.load(self, state_dict, strict, assign)

    # Hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each forward; what it returns, if anything, replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns None or a pair of both.
        """
        return RemovableHandle.add(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each forward; what it returns, if anything, replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`. With `always_call` it also runs, with None
        for the output, where the forward raised.
        """
        return RemovableHandle.add(self._forward_hooks, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's gradient is computed; it may return a replacement."""
        return RemovableHandle.add(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` once those of the inputs are known; it may return new ones."""
        return RemovableHandle.add(self._backward_hooks, hook, prepend)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before this module is saved."""
        return RemovableHandle.add(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after this module is saved."""
        return RemovableHandle.add(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)` before loading."""
        return RemovableHandle.add(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may edit the lists of keys in place."""
        return RemovableHandle.add(self._load_state_dict_post_hooks, hook)

    # Text

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return the module's own settings, for `repr`; a subclass overrides it."""
        return ""

    def __repr__(self) -> str:
        settings = self.extra_repr()
        own = settings.split("\n") if settings else []
        children = [f"({name}): {_indented(repr(module))}" for name, module in self._modules.items()]
        lines = own + children
        if not lines:
            return f"{self._get_name()}()"
        if len(own) == 1 and not children:
            return f"{self._get_name()}({own[0]})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def type_name(value: Any) -> str:
    """Return the type of `value` as messages name it: the bare name for builtins, else with its module."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
