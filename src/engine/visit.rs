//! One node's turn: hands out what was asked for, runs the derivative, frees what was saved.

use std::num::NonZeroUsize;

use smallvec::{SmallVec, smallvec};

use crate::array::pool;
use crate::engine::Options;
use crate::engine::plan::{ASKED, CAPTURED, Plan, RUNS};
use crate::error::{Error, Result};
use crate::graph::{Backward, Grads, NodeRef, Tensor, batch, profile, retain, run_hooks, vector_space};

/// The gradients of a node's outputs.
pub(super) type Outputs = SmallVec<[Option<Tensor>; 1]>;

/// Runs a step that is not a leaf; `None` if it has nothing to hand on.
///
/// What was asked for of its gradients goes to `answer` with its place.
#[inline]
pub(super) fn visit(
    plan: &Plan<'_>,
    step: u32,
    grads: Outputs,
    options: Options,
    answer: &mut dyn FnMut(u32, Tensor),
) -> Result<Option<Grads>> {
    let here = &plan.steps[step as usize];
    if (here.flags & RUNS == 0 || here.node.extra().is_none()) && is_idle(here.node, &grads) {
        return Ok(None);
    }
    if plan.watched.is_none() {
        evaluate(plan, step, grads, options, answer)
    } else {
        evaluate_watched(plan, step, grads, options, answer)
    }
}

/// Whether a node has nothing to do for want of gradients.
#[inline]
fn is_idle(node: &NodeRef, grads: &Outputs) -> bool {
    grads.iter().all(Option::is_none) && !node.rule().runs_on_nothing()
}

/// [`evaluate`] while somebody watches: out of line, for nobody else to pay for it.
#[cold]
#[inline(never)]
fn evaluate_watched(
    plan: &Plan<'_>,
    step: u32,
    grads: Outputs,
    options: Options,
    answer: &mut dyn FnMut(u32, Tensor),
) -> Result<Option<Grads>> {
    let _timed = profile::evaluation(plan.steps[step as usize].node);
    evaluate(plan, step, grads, options, answer)
}

#[inline(always)] // of its two callers one is cold
fn evaluate(
    plan: &Plan<'_>,
    step: u32,
    mut grads: Outputs,
    options: Options,
    answer: &mut dyn FnMut(u32, Tensor),
) -> Result<Option<Grads>> {
    let here = &plan.steps[step as usize];
    if let Some(extra) = here.node.extra() {
        // Hooks hear of missing gradients too.
        batch::change(options.batch, &mut grads, |grads| here.node.run_output_hooks(grads))?;
        if is_idle(here.node, &grads) {
            return Ok(None);
        }
        let retained = extra.retained.lock().clone();
        for (output, tensor) in retained {
            let Some(tensor) = tensor.upgrade() else { continue };
            batch::change(options.batch, &mut smallvec![grads[output as usize].clone()], |grads| {
                grads[0].as_ref().map_or(Ok(()), |grad| pool::uninterruptible(|| retain(&tensor, grad)))
            })?;
        }
    }
    if here.flags & CAPTURED != 0 {
        for capture in plan.captures(step) {
            if let Some(grad) = &grads[capture.output as usize] {
                answer(capture.place, grad.clone());
            }
        }
    }
    if here.flags & RUNS == 0 {
        if here.flags & (ASKED | CAPTURED) == ASKED {
            // The gradient is asked for as one that is kept: PyTorch counts this as a visit.
            batch::change(options.batch, &mut grads, |grads| here.node.run_prehooks(grads))?;
        }
        return Ok(None);
    }
    if here.node.extra().is_some() || plan.watched.is_some() {
        let frees = !options.retain_graph;
        let derivative = || derive_with_hooks(here.node, grads, plan.wanted(step), options);
        return match &plan.watched {
            Some(watched) => watched.run(here.node, frees, derivative),
            None => derivative(),
        }
        .map(Some);
    }
    derive(here.node, grads, plan.wanted(step), options).map(Some)
}

/// A leaf's turn: its gradient is whole.
#[inline]
pub(super) fn visit_leaf(
    plan: &Plan<'_>,
    step: u32,
    grad: Option<Tensor>,
    options: Options,
    answer: &mut dyn FnMut(u32, Tensor),
) -> Result<()> {
    let Some(grad) = grad else { return Ok(()) };
    if plan.watched.is_none() {
        evaluate_leaf(plan, step, grad, options, answer)
    } else {
        evaluate_leaf_watched(plan, step, grad, options, answer)
    }
}

/// [`evaluate_leaf`] while somebody watches.
#[cold]
#[inline(never)]
fn evaluate_leaf_watched(
    plan: &Plan<'_>,
    step: u32,
    grad: Tensor,
    options: Options,
    answer: &mut dyn FnMut(u32, Tensor),
) -> Result<()> {
    let _timed = profile::evaluation(plan.steps[step as usize].node);
    evaluate_leaf(plan, step, grad, options, answer)
}

