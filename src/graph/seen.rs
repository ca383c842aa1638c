//! What is noted of nodes while somebody watches: see Note [Watching costs who watches] in `watch.rs`.

use std::cell::RefCell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::kernels::walk::each_run;
use crate::array::{Array, DType, Element};
use crate::error::{Error, Kind, Result};
use crate::graph::node::{Edge, Grads, NodeRef};
use crate::graph::tensor::Tensor;
use crate::graph::{live, profile};
use crate::watch::{self, Named, Origin, Watch};

/// What was noted of a node.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Where it was recorded.
    pub origin: Option<Arc<dyn Origin>>,
    /// The node in whose derivative it was recorded.
    pub parent: Option<NodeRef>,
    /// The call of the pass that freed what it had saved.
    pub freed: Option<Arc<dyn Origin>>,
    /// The number of the thread that recorded it, if that was profiled.
    pub thread: Option<u32>,
    /// The ranges of its outputs, by output.
    ranges: SmallVec<[(u32, Range); 1]>,
}

impl Seen {
    pub fn range(&self, output: u32) -> Option<Range> {
        self.ranges.iter().find(|(of, _)| *of == output).map(|(_, range)| *range)
    }
}

/// The numbers of a floating-point array at a glance.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Range {
    /// The least finite number; infinity if there is none.
    pub least: f64,
    /// The greatest finite number; minus infinity if there is none.
    pub greatest: f64,
    /// The position, in row-major order, and value of the first NaN or infinity.
    pub nonfinite: Option<(usize, f64)>,
}

impl Range {
    /// Looks at every element. `None` for arrays of other dtypes.
    pub fn of(x: &Array) -> Option<Self> {
        match x.dtype() {
            DType::F32 => Some(Self::of_elements::<f32>(x)),
            DType::F64 => Some(Self::of_elements::<f64>(x)),
            _ => None,
        }
    }

    fn of_elements<T: Copy + Into<f64>>(x: &Array) -> Self {
        let mut range = Self { least: f64::INFINITY, greatest: f64::NEG_INFINITY, nonfinite: None };
        let mut place = 0;
        each::<T>(x, |value| {
            let value = value.into();
            if value.is_finite() {
                range.least = range.least.min(value);
                range.greatest = range.greatest.max(value);
            } else if range.nonfinite.is_none() {
                range.nonfinite = Some((place, value));
            }
            place += 1;
        });
        range
    }
}

/// Calls `visit` with each element in row-major order.
fn each<T: Copy>(x: &Array, mut visit: impl FnMut(T)) {
    each_run(x, |first, step, n| {
        for i in 0..n as isize {
            // SAFETY: a run of elements of `x`, which are of type `T`.
            visit(unsafe { first.cast::<T>().offset(i * step).read() });
        }
    });
}

/// Whether there is a NaN among the elements.
pub fn has_nan(x: &Array) -> bool {
    match x.dtype() {
        DType::F32 => has_nan_of::<f32>(x),
        DType::F64 => has_nan_of::<f64>(x),
        _ => false,
    }
}

fn has_nan_of<T: Element>(x: &Array) -> bool {
    // A number that differs from itself. Branchless within a block, for the compiler to compare several at once.
    #[allow(clippy::eq_op, clippy::needless_bitwise_bool)]
    let in_block = |block: &[T]| block.iter().fold(false, |found, value| found | (value != value));
    // SAFETY: the slice lives for this expression only. Who else may write meanwhile is Note [Writes to shared storage].
    if let Some(elements) = unsafe { x.as_unordered_slice::<T>() } {
        return elements.chunks(1024).any(in_block);
    }
    let mut found = false;
    each::<T>(x, |value| found |= in_block(&[value]));
    found
}

thread_local! {
    /// The node whose derivative this thread runs, while somebody watches.
    static RUNNING: RefCell<Option<NodeRef>> = const { RefCell::new(None) };
}

