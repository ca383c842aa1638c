//! The pass on one thread: nodes in order, no locks, no queue.

use smallvec::smallvec;

use crate::array::pool;
use crate::engine::plan::{LEAF, NOWHERE, Plan};
use crate::engine::visit::{Outputs, visit, visit_leaf};
use crate::engine::{Options, Seeds};
use crate::error::Result;
use crate::graph::{Tensor, vector_space};

/// A node with more work than this has the clock read before it runs, so that an interrupt is not seen late.
pub(super) const LONG: u64 = 1 << 17;

/// Runs the plan; answers with what was captured.
pub(super) fn run(
    plan: &mut Plan<'_>,
    seeds: Seeds,
    options: Options,
    is_watched: bool,
) -> Result<Vec<Option<Tensor>>> {
    let mut slots: Vec<Option<Tensor>> = vec![None; plan.slots];
    let mut answers = vec![None; plan.answers];
    for (&(_, slot), grad) in plan.roots.iter().zip(seeds) {
        add(&mut slots[slot as usize], grad)?;
    }
    let mut answer = |place: u32, grad| answers[place as usize] = Some(grad);
    let nodes = plan.order().len();
    for &(step, slot) in &plan.roots {
        let here = &plan.steps[step as usize];
        if here.flags & LEAF != 0 && here.waiting == 0 {
            plan.clock.leaf(nodes + step as usize);
            visit_leaf(plan, step, slots[slot as usize].take(), options, &mut answer)?;
        }
    }
    for place in 0..nodes {
        let step = plan.at(place);
        let node = plan.steps[step as usize].node;
        if is_watched {
            if node.work() > LONG {
                pool::check_interrupt();
            }
            pool::poll_interrupt();
        }
        let slot = plan.steps[step as usize].slot as usize;
        let grads: Outputs = match node.outputs().len() {
            1 => smallvec![slots[slot].take()],
            n => slots[slot..slot + n].iter_mut().map(Option::take).collect(),
        };
        plan.clock.derivative(place);
        let results = visit(plan, step, grads, options, &mut answer)?.unwrap_or_default();
        let mut results = results.into_iter();
        for (k, edge) in node.edges().iter().enumerate() {
            let grad = results.next().flatten();
            let to = plan.leads(step)[k];
            let Some(edge) = edge else { continue };
            if to == NOWHERE {
                continue;
            }
            let next = &mut plan.steps[to as usize];
            next.waiting -= 1;
            let slot = &mut slots[(next.slot + edge.output) as usize];
            if let Some(grad) = grad {
                plan.clock.edge(place, k);
                let grad = vector_space::fit_edge(grad, node, k, edge, options.batch)?;
                plan.clock.sum(place, k);
                add(slot, grad)?;
            }
            let next = &plan.steps[to as usize];
            if next.waiting == 0 && next.flags & LEAF != 0 {
                let grad = slot.take();
                plan.clock.leaf(nodes + to as usize);
                visit_leaf(plan, to, grad, options, &mut answer)?;
            }
        }
    }
    Ok(answers)
}

/// Adds a gradient to what a slot has so far.
#[inline]
fn add(slot: &mut Option<Tensor>, grad: Tensor) -> Result<()> {
    *slot = Some(match slot.take() {
        None => grad,
        Some(sum) => vector_space::add_grads(sum, grad)?,
    });
    Ok(())
}
