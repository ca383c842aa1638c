//! Timed ranges: what ran when and on which thread, while somebody profiles.
//!
//! A range is timed from [`enter`] to the drop of what it answers with, and then sent to the session through a channel: no
//! thread waits for another one, and a forked child finds no lock taken. Who does not profile pays for the byte that
//! Note [Watching costs who watches] speaks of.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use smallvec::SmallVec;

use crate::array::memory;
use crate::graph::node::NodeRef;
use crate::graph::tensor::Tensor;
use crate::watch::{self, Origin};

/// What a range is of. The numbers are PyTorch's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// An operation, or the engine's turn with a node.
    Function = 0,
    /// A derivative.
    Backward = 1,
    /// What the user named.
    User = 7,
}

/// What is noted of a range besides its times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details {
    /// The shapes of the inputs.
    pub shapes: bool,
    /// Where in the program it began.
    pub origins: bool,
    /// The bytes allocated in it less those freed, by the whole process.
    pub memory: bool,
}

const SHAPES: u8 = 1;
const ORIGINS: u8 = 2;
const MEMORY: u8 = 4;

/// The shape of an input, empty for what is no tensor.
pub type Shape = SmallVec<[usize; 4]>;
/// The shapes of the inputs.
pub type Shapes = Vec<Shape>;

/// A range that ended.
pub struct Event {
    /// Counts the ranges of the process in the order in which they began.
    pub id: u64,
    /// PyTorch's name, as in `aten::mul` and `MulBackward0`.
    pub name: Cow<'static, str>,
    /// What it is of.
    pub scope: Scope,
    /// The number of the thread on which it began; threads are counted as they come, from 1.
    pub thread: u32,
    /// The number of the thread on which it ended.
    pub end_thread: u32,
    /// When it began, in nanoseconds since some moment before the first session.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// Of a node's range the node's sequence number, and of an operation's that of the first node that it recorded.
    pub sequence: Option<u64>,
    /// Of a node's range the thread on which the node was recorded, if that was profiled.
    pub forward_thread: Option<u32>,
    /// Empty unless [`Details::shapes`].
    pub shapes: Shapes,
    /// Zero unless [`Details::memory`].
    pub memory: i64,
    /// None unless [`Details::origins`].
    pub origin: Option<Arc<dyn Origin>>,
}

static DETAILS: AtomicU8 = AtomicU8::new(0);
/// The number of the latest session: a range that began in an earlier one is not told to it.
static SESSION: AtomicU64 = AtomicU64::new(0);
static EVENTS: LazyLock<(Sender<Event>, Mutex<Receiver<Event>>)> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
});
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn received() -> Vec<Event> {
    EVENTS.1.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect()
}

/// Times ranges from now on, on every thread. Answers with the moment, or with nothing if somebody profiles already.
pub fn start(details: Details) -> Option<u64> {
    if watch::is_timed() {
        return None;
    }
    drop(received()); // what was on its way when the last session ended
    let flags = [(details.shapes, SHAPES), (details.origins, ORIGINS), (details.memory, MEMORY)];
    // Relaxed: as with all that is watched, who starts a session sees the ranges of its own thread timed from there on.
    DETAILS.store(flags.iter().map(|&(on, flag)| u8::from(on) * flag).sum(), Ordering::Relaxed);
    SESSION.fetch_add(1, Ordering::Relaxed);
    let moment = now();
    (!watch::set_timed(true)).then_some(moment)
}

/// Times no more ranges. Answers with those that ended since the start, in the order in which they began.
pub fn stop() -> Vec<Event> {
    watch::set_timed(false);
    let mut events = received();
    events.sort_unstable_by_key(|event| event.id);
    events
}

/// A range that is being timed: until this is dropped, on whatever thread. Nothing if nobody profiled when it was made.
#[must_use = "the range lasts as long as this lives"]
#[derive(Default)]
pub struct Range(Option<Box<Open>>);

struct Open {
    session: u64,
    /// Whether it stands on this thread's stack.
    is_stacked: bool,
    event: Event,
}

thread_local! {
    static THREAD: Cell<u32> = const { Cell::new(0) };
    /// For each open range of an operation or node on this thread, what its sequence number is so far.
    static SEQUENCES: RefCell<Vec<Option<u64>>> = const { RefCell::new(Vec::new()) };
}

/// Stands for no number where none is to come: an accumulator has no place in the order, but is a node.
const NONE: u64 = u64::MAX;

/// This thread's number.
fn thread() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let known = THREAD.get();
    if known != 0 {
        return known;
    }
    // Relaxed: only uniqueness matters.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    THREAD.set(number);
    number
}

/// Begins a range if somebody profiles. `shapes` is asked for only if shapes are noted.
pub fn enter(name: impl Into<Cow<'static, str>>, scope: Scope, shapes: impl FnOnce() -> Shapes) -> Range {
    if watch::is_timed() { open(name.into(), scope, None, None, shapes) } else { Range::default() }
}