/// Notes of a node that was just recorded where and in whose derivative.
#[cold]
pub(crate) fn note_node(node: &NodeRef) {
    // Accumulators stand for leaves and are made under locks, where the witness must not be asked.
    if node.rule().is_accumulator() {
        return;
    }
    let watch = watch::get();
    if watch.has_origins() {
        let origin = watch::here();
        let parent = RUNNING.with_borrow(Clone::clone);
        let mut seen = node.extra_or_default().seen.lock();
        (seen.origin, seen.parent) = (origin, parent);
    }
    if watch.lives {
        live::enter(node);
    }
    if watch::is_timed() {
        node.extra_or_default().seen.lock().thread = Some(profile::record(node.sequence()));
    }
}

/// Notes the range of an output that was just made.
#[inline]
pub(crate) fn note_output(edge: &Edge, y: &Array) {
    if watch::is_on() && watch::get().ranges {
        note_range(edge, y);
    }
}

#[cold]
fn note_range(edge: &Edge, y: &Array) {
    let Some(range) = Range::of(y) else { return };
    let mut seen = edge.node.extra_or_default().seen.lock();
    // What a derivative unpacks is the same output again.
    if seen.range(edge.output).is_none() {
        seen.ranges.push((edge.output, range));
    }
}

/// What a pass does around each derivative while somebody watches.
pub(crate) struct Derivative {
    watch: Watch,
    /// Where the pass was called.
    call: Option<Arc<dyn Origin>>,
}

impl Derivative {
    /// For a pass that is called now; `None` if nobody watches.
    #[inline]
    pub fn watched() -> Option<Self> {
        watch::is_on().then(|| Self { watch: watch::get(), call: watch::here() })
    }

    /// Runs a node's derivative. `frees` says that it is the last to use what the node saved.
    #[cold]
    pub fn run(
        &self,
        node: &NodeRef,
        frees: bool,
        derivative: impl FnOnce() -> Result<Grads>,
    ) -> Result<Grads> {
        let before = RUNNING.replace(Some(node.clone()));
        let _restored = Restored(before);
        let result = derivative().and_then(|grads| self.checked(node, grads));
        if let (true, Some(call)) = (frees, &self.call) {
            node.extra_or_default().seen.lock().freed.get_or_insert_with(|| call.clone());
        }
        if let Err(error) = &result
            && self.watch.anomalies
            && !matches!(error.kind(), Kind::Interrupted)
        {
            watch::witness().failed(&lineage(node));
        }
        result
    }

    fn checked(&self, node: &NodeRef, grads: Grads) -> Result<Grads> {
        if self.watch.anomalies && self.watch.nan {
            let is_nan = |grad: &Option<Tensor>| grad.as_ref().is_some_and(|grad| has_nan(&grad.array()));
            if let Some(place) = grads.iter().position(is_nan) {
                return Err(Error::runtime(format!(
                    "Function '{}' returned nan values in its {place}th output.",
                    node.name()
                )));
            }
        }
        Ok(grads)
    }
}

/// Puts back which node ran before.
struct Restored(Option<NodeRef>);

impl Drop for Restored {
    fn drop(&mut self) {
        drop(RUNNING.replace(self.0.take()));
    }
}

/// The node, the node in whose derivative it was recorded, and so on.
fn lineage(node: &NodeRef) -> Vec<Named> {
    let mut lineage = Vec::new();
    let mut next = Some(node.clone());
    while let Some(node) = next {
        lineage.push((node.name().to_owned(), node.origin()));
        next = node.parent();
    }
    lineage
}

impl NodeRef {
    /// What was noted of it.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.extra().map(|extra| extra.seen.lock().clone())
    }

    /// Where it was recorded, if that was noted.
    pub fn origin(&self) -> Option<Arc<dyn Origin>> {
        self.extra()?.seen.lock().origin.clone()
    }

    /// The node in whose derivative it was recorded, if that was noted.
    pub fn parent(&self) -> Option<Self> {
        self.extra()?.seen.lock().parent.clone()
    }
}
