"""Optimizer: the base class that keeps groups of parameters, their options and the state of the algorithm."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable

import arcgrad

from .. import Tensor
from ..utils.hooks import RemovableHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Optimizer"]


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


# The default of an option that every group must give itself.
required = _Required()


class Optimizer:
    """Base class of optimizers.

    Args:
        params: tensors, pairs of name and tensor, or dictionaries with the key 'params' and options of their own.
        defaults: the options of groups that do not give them.

    `param_groups` is a list of dictionaries; `state` maps a parameter to a dictionary of the algorithm's own.

    Raises:
        TypeError: `params` is a single tensor, or holds something else than tensors.
        ValueError: there are no parameters, one is no leaf, or one is given twice.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._step_pre_hooks: dict[int, Any] = {}
        self._step_post_hooks: dict[int, Any] = {}
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + type(params).__name__
            )
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: a dictionary with the key 'params' and any options that differ from the defaults."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                "sets will change between runs. Please use a list instead."
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        named = [isinstance(param, tuple) for param in params]
        if any(named):
            if not all(named):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = [name for name, _ in params]
            params = [param for _, param in params]
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
            if not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        if self.param_groups and ("param_names" in param_group) != ("param_names" in self.param_groups[0]):
            raise ValueError("all optimizer param groups should be with/without names.")
        taken = {id(param) for group in self.param_groups for param in group["params"]}
        own = {id(param) for param in params}
        if own & taken:
            raise ValueError("some parameters appear in more than one parameter group")
        if len(own) != len(params):
            raise ValueError("optimizer contains a parameter group with duplicate parameters")
        param_group["params"] = params
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros where not `set_to_none`."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                else:
                    if param.grad.grad_fn is not None:
                        param.grad.detach_()
                    else:
                        param.grad.requires_grad_(False)
                    param.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, once.

        Args:
            closure: computes the loss anew, with gradients; what it returns is returned.
        """
        raise NotImplementedError

    @staticmethod
    def _evaluate(closure: Callable[[], Any] | None) -> Any:
        """Return the closure's loss, recorded although steps are not; None without a closure."""
        if closure is None:
            return None
        with arcgrad.enable_grad():
            return closure()

    # Saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups, with parameters replaced by their numbers in order of registration."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {name: value for name, value in group.items() if name != "params"}
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state, cast to each parameter's dtype, and the options of a `state_dict`.

        Raises:
            ValueError: the groups differ from this optimizer's in number or size.
        """
        groups = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(new["params"]) != len(old["params"]) for new, old in zip(groups, self.param_groups, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        params: dict[Any, Tensor] = {}
        restored = []
        for new, old in zip(groups, self.param_groups, strict=True):
            params.update(zip(new["params"], old["params"], strict=True))
            group = {name: _copied(value) for name, value in new.items() if name != "params"}
            group["params"] = old["params"]
            if "param_names" in old:
                group["param_names"] = old["param_names"]
            else:
                group.pop("param_names", None)
            restored.append(group)
        state: defaultdict[Any, Any] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            if number in params:
                state[params[number]] = _cast(values, params[number], None)
            else:
                state[number] = _copied(values)
        self.__setstate__({"state": state, "param_groups": restored})

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.setdefault("_step_pre_hooks", {})
        self.__dict__.setdefault("_step_post_hooks", {})
        for group in self.param_groups:
            # Options younger than the state that is loaded take their defaults.
            for name, default in self.__dict__.get("defaults", {}).items():
                group.setdefault(name, default)

    # Hooks

    def _observe_steps(self) -> None:
        """From now on run hooks around `step`, and note that it was called.

        The wrapper is an attribute of this object: an optimizer without hooks or scheduler pays nothing for them.
        """
        if "step" in self.__dict__:
            return
        plain = self.step

        def step(*args: Any, **kwargs: Any) -> Any:
            self._opt_called = True
            for hook in list(self._step_pre_hooks.values()):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(
                            f"{plain} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                        )
                    args, kwargs = changed
            result = plain(*args, **kwargs)
            for hook in list(self._step_post_hooks.values()):
                hook(self, args, kwargs)
            return result

        self._opt_called = False
        self.step = step  # type: ignore[method-assign]

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return a new pair of both."""
        self._observe_steps()
        return RemovableHandle.add(self._step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        self._observe_steps()
        return RemovableHandle.add(self._step_post_hooks, hook)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for number, group in enumerate(self.param_groups):
            # A blank line parts the groups.
            lines.append(f"\nParameter Group {number}" if number else f"Parameter Group {number}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _cast(value: Any, param: Tensor, key: Any) -> Any:
    """Copy loaded state; tensors of numbers follow the parameter's dtype, but a count of steps stays as it is."""
    if isinstance(value, Tensor):
        if key == "step" or not param.is_floating_point():
            return value.clone()
        return value.to(param.dtype).clone()
    if isinstance(value, dict):
        return {name: _cast(item, param, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(item, param, key) for item in value)
    return value


def _copied(value: Any) -> Any:
    """Copy the containers and tensors of loaded options, so that they are not shared with the state dict."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, (dict, OrderedDict)):
        return {name: _copied(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(item) for item in value)
    return value


def check_options(lr: Any = 0.0, eps: float = 0.0, weight_decay: float = 0.0) -> None:
    """Raise ValueError where an option that must not be negative is."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    for name, value in (("learning rate", lr), ("epsilon value", eps), ("weight_decay value", weight_decay)):
        if not value >= 0.0:
            raise ValueError(f"Invalid {name}: {value}")


def check_betas(betas: tuple[float, float]) -> None:
    """Raise ValueError where a decay rate lies outside [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def with_gradients(group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters of a group that have a gradient, and these gradients.

    Raises:
        NotImplementedError: the group asks for a differentiable step.
    """
    if group.get("differentiable"):
        raise NotImplementedError("differentiable=True is not supported: steps are not recorded")
    params, grads = [], []
    for param in group["params"]:
        grad = param.grad
        if grad is not None:
            params.append(param)
            grads.append(grad)
    return params, grads
