//! The graph: backward passes, gradients on request, histories and gradient modes.

use std::sync::Arc;

use arcgrad::Tensor;
use arcgrad::engine;
use arcgrad::graph::{self, NodeRef, mode};
use arcgrad::watch::{self, Watch};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::bindings;
use crate::convert;
use crate::ending;
use crate::error::carry;
use crate::node::PyNode;
use crate::{collector, function, hooks, node, origin, pass, saved};

/// A mode as bits: 1 recording, 2 inference, 4 forward mode.
fn bits(mode: mode::Mode) -> i64 {
    i64::from(mode.grad) | i64::from(mode.inference) << 1 | i64::from(mode.forward) << 2
}

bindings! {
    /// Adds the gradient of this tensor with respect to the leaves before it into their `.grad`.
    method backward {
        "(Tensor input, Any? gradient=None, bool? retain_graph=None, bool create_graph=False, Any? inputs=None) -> None"
            => |a| pass::backward(a)?
    }
    /// Adds the gradients of tensors with respect to the leaves before them into their `.grad`.
    function _backward {
        "(Any tensors, Any? grad_tensors=None, bool? retain_graph=None, bool create_graph=False, Any? inputs=None) -> None"
            => |a| pass::backward(a)?
    }
    /// The gradients of outputs with respect to inputs.
    function _grad {
        "(Any outputs, Any inputs, Any? grad_outputs=None, bool? retain_graph=None, bool create_graph=False, bool? allow_unused=None, bool is_grads_batched=False, bool materialize_grads=False) -> Tensor[]"
            => |a| pass::grad(a)?
    }
    /// Asks for a gradient, or no longer.
    method requires_grad_ {
        "(Tensor input, bool requires_grad=True) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            let yes = a.flag(1)?;
            if yes && !x.dtype().is_differentiable() {
                return Err(PyRuntimeError::new_err(format!(
                    "only Tensors of floating point dtype can require gradients (this one is {}; .to(float32) makes a copy \
                     that can)",
                    x.dtype()
                )));
            }
            x.set_requires_grad(yes).map(|()| x.clone())
        }
    }
    /// Keeps the gradient of this tensor, which has a history, in `.grad`.
    method retain_grad { "(Tensor input) -> None" => |a| a.tensor(0)?.retain_grad() }
    /// From now on calls `hook` with this tensor's gradient whenever a backward pass has computed it. What the hook returns,
    /// unless it is None, replaces the gradient. Returns a handle whose `remove()` takes the hook away.
    method register_hook {
        "(Tensor input, Any hook) -> Any" => |a| {
            collector::track(a.any(0)?);
            hooks::on_tensor(a.tensor(0)?, a.any(1)?)?
        }
    }
    /// From now on calls `hook` with this leaf whenever a backward pass has added into its `.grad`. Returns a handle whose
    /// `remove()` takes the hook away.
    method register_post_accumulate_grad_hook {
        "(Tensor input, Any hook) -> Any" => |a| {
            collector::track(a.any(0)?);
            hooks::on_leaf(a.tensor(0)?, a.any(1)?)?
        }
    }
    /// Drops this tensor's own history.
    both detach_ {
        "(Tensor input) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            x.detach_().map(|()| x.clone())
        }
    }
    /// Gives what a custom function's forward pass returned its history, and its context a node.
    function _attach_function {
        "(Any ctx, Any args, Any output, bool is_setup) -> Any" => |a| function::attach(a.any(0)?, a.any(1)?, a.any(2)?, a.flag(3)?)?
    }
    /// Tensors with these numbers and with a history that fails with this message when it is differentiated.
    function _delayed_error {
        "(str message, Tensor[] tensors) -> Tensor[]" => |a| function::delayed_error(&a.str(0)?, &a.tensors(1)?)
    }
    /// From now on packs what this thread saves with `pack_hook`, and unpacks it with `unpack_hook`.
    function _push_saved_tensors_hooks {
        "(Any pack_hook, Any unpack_hook) -> None"
            => |a| graph::push_saved_tensor_hooks(saved::Hooks::new(a.any(0)?, a.any(1)?))
    }
    /// Takes the innermost of these hooks away.
    function _pop_saved_tensors_hooks { "() -> None" => |_a| drop(graph::pop_saved_tensor_hooks()) }
    /// Forbids saved tensor hooks on this thread with this sentence, or, given None, no longer; returns the sentence of before.
    function _disable_saved_tensors_hooks {
        "(str? message) -> Any" => |a| {
            let message = a.optional_str(0)?.map(std::sync::Arc::from);
            let before = convert::core(graph::disable_packing(message))?;
            before.as_deref().into_pyobject(a.py())?.unbind()
        }
    }
    /// The number of the backward pass that this thread runs, which no other pass has; -1 outside of passes.
    function _pass_number {
        "() -> int" => |_a| engine::pass_number().map_or(-1, |number| number as i64)
    }
    /// Whether the backward pass that this thread runs fills all leaves, not some that were asked for; true outside of passes.
    function _fills_all_leaves {
        "() -> bool" => |_a| engine::pass_facts().is_none_or(|facts| facts.fills_all_leaves)
    }
    /// From now on passes can be asked with `_will_reach` and `_execution_order`.
    function _track_passes { "() -> None" => |_a| engine::track_passes() }
    /// For each node, whether the backward pass that this thread runs brings a gradient to it; None outside of passes.
    function _will_reach {
        "(Any nodes) -> Any" => |a| {
            let one = |node: PyResult<Bound<'_, PyAny>>| {
                convert::core(engine::will_reach(&node?.cast::<PyNode>()?.get().node()?))
            };
            let reached = a.any(0)?.try_iter()?.map(one).collect::<PyResult<Option<Vec<bool>>>>()?;
            reached.into_pyobject(a.py())?.unbind()
        }
    }
    /// The nodes that the backward pass that this thread runs visits, in order; None outside of passes.
    function _execution_order {
        "() -> Any" => |a| {
            let order = convert::core(engine::execution_order())?;
            let objects = |order: Vec<NodeRef>| {
                order.into_iter().map(|node| node::object(a.py(), node)).collect::<PyResult<Vec<_>>>()
            };
            order.map(objects).transpose()?.into_pyobject(a.py())?.unbind()
        }
    }
    /// Whether the backward pass that this thread runs keeps the graph, and whether it answers with gradients instead of
    /// adding them into leaves; None outside of passes.
    function _pass_facts {
        "() -> Any" => |a| {
            let facts = engine::pass_facts().map(|facts| (facts.retain_graph, facts.captures));
            facts.into_pyobject(a.py())?.into_any().unbind()
        }
    }
    /// Has `callback` called without arguments when the backward pass that this thread runs is over.
    function _at_end_of_pass {
        "(Any callback) -> None" => |a| {
            let callback = a.any(0)?.clone().unbind();
            engine::at_end_of_pass(Box::new(move || {
                ending::attach(|py| callback.call0(py).map(drop).map_err(carry))
            }))
        }
    }
    /// Whether backward passes that this thread begins may be run by several.
    function _is_multithreading_enabled { "() -> bool" => |_a| engine::is_multithreading_enabled() }
    /// Lets backward passes that this thread begins be run by several or not; returns what was before.
    function _set_multithreading_enabled {
        "(bool enabled) -> bool" => |a| engine::set_multithreading_enabled(a.flag(0)?)
    }
    /// The class of all nodes of a name.
    function _node_class { "(str name) -> Any" => |a| node::class(a.py(), &a.str(0)?)?.unbind() }
    /// Sets the version of each tensor's memory.
    function _set_version {
        "(Any tensors, int[] versions) -> None" => |a| {
            for (x, version) in a.tensors(0)?.iter().zip(a.ints(1)?) {
                let version = u32::try_from(version).map_err(|_| {
                    PyRuntimeError::new_err(format!("Cannot set a version_counter to a value below 0: {version}"))
                })?;
                x.array().storage().set_version(version);
            }
        }
    }
    /// The sentence with which saved tensor hooks are refused on this thread, if they are.
    function _saved_tensors_hooks_refusal {
        "() -> Any" => |a| graph::packing_disabled().as_deref().into_pyobject(a.py())?.unbind()
    }
    /// From now on this thread's in-place operations call `watch` with the tensor that they are about to write; None ends it.
    function _watch_writes {
        "(Any? watch) -> None" => |a| {
            let watch = a.get(0).map(|watch| watch.clone().unbind());
            graph::view::watch_writes(watch.map(|watch| -> graph::view::WriteWatch {
                Arc::new(move |x: &Tensor| {
                    ending::attach(|py| {
                        convert::object(py, x.clone()).and_then(|x| watch.call1(py, (x,))).map(drop).map_err(carry)
                    })
                })
            }));
        }
    }
    /// Notes a write to the memory of these tensors that arcgrad did not see.
    function _increment_version {
        "(Any tensors) -> None" => |a| a.tensors(0)?.iter().for_each(|x| x.array().storage().raise_version("somebody who called increment_version"))
    }
    /// Whether it was made in inference mode.
    both is_inference { "(Tensor input) -> bool" => |a| a.tensor(0)?.is_inference() }
    /// Whether it shares the memory of another tensor as its view.
    method _is_view { "(Tensor input) -> bool" => |a| a.tensor(0)?.is_view() }
    /// Whether this thread records what it computes.
    function is_grad_enabled { "() -> bool" => |_a| mode::is_grad_enabled() }
    /// Whether this thread makes inference tensors.
    function is_inference_mode_enabled { "() -> bool" => |_a| mode::is_inference_mode_enabled() }
    /// This thread's mode.
    function _mode { "() -> int" => |_a| bits(mode::get()) }
    /// Sets this thread's mode and returns the one before.
    function _set_mode {
        "(int mode) -> int" => |a| {
            let wanted: i64 = a.int(0)?;
            let (grad, inference, forward) = (wanted & 1 != 0, wanted & 2 != 0, wanted & 4 != 0);
            bits(mode::set(mode::Mode { grad, inference, forward, ..mode::get() }))
        }
    }
    /// What is noted of recorded operations, as bits: 1 origins, 2 ranges, 4 lives, 8 anomalies, 16 NaN checks.
    function _watch { "() -> int" => |_a| i64::from(watch::get().bits()) }
    /// Sets what is noted, on all threads.
    function _set_watch {
        "(int watch) -> None" => |a| {
            let wanted: i64 = a.int(0)?;
            watch::set(Watch::from_bits(wanted as u8));
        }
    }
    /// Where the first NaN or infinity before a tensor was born: the fields of `NonFinite`, or None.
    function _first_nonfinite {
        "(Tensor input) -> Any" => |a| match graph::first_nonfinite(a.tensor(0)?) {
            Some(found) => origin::nonfinite(a.py(), &found)?,
            None => a.py().None(),
        }
    }
    /// Living nodes by name and line: of those at and before these tensors, or if there are none given, of those that were
    /// recorded after the mark while nodes were tracked. Tuples of name, line, count and saved bytes.
    function _live_nodes {
        "(Any? tensors, int mark) -> Any" => |a| {
            let lives = match a.get(0) {
                Some(_) => graph::reachable_lives(a.tensors(0)?.iter().filter_map(Tensor::grad_fn)),
                None => graph::lives_since(graph::Mark::from_number(a.int(1)? as u64)),
            };
            origin::lives(a.py(), lives)?
        }
    }
    /// A moment in the order of tracked nodes.
    function _live_mark { "() -> int" => |_a| graph::mark().number() as i64 }
}