/// A step of an operation that PyTorch counts as an operation of its own.
pub(crate) fn part(name: &'static str) -> Range {
    enter(name, Scope::Function, Shapes::new)
}

/// The engine's turn with a node: hooks, the derivative, and what is kept of its gradients.
#[cold]
pub(crate) fn evaluation(node: &NodeRef) -> Range {
    if !watch::is_timed() {
        return Range::default();
    }
    let name = format!("autograd::engine::evaluate_function: {}", node.name());
    let (sequence, thread) = place(node);
    open(name.into(), Scope::Function, Some(sequence), thread, Shapes::new)
}

/// A node's derivative alone.
#[cold]
pub(crate) fn derivative(node: &NodeRef, grads: &[&Tensor]) -> Range {
    if !watch::is_timed() {
        return Range::default();
    }
    let (sequence, thread) = place(node);
    let shapes = || grads.iter().map(|grad| grad.shape().as_slice().into()).collect();
    open(node.name().to_owned().into(), Scope::Backward, Some(sequence), thread, shapes)
}

/// A node's sequence number, and the thread that recorded it.
fn place(node: &NodeRef) -> (u64, Option<u32>) {
    let sequence = if node.rule().is_accumulator() { NONE } else { node.sequence() };
    (sequence, node.seen().and_then(|seen| seen.thread))
}

#[cold]
fn open(
    name: Cow<'static, str>,
    scope: Scope,
    sequence: Option<u64>,
    forward_thread: Option<u32>,
    shapes: impl FnOnce() -> Shapes,
) -> Range {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let details = DETAILS.load(Ordering::Relaxed);
    let is_stacked = scope != Scope::User;
    if is_stacked {
        SEQUENCES.with_borrow_mut(|open| open.push(sequence));
    }
    let mut event = Event {
        id: NEXT.fetch_add(1, Ordering::Relaxed),
        name,
        scope,
        thread: thread(),
        end_thread: 0,
        start: 0,
        end: 0,
        sequence: None,
        forward_thread,
        shapes: if details & SHAPES != 0 { shapes() } else { Shapes::new() },
        memory: if details & MEMORY != 0 { live_bytes() } else { 0 },
        origin: if details & ORIGINS != 0 { watch::witness().here() } else { None },
    };
    event.start = now(); // last: what noting took is not the range's
    Range(Some(Box::new(Open { session: SESSION.load(Ordering::Relaxed), is_stacked, event })))
}

fn live_bytes() -> i64 {
    memory::live_bytes().cast_signed() as i64
}

impl Drop for Range {
    #[inline]
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            close(*open);
        }
    }
}

#[cold]
fn close(Open { session, is_stacked, mut event }: Open) {
    event.end = now(); // first, for the same reason
    if is_stacked {
        let sequence = SEQUENCES.try_with(|open| open.borrow_mut().pop().flatten());
        event.sequence = sequence.ok().flatten().filter(|&sequence| sequence != NONE);
    }
    if !watch::is_timed() || session != SESSION.load(Ordering::Relaxed) {
        return;
    }
    event.end_thread = thread();
    if DETAILS.load(Ordering::Relaxed) & MEMORY != 0 {
        event.memory = live_bytes() - event.memory;
    }
    // The receiver is never dropped.
    let _ = EVENTS.0.send(event);
}

/// Tells this thread's open ranges of a node that was just recorded; answers with the thread's number.
///
/// A node that a derivative records belongs to no operation outside of the derivative.
pub(crate) fn record(sequence: u64) -> u32 {
    SEQUENCES.with_borrow_mut(|open| {
        open.iter_mut()
            .rev()
            .take_while(|number| number.is_none())
            .for_each(|number| *number = Some(sequence));
    });
    thread()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn a_range_is_told_to_the_session_in_which_it_began_or_to_none() {
        assert!(start(Details::default()).is_some());
        assert!(start(Details::default()).is_none());
        let early = enter("early", Scope::User, Shapes::new);
        stop();
        start(Details::default());
        drop(early);
        let x = Tensor::ones(&[2], DType::F32).unwrap().requires_grad_(true).unwrap();
        let y = {
            let _outer = enter("outer", Scope::Function, Shapes::new);
            let _inner = enter("inner", Scope::Function, Shapes::new);
            x.exp().unwrap()
        };
        let mut events = stop();
        events.retain(|event| event.thread == thread()); // other tests run meanwhile
        let names: Vec<&str> = events.iter().map(|event| &*event.name).collect();
        assert_eq!(names, ["outer", "inner"]);
        let sequence = y.grad_fn().map(|node| node.sequence());
        assert!(events.iter().all(|event| event.sequence == sequence && event.start <= event.end));
        assert!(events[0].start <= events[1].start && events[1].end <= events[0].end);
        assert!(enter("late", Scope::User, Shapes::new).0.is_none());
    }
}