#[inline(always)] // of its two callers one is cold
fn evaluate_leaf(
    plan: &Plan<'_>,
    step: u32,
    grad: Tensor,
    options: Options,
    answer: &mut dyn FnMut(u32, Tensor),
) -> Result<()> {
    let here = &plan.steps[step as usize];
    let mut grads: Outputs = smallvec![Some(grad)];
    let has_hooks = here.node.extra().is_some();
    if has_hooks {
        batch::change(options.batch, &mut grads, |grads| here.node.run_output_hooks(grads))?;
    }
    if here.flags & CAPTURED != 0
        && let Some(grad) = &grads[0]
    {
        for capture in plan.captures(step) {
            answer(capture.place, grad.clone());
        }
    }
    // A leaf that is gone has nobody to look at its gradient.
    let Some(leaf) = here.node.leaf().filter(|_| here.flags & RUNS != 0) else { return Ok(()) };
    // Whole or not at all: an interrupted pass leaves no half-added gradient.
    let add = |grad: Option<Tensor>| match grad {
        Some(grad) if plan.watched.is_some() => accumulate_watched(here.node, &leaf, grad),
        Some(grad) => pool::uninterruptible(|| leaf.accumulate_grad(grad)),
        None => Ok(()),
    };
    if !has_hooks {
        return add(grads.pop().flatten());
    }
    here.node.run_prehooks(&mut grads)?;
    let hooks = here.node.hooks();
    let is_first = leaf.grad().is_none();
    // A hook sees the tensor that `.grad` becomes, where it becomes what arrived.
    let mut seen = if hooks.is_empty() || is_first { Outputs::new() } else { grads.clone() };
    add(grads.pop().flatten())?;
    if is_first {
        seen.push(leaf.grad());
    }
    here.node.run_leaf_hooks(&leaf)?;
    run_hooks(&hooks, Grads::new(), &seen).map(drop)
}

#[cold]
#[inline(never)]
fn accumulate_watched(node: &NodeRef, leaf: &Tensor, grad: Tensor) -> Result<()> {
    let _timed = profile::derivative(node, &[&grad]);
    pool::uninterruptible(|| leaf.accumulate_grad(grad))
}

/// [`derive`] between the node's pre-hooks and its hooks.
#[cold]
fn derive_with_hooks(node: &NodeRef, mut grads: Outputs, wanted: u64, options: Options) -> Result<Grads> {
    batch::change(options.batch, &mut grads, |grads| node.run_prehooks(grads))?;
    let derive = |grads: Outputs| {
        let _timed = profile::derivative(node, &grads.iter().flatten().collect::<SmallVec<[_; 1]>>());
        derive(node, grads, wanted, options)
    };
    let hooks = node.hooks();
    if hooks.is_empty() {
        return derive(grads);
    }
    let seen = grads.clone();
    let results = derive(grads)?;
    match options.batch {
        None => run_hooks(&hooks, fitted(node, results)?, &seen),
        Some(size) => batch::each(size, &results, |i, results| {
            fitted(node, run_hooks(&hooks, fitted(node, results)?, &batch::members(&seen, i)?)?)
        }),
    }
}

/// Gradients shaped and typed as the inputs that get them, as hooks see them.
fn fitted(node: &NodeRef, mut grads: Grads) -> Result<Grads> {
    for (k, (grad, edge)) in grads.iter_mut().zip(node.edges()).enumerate() {
        if let (Some(found), Some(edge)) = (grad.take(), edge) {
            *grad = Some(vector_space::fit_edge(found, node, k, edge, None)?);
        }
    }
    Ok(grads)
}

/// A node's derivative. Without `retain_graph` it takes the saved values along, so that of several passes that meet at a node
/// one gets them and the others an error.
#[inline]
fn derive(node: &NodeRef, grads: Outputs, wanted: u64, options: Options) -> Result<Grads> {
    let rule = node.rule();
    let shares = rule.shares_saved();
    let mut cx = Backward::new(node, grads, wanted, !options.retain_graph && !shares);
    let results = match options.batch {
        Some(size) if !rule.takes_batch() => derive_each(&mut cx, size)?,
        _ => rule.backward(&mut cx)?,
    };
    if shares && !options.retain_graph {
        node.release();
    }
    counted(node, results)
}

/// A derivative that takes one gradient at a time, for each member of a batch. Each answer is fitted by itself: stacked
/// first, one that does not fit its input could look like one that does.
#[cold]
fn derive_each(cx: &mut Backward<'_>, size: NonZeroUsize) -> Result<Grads> {
    let node = cx.node();
    let grads = cx.replace_grads(Outputs::new());
    batch::each(size, &grads, |_, members| {
        cx.replace_grads(members.into_iter().collect());
        fitted(node, counted(node, node.rule().backward(cx)?)?)
    })
}

/// The gradients, if there is one for each input.
#[inline]
fn counted(node: &NodeRef, results: Grads) -> Result<Grads> {
    if results.len() == node.edges().len() { Ok(results) } else { Err(wrong_count(node, results.len())) }
}

#[cold]
fn wrong_count(node: &NodeRef, got: usize) -> Error {
    Error::runtime(format!(
        "{} returned an incorrect number of gradients (expected {}, got {got})",
        node.name(),
        node.edges().len(),
    ))
}
