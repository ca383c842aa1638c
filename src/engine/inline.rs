//! The pass on one thread: nodes in order, no locks, no queue.

use smallvec::SmallVec;

use crate::engine::Options;
use crate::engine::plan::Plan;
use crate::error::{Error, Result};
use crate::graph::{Backward, Grads, NodeRef, Tensor, vector_space};

/// Runs the plan; answers with what was captured.
pub(super) fn run(mut plan: Plan, options: Options) -> Result<Vec<Option<Tensor>>> {
    let mut answers = vec![None; plan.answers];
    let order = std::mem::take(&mut plan.order);
    for &i in &order {
        step(&mut plan, i, options, &mut answers)?;
    }
    if let Some(targets) = plan.accumulate.take() {
        for (target, grad) in targets.iter().zip(answers.drain(..)) {
            if let (Some(leaf), Some(grad)) = (target.node.leaf(), grad) {
                leaf.accumulate_grad(grad)?;
            }
        }
    }
    Ok(answers)
}

fn step(plan: &mut Plan, i: u32, options: Options, answers: &mut [Option<Tensor>]) -> Result<()> {
    let here = &mut plan.steps[i as usize];
    let node = here.node.clone();
    let runs = here.runs;
    let grads = std::mem::take(&mut here.grads);
    if grads.iter().all(Option::is_none) {
        return Ok(());
    }
    for capture in plan.captures.iter().filter(|c| c.step == i) {
        answers[capture.place].clone_from(&grads[capture.output as usize]);
    }
    if let Some(extra) = node.extra() {
        for (output, tensor) in extra.retained.lock().iter() {
            if let (Some(tensor), Some(grad)) = (tensor.upgrade(), &grads[*output as usize]) {
                tensor.set_grad(Some(vector_space_clone(grad)));
            }
        }
    }
    if let Some(leaf) = node.leaf() {
        if plan.answers == 0
            && let Some(grad) = grads.into_iter().next().flatten()
        {
            leaf.accumulate_grad(grad)?;
        }
        return Ok(());
    }
    if !runs {
        return Ok(());
    }
    let results = derive(&node, grads, options)?;
    for (edge, grad) in node.edges().iter().zip(results) {
        if let (Some(edge), Some(grad)) = (edge, grad) {
            let to = plan.number(&edge.node);
            let grad = vector_space::fit(grad, &edge.node.outputs()[edge.output as usize])?;
            plan.add(to, edge.output, grad)?;
        }
    }
    Ok(())
}

fn vector_space_clone(grad: &Tensor) -> Tensor {
    grad.clone()
}

/// A node's derivative, with the values it kept freed afterwards.
fn derive(node: &NodeRef, grads: SmallVec<[Option<Tensor>; 1]>, options: Options) -> Result<Grads> {
    let results = node.rule().backward(&mut Backward::new(node, grads))?;
    if !options.retain_graph {
        node.release();
    }
    if results.len() < node.edges().len() {
        return Err(Error::runtime(format!(
            "{} returned an incorrect number of gradients (expected {}, got {})",
            node.name(),
            node.edges().len(),
            results.len()
        )));
    }
    Ok(results)
}
