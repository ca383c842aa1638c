//! What a tensor or node owns alone, for an embedding language whose garbage collector looks for cycles.
//!
//! Note [What the collector sees]: a Python function that is a hook, or the context of a custom function, may lead back to
//! the tensor whose graph owns it. Counts alone never free such a cycle; Python's collector does, if it is told that the
//! tensor's object owns the function. That is so as long as each link of the way has one owner, so the walk stops where a
//! count is above one; what it does not show is kept a little longer, never freed too early. It goes at most 256
//! nodes far, because the collector asks often.

use std::any::Any;

use smallvec::SmallVec;

use crate::graph::node::NodeRef;
use crate::graph::saved::{Saved, SavedValue};
use crate::graph::tensor::Tensor;

/// Nodes that one walk looks at.
const REACH: usize = 256;

/// Shows everything foreign that `x` owns alone through its graph.
pub fn each_owned_by_tensor(x: &Tensor, show: &mut dyn FnMut(&dyn Any)) {
    if let Some((history, hooked)) = x.owned_nodes() {
        walk([history, hooked].into_iter().flatten().collect(), show);
    }
}

/// Shows everything foreign that the only holder of `node` owns through it.
pub fn each_owned_by_node(node: &NodeRef, show: &mut dyn FnMut(&dyn Any)) {
    walk(SmallVec::from_iter([node.clone()]), show);
}

fn walk(mut next: SmallVec<[NodeRef; 4]>, show: &mut dyn FnMut(&dyn Any)) {
    /// The walk itself and who is asked about.
    const OWNERS: usize = 2;
    let mut seen = 0;
    while let Some(node) = next.pop() {
        seen += 1;
        if seen > REACH {
            return;
        }
        if !node.is_owned(OWNERS) {
            continue;
        }
        show(node.rule());
        if let Some(extra) = node.extra() {
            // Whoever holds a lock is at work on this node, which then is no garbage.
            if let Some(hooks) = extra.hooks.try_lock() {
                hooks.each_owned(show);
            }
            if let Some(Some(attached)) = extra.attached.try_lock().as_deref() {
                show(&**attached);
            }
        }
        if let Some(Saved::Live(values) | Saved::Packed(values)) = node.saved.try_lock().as_deref() {
            for value in values {
                if let SavedValue::Packed(packed) = value {
                    packed.show(show);
                }
            }
        }
        next.extend(node.edges().iter().flatten().map(|edge| edge.node.clone()));
    }
}
