//! Which pass a hook is called in, and what that pass will do, for hooks that wait for several gradients.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::engine::plan::{ASKED, Plan, RUNS, Targets};
use crate::graph::NodeRef;

/// A pass that is running.
pub(super) struct Current {
    number: u64,
    /// Whether all leaves get their gradients added.
    fills_all_leaves: bool,
    /// The addresses of the nodes that it reaches with a gradient that somebody wants.
    reached: HashSet<usize>,
}

/// Off until somebody asks: a program that never does pays one read of this for a pass.
static IS_TRACKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CURRENT: RefCell<Option<Arc<Current>>> = const { RefCell::new(None) };
}

/// From now on passes can be asked about with [`pass_number`] and [`will_reach`].
pub fn track_passes() {
    // Relaxed: a plain setting.
    IS_TRACKED.store(true, Ordering::Relaxed);
}

/// A number that no other pass has; `None` outside of passes.
pub fn pass_number() -> Option<u64> {
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.number))
}

/// Whether the pass that runs on this thread brings a gradient to a node; `None` outside of passes.
pub fn will_reach(node: &NodeRef) -> Option<bool> {
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.reached.contains(&node.address())))
}

/// Whether the pass that runs on this thread adds the gradients of all leaves before its roots, and was not asked for some;
/// `None` outside of passes.
pub fn fills_all_leaves() -> Option<bool> {
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.fills_all_leaves))
}

/// What to tell this thread about a pass.
pub(super) fn of(plan: &Plan<'_>, targets: &Targets<'_>) -> Option<Arc<Current>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if !IS_TRACKED.load(Ordering::Relaxed) {
        return None;
    }
    let reached = plan.steps.iter().filter(|step| step.flags & (RUNS | ASKED) != 0);
    let reached = reached.map(|step| step.node.address()).collect();
    // Relaxed: only uniqueness matters.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Some(Arc::new(Current { number, fills_all_leaves: matches!(targets, Targets::Leaves), reached }))
}

/// Sets what this thread is told, until the guard goes.
pub(super) fn enter(current: Option<Arc<Current>>) -> Guard {
    Guard(CURRENT.replace(current))
}

/// Restores what was before.
pub(super) struct Guard(Option<Arc<Current>>);

impl Drop for Guard {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
