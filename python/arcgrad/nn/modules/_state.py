"""Saving a module's tensors into a state dict and loading them back, with every mismatch reported at once."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping

import arcgrad

from ... import Tensor
from ..parameter import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .module import Module

_EXTRA = "_extra_state"


class _IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """The keys that loading did not find, and those it found no place for."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


def _overrides(module: Module, name: str) -> bool:
    from .module import Module

    return getattr(type(module), name) is not getattr(Module, name)


def _persistent(module: Module) -> list[tuple[str, Tensor | None]]:
    """Return the module's own parameters and saved buffers, those that are None too."""
    buffers = [item for item in module._buffers.items() if item[0] not in module._non_persistent_buffers_set]
    return [*module._parameters.items(), *buffers]


def save_own(module: Module, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
    """Enter the module's own tensors and extra state into `destination`."""
    for name, tensor in _persistent(module):
        if tensor is not None:
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
    if _overrides(module, "get_extra_state"):
        destination[prefix + _EXTRA] = module.get_extra_state()


def save(module: Module, destination: Any, prefix: str, keep_vars: bool) -> OrderedDict[str, Any]:
    """Enter the tensors of the module and of those below it, with each module's version as metadata."""
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    local_metadata = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = local_metadata
    for hook in module._state_dict_pre_hooks.values():
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    for hook in module._state_dict_hooks.values():
        changed = hook(module, destination, prefix, local_metadata)
        if changed is not None:
            destination = changed
    saved: OrderedDict[str, Any] = destination
    return saved


def load_own(
    module: Module,
    state_dict: dict[str, Any],
    prefix: str,
    local_metadata: dict[str, Any],
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    """Read the module's own tensors and extra state from `state_dict`."""
    for hook in module._load_state_dict_pre_hooks.values():
        hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
    own = [(name, tensor) for name, tensor in _persistent(module) if tensor is not None]
    for name, tensor in own:
        key = prefix + name
        if key in state_dict:
            _load_tensor(module, name, tensor, key, state_dict[key], local_metadata, error_msgs)
        elif strict:
            missing_keys.append(key)
    extra = prefix + _EXTRA
    if _overrides(module, "set_extra_state"):
        if extra in state_dict:
            module.set_extra_state(state_dict[extra])
        elif strict:
            missing_keys.append(extra)
    elif strict and extra in state_dict:
        unexpected_keys.append(extra)
    if strict:
        known = {name for name, _ in own}
        for key in state_dict:
            if key.startswith(prefix) and key != extra:
                name, dot, _ = key[len(prefix) :].partition(".")
                if name not in known and not (dot and name in module._modules):
                    unexpected_keys.append(key)


def _load_tensor(
    module: Module,
    name: str,
    own: Tensor,
    key: str,
    given: Any,
    local_metadata: dict[str, Any],
    error_msgs: list[str],
) -> None:
    if not isinstance(given, Tensor):
        error_msgs.append(
            f'While copying the parameter named "{key}", expected a Tensor from checkpoint but received {type(given)}'
        )
        return
    if own.dim() == 0 and given.dim() == 1 and given.shape[0] == 1:
        # Numbers were saved as tensors of one element once.
        given = given[0]
    if tuple(own.shape) != tuple(given.shape):
        error_msgs.append(
            f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
            f"the shape in current model is {own.shape}."
        )
        return
    if local_metadata.get("assign_to_params_buffers", False):
        if isinstance(own, Parameter) and not isinstance(given, Parameter):
            given = Parameter(given, own.requires_grad)
        setattr(module, name, given)
        return
    try:
        with arcgrad.no_grad():
            own.copy_(given)
    except (RuntimeError, TypeError, ValueError) as error:
        error_msgs.append(
            f'While copying the parameter named "{key}", whose dimensions in the model are {own.shape} and '
            f"whose dimensions in the checkpoint are {given.shape}, an exception occurred : {error.args}."
        )


def load(module: Module, state_dict: Mapping[str, Any], strict: bool, assign: bool) -> _IncompatibleKeys:
    """Load the module and those below it; raise once, with all that did not fit."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    metadata = getattr(state_dict, "_metadata", None)
    # Copied, since hooks that translate old layouts edit it in place.
    entries: OrderedDict[str, Any] = OrderedDict(state_dict)

    def descend(module: Module, entries: dict[str, Any], prefix: str) -> None:
        local = {} if metadata is None else dict(metadata.get(prefix[:-1], {}))
        if assign:
            local["assign_to_params_buffers"] = True
        module._load_from_state_dict(entries, prefix, local, True, missing, unexpected, errors)
        for name, child in module._modules.items():
            if child is not None:
                below = f"{prefix}{name}."
                descend(child, {key: value for key, value in entries.items() if key.startswith(below)}, below)
        result = _IncompatibleKeys(missing, unexpected)
        for hook in module._load_state_dict_post_hooks.values():
            hook(module, result)

    descend(module, entries, "")
    if strict:
        if unexpected:
            names = ", ".join(f'"{key}"' for key in unexpected)
            errors.insert(0, f"Unexpected key(s) in state_dict: {names}. ")
        if missing:
            names = ", ".join(f'"{key}"' for key in missing)
            errors.insert(0, f"Missing key(s) in state_dict: {names}. ")
    if errors:
        listed = "\n\t".join(errors)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{listed}")
    return _IncompatibleKeys(missing, unexpected)
