//! The plumbing of `arcgrad.overrides`: classes and modes that take calls into their own hands.

use crate::{bindings, overrides};

bindings! {
    /// The `__torch_function__` of a class that takes no calls: operations on its objects are those of Tensor.
    function _disabled_torch_function_impl {
        "(Any func, Any types, Any? args=None, Any? kwargs=None) -> Any" => |a| {
            overrides::run_plain(a.any(0)?, a.get(2), a.get(3))?
        }
    }
    /// Sets what this thread leaves to nobody (0 nothing, 1 subclasses, 2 modes too); returns what it was.
    function _set_torch_function_disabled { "(int level) -> int" => |a| overrides::disable(a.int(0)?) }
    /// Makes `mode` the innermost of this thread's function modes.
    function _push_torch_function_mode {
        "(Any mode) -> None" => |a| overrides::push_mode(a.any(0)?)?
    }
    /// Takes the innermost function mode of this thread away and returns it.
    function _pop_torch_function_mode { "() -> Any" => |_a| overrides::pop_mode()? }
    /// How many function modes this thread is in.
    function _torch_function_depth { "() -> int" => |_a| overrides::depth() }
    /// What a class or a mode answers in the place of a function written in Python; NotImplemented if none wants the call.
    function _offer {
        "(Any func, Any args, Any kwargs) -> Any"
            => |a| overrides::offer(a.any(0)?, a.any(1)?.cast()?, a.any(2)?.cast()?)?
    }
    /// The arguments, among those in a sequence, whose class has a say, the most derived first.
    function _overriding_arguments {
        "(Any arguments) -> Any" => |a| overrides::overriding_arguments(a.any(0)?)?
    }
}
