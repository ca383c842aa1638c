//! What code that a pass calls may ask about it, and ask of it: its number, what it will do, and to be called when it is over.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::engine::plan::Plan;
use crate::error::{Error, Result};
use crate::graph::NodeRef;

/// What is run at the end of a pass.
pub type Callback = Box<dyn FnOnce() -> Result<()> + Send>;

/// A pass that is running and that somebody asked about.
pub(super) struct Current {
    number: u64,
    facts: Facts,
    callbacks: Mutex<VecDeque<Callback>>,
    /// Known if [`track_passes`] came before the pass.
    planned: Option<Planned>,
}

/// What a pass was told by its caller.
#[derive(Clone, Copy)]
pub struct Facts {
    /// Whether what nodes saved is kept.
    pub retain_graph: bool,
    /// Whether the pass answers with gradients and adds none into leaves.
    pub captures: bool,
    /// Whether the pass adds the gradients of all leaves before its roots, and was not asked for some.
    pub fills_all_leaves: bool,
}

/// What a pass will do.
struct Planned {
    /// The addresses of the nodes that it reaches with a gradient that somebody wants.
    reached: HashSet<usize>,
    /// The nodes in the order in which the inline pass visits them.
    order: Vec<NodeRef>,
}

/// What this thread knows of the pass that it works for.
enum Here {
    Outside,
    /// Nobody asked yet, and a pass that nobody asks about pays for nothing more than this.
    Inside(Facts),
    Asked(Arc<Current>),
}

/// Off until somebody wants plans: they take a walk over all nodes.
static IS_TRACKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here::Outside) };
}

impl Current {
    fn new(facts: Facts, planned: Option<Planned>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness matters.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { number, facts, callbacks: Mutex::default(), planned })
    }
}

/// The pass that this thread works for.
pub(super) fn get() -> Option<Arc<Current>> {
    HERE.with_borrow_mut(|here| {
        if let Here::Inside(facts) = here {
            *here = Here::Asked(Current::new(*facts, None));
        }
        match here {
            Here::Asked(current) => Some(current.clone()),
            Here::Outside | Here::Inside(_) => None,
        }
    })
}

/// From now on passes can be asked with [`will_reach`] and [`execution_order`].
pub fn track_passes() {
    // Relaxed: a plain setting.
    IS_TRACKED.store(true, Ordering::Relaxed);
}

/// A number that no other pass has; `None` outside of passes.
pub fn pass_number() -> Option<u64> {
    get().map(|current| current.number)
}

/// How the pass that this thread works for was called; `None` outside of passes.
pub fn pass_facts() -> Option<Facts> {
    HERE.with_borrow(|here| match here {
        Here::Outside => None,
        Here::Inside(facts) => Some(*facts),
        Here::Asked(current) => Some(current.facts),
    })
}

fn planned<R>(read: impl FnOnce(&Planned) -> R) -> Result<Option<R>> {
    let Some(current) = get() else { return Ok(None) };
    match &current.planned {
        Some(planned) => Ok(Some(read(planned))),
        None => Err(Error::runtime("this backward pass began before anybody wanted to know its plan")),
    }
}

/// Whether the pass that this thread works for brings a gradient to a node; `None` outside of passes.
///
/// Fails when [`track_passes`] came after the pass began.
pub fn will_reach(node: &NodeRef) -> Result<Option<bool>> {
    planned(|planned| planned.reached.contains(&node.address()))
}

/// The nodes that the pass that this thread works for visits, in the order of the inline schedule; `None` outside of passes.
///
/// Fails when [`track_passes`] came after the pass began.
pub fn execution_order() -> Result<Option<Vec<NodeRef>>> {
    planned(|planned| planned.order.clone())
}

/// Has `callback` called once the pass that this thread works for is over, by its caller, after those that were asked for
/// before it. A failed pass calls none.
///
/// Fails outside of passes.
pub fn at_end_of_pass(callback: Callback) -> Result<()> {
    let outside = || Error::runtime("Final callbacks can only be installed during backward pass.");
    get().ok_or_else(outside)?.callbacks.lock().push_back(callback);
    Ok(())
}

/// Calls what was asked for with [`at_end_of_pass`], by these callbacks too.
pub(super) fn call_back() -> Result<()> {
    let next = || {
        HERE.with_borrow(|here| match here {
            Here::Asked(current) => current.callbacks.lock().pop_front(),
            Here::Outside | Here::Inside(_) => None,
        })
    };
    while let Some(callback) = next() {
        callback()?;
    }
    Ok(())
}

/// This thread begins a pass; until the guard goes, it can be asked about.
pub(super) fn begin(plan: &Plan<'_>, facts: Facts) -> Guard {
    if !IS_TRACKED.load(Ordering::Relaxed) {
        return Guard(HERE.replace(Here::Inside(facts)));
    }
    let order: Vec<NodeRef> = plan.visits().map(|step| plan.steps[step as usize].node.clone()).collect();
    let planned = Planned { reached: order.iter().map(NodeRef::address).collect(), order };
    join(Some(Current::new(facts, Some(planned))))
}

/// This thread works for a pass that another began, until the guard goes.
pub(super) fn join(current: Option<Arc<Current>>) -> Guard {
    Guard(HERE.replace(current.map_or(Here::Outside, Here::Asked)))
}

/// Restores what was before.
pub(super) struct Guard(Here);

impl Drop for Guard {
    fn drop(&mut self) {
        drop(HERE.replace(std::mem::replace(&mut self.0, Here::Outside)));
    }
}
