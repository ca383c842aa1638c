//! Nodes and edges: the graph itself, owned by reference counts and freed without recursion.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::array::counted::{Counted, WeakCounted};
use crate::array::{DType, Layout};
use crate::error::Result;
use crate::graph::forward::Slot;
use crate::graph::hooks::NodeHooks;
use crate::graph::packing::{Packed, SavedTensorHooks};
use crate::graph::record::Backward;
use crate::graph::saved::{Saved, SavedValues};
use crate::graph::seen::{self, Seen};
use crate::graph::tensor::{Tensor, WeakTensor};
use crate::watch;

/// The gradients a node hands to its edges, in edge order.
pub type Grads = SmallVec<[Option<Tensor>; 2]>;

/// The derivative of one recorded operation.
pub trait Rule: Any + Send + Sync {
    /// The node's name, as in `MulBackward0`.
    fn name(&self) -> &str;

    /// From the gradients of the outputs to those of the inputs, one per edge. An input that needs none gets `None`.
    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads>;

    /// Names of the saved values, as in `self` and `result`, in the order they were kept.
    fn saved_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// How long `backward` takes, in elements of element-wise work, given the elements of the outputs.
    fn work(&self, elements: u64) -> u64 {
        elements
    }

    /// Whether `backward` takes a batch of gradients, each with a leading axis, as it takes one: see
    /// Note [A batch of gradients]. If not, it is called for one member after the other.
    fn takes_batch(&self) -> bool {
        false
    }

    /// Whether `backward` is to be called even if no gradient reached any output.
    fn runs_on_nothing(&self) -> bool {
        false
    }

    /// Whether what was saved stays in the node while `backward` runs, for the embedding language to read it there.
    fn shares_saved(&self) -> bool {
        false
    }

    /// Whether `backward` is only to be called on the thread that began the pass: it runs code that may count on its thread.
    fn stays_with_caller(&self) -> bool {
        false
    }

    /// Whether this node adds gradients into a leaf.
    fn is_accumulator(&self) -> bool {
        false
    }

    /// The leaf that this node adds gradients into, as long as somebody else holds it.
    fn leaf(&self) -> Option<Tensor> {
        None
    }
}

/// What is known of an output without keeping it alive: enough to make a zero gradient and to undo broadcasting.
#[derive(Clone)]
pub struct OutputMeta {
    /// Shape.
    pub layout: Arc<Layout>,
    /// Element type.
    pub dtype: DType,
}

impl OutputMeta {
    /// A gradient that is nothing.
    pub fn zeros(&self) -> Result<Tensor> {
        Tensor::zeros(self.layout.shape(), self.dtype)
    }
}

/// One recorded operation: what it is ([`Rule`]), what it kept, and the nodes before it.
pub struct Node<R: ?Sized = dyn Rule> {
    sequence: u64,
    /// Scratch of the backward pass that is walking this node: see Note [Numbered slots] in docs/engine.md.
    pub(crate) slot: AtomicU64,
    edges: SmallVec<[Option<Edge>; 2]>,
    outputs: SmallVec<[OutputMeta; 1]>,
    pub(crate) saved: Mutex<Saved>,
    extra: OnceBox<Extra>,
    rule: R,
}

/// What few nodes have.
#[derive(Default)]
pub struct Extra {
    /// Non-leaf tensors that asked to keep their gradient, with the output each one is.
    pub retained: Mutex<Vec<(u32, WeakTensor)>>,
    /// What users want called when a pass comes by.
    pub(crate) hooks: Mutex<NodeHooks>,
    /// The tangents of saved values, with their numbers.
    pub(crate) tangents: Mutex<Vec<(usize, Arc<Slot>)>>,
    /// What was noted of the node while somebody watched.
    pub(crate) seen: Mutex<Seen>,
    /// Anything the embedding language wants to keep with the node, which it [loosens](NodeRef::loosen) first.
    pub attached: Mutex<Option<Box<dyn Any + Send + Sync>>>,
    /// A slot for the embedding language's object of this node.
    pub foreign: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

/// Where a gradient flows: an output of an earlier node.
#[derive(Clone)]
pub struct Edge {
    /// The node.
    pub node: NodeRef,
    /// Which of its outputs.
    pub output: u32,
}

thread_local! {
    /// A Lamport clock: see Note [Newer nodes never feed older ones].
    static CLOCK: Cell<u64> = const { Cell::new(0) };
}

/// This thread's clock: the age of the newest node that it made.
pub(crate) fn clock() -> u64 {
    CLOCK.get()
}

/// Sets this thread's clock, for a pass that says what ages its nodes have.
pub(crate) fn set_clock(age: u64) {
    CLOCK.set(age);
}

impl Node {
    /// The rule's name.
    pub fn name(&self) -> &str {
        self.rule.name()
    }
    /// Position in the order of recording.
    #[inline]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
    /// Where the gradients go, one entry per input; `None` for an input that needs no gradient.
    #[inline]
    pub fn edges(&self) -> &[Option<Edge>] {
        &self.edges
    }
    /// Shapes and dtypes of the outputs.
    #[inline]
    pub fn outputs(&self) -> &[OutputMeta] {
        &self.outputs
    }
    /// The derivative.
    #[inline]
    pub fn rule(&self) -> &dyn Rule {
        &self.rule
    }
    /// The leaf this node adds gradients into, if that is what it does and somebody else holds the leaf.
    pub fn leaf(&self) -> Option<Tensor> {
        self.rule.leaf()
    }
    /// Drops the saved values; a later use of them is an error.
    pub fn release(&self) {
        let saved = self.saved.lock().take();
        drop(saved); // after the lock: dropping may free other nodes
    }
    /// What few nodes have, if this one does.
    #[inline]
    pub fn extra(&self) -> Option<&Extra> {
        self.extra.get()
    }
    /// What few nodes have, made on first use.
    pub fn extra_or_default(&self) -> &Extra {
        self.extra.get_or_init(Box::default)
    }
    /// Whether a visit to this node runs a user's code, in its rule, in hooks, or to unpack what was saved.
    pub(crate) fn stays_with_caller(&self) -> bool {
        self.rule.stays_with_caller()
            || self.extra().is_some_and(|extra| !extra.hooks.lock().is_empty())
            || matches!(*self.saved.lock(), Saved::Packed(_))
    }
    /// Whether only one of several passes that keep nothing can run this node.
    pub(crate) fn is_for_one(&self) -> bool {
        !self.rule.shares_saved() && !matches!(*self.saved.lock(), Saved::Nothing)
    }
    /// Whether a pass has taken the saved values.
    pub(crate) fn is_freed(&self) -> bool {
        matches!(*self.saved.lock(), Saved::Freed)
    }
    /// Estimated work of the derivative, in elements of element-wise work.
    pub fn work(&self) -> u64 {
        let elements = self.outputs.iter().map(|m| m.layout.numel() as u64).sum();
        self.rule.work(elements)
    }
}

/// A counted reference to a node. The last one to go frees the node, and whatever only it held, without recursion.
// Not an option that `drop` empties: an `Option<Edge>` then has no room of its own for "none".
pub struct NodeRef(ManuallyDrop<Counted<Node>>);

impl NodeRef {
    /// A new node whose edges lead to `edges`. It is newer than each of them.
    #[inline]
    pub(crate) fn new<R: Rule>(
        rule: R,
        edges: SmallVec<[Option<Edge>; 2]>,
        outputs: SmallVec<[OutputMeta; 1]>,
        saved: Saved,
    ) -> Self {
        // Note [Newer nodes never feed older ones]: a node's sequence number is above those of all nodes before it, and
        // on one thread it grows with time. So descending sequence order is a topological order, and one that every
        // run of the program repeats. A Lamport clock gives this without a counter that threads would fight over.
        let newest = edges.iter().flatten().map(|e| e.node.sequence).max().unwrap_or(0);
        let sequence = CLOCK.get().max(newest) + 1;
        CLOCK.set(sequence);
        let node = Counted::new(|| Node {
            sequence,
            slot: AtomicU64::new(0),
            edges,
            outputs,
            saved: Mutex::new(saved),
            extra: OnceBox::new(),
            rule,
        });
        // SAFETY: the pointer stays the same; the compiler adds what it knows of `R`.
        let node = Self(ManuallyDrop::new(unsafe { node.unsize(|block| block as *mut _) }));
        if watch::is_on() {
            seen::note_node(&node);
        }
        node
    }

    /// A reference that does not keep the node alive.
    pub fn downgrade(&self) -> WeakNode {
        WeakNode(Some(self.0.downgrade()))
    }

    /// Leaves the node to graphs and to whoever looks at it, if it is an accumulator that its leaf keeps for speed alone: what
    /// is attached to it then goes with them.
    pub fn loosen(&self) {
        if let Some(leaf) = self.leaf() {
            leaf.loosen_accumulator();
        }
    }

    /// Whether both are the same node.
    pub fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }

    /// Whether there are this many references to the node.
    pub(crate) fn is_owned(&self, owners: usize) -> bool {
        self.0.holders() == owners
    }

    /// What the node kept, packages closed. Fails when a backward pass has freed it.
    pub fn saved_values(&self) -> Result<SavedValues> {
        Ok(self.saved.lock().values(self)?.iter().cloned().collect())
    }

    /// Packs the saved value of this number.
    pub fn pack_saved(&self, index: usize, hooks: Arc<dyn SavedTensorHooks>) -> Result<()> {
        let packed = self.saved_values()?.get(index).map(|value| Packed::pack(hooks, value)).transpose()?;
        let mut saved = self.saved.lock();
        let (Saved::Live(values) | Saved::Packed(values)) = &mut *saved else { return Ok(()) };
        if let (Some(slot), Some(packed)) = (values.get_mut(index), packed) {
            let before = std::mem::replace(slot, packed);
            *saved = Saved::Packed(match saved.take() {
                Saved::Live(values) | Saved::Packed(values) => values,
                Saved::Nothing | Saved::Freed => SavedValues::new(),
            });
            drop(saved);
            drop(before);
        }
        Ok(())
    }

    /// The node's address, for identity.
    pub fn address(&self) -> usize {
        self.0.address()
    }
}

impl Clone for NodeRef {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Deref for NodeRef {
    type Target = Node;
    #[inline]
    fn deref(&self) -> &Node {
        &self.0
    }
}

/// A reference that does not keep the node alive.
#[derive(Clone, Default)]
pub struct WeakNode(Option<WeakCounted<Node>>);

impl WeakNode {
    /// Whether the node is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.as_ref().is_none_or(WeakCounted::is_gone)
    }

    /// The node, if it still lives.
    #[inline]
    pub fn upgrade(&self) -> Option<NodeRef> {
        self.0.as_ref().and_then(WeakCounted::upgrade).map(|node| NodeRef(ManuallyDrop::new(node)))
    }
}

thread_local! {
    /// Nodes whose last reference went while another node was being freed on this thread.
    static DOOMED: RefCell<Vec<Counted<Node>>> = const { RefCell::new(Vec::new()) };
    static FREEING: Cell<bool> = const { Cell::new(false) };
}

impl Drop for NodeRef {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: nobody can use `self` after its drop.
        let node = unsafe { ManuallyDrop::take(&mut self.0) };
        // Two threads may both see a count above one and both leave here; the later then frees the node in place,
        // and the node's own references come through this same door, so the depth stays bounded all the same.
        if node.holders() > 1 {
            return;
        }
        free(node);
    }
}

/// Note [Freed without recursion]: a node that goes takes the nodes before it along, and a graph may be a million nodes
/// deep. So while one node is being freed on a thread, others wait in a list instead of being freed inside it.
fn free(node: Counted<Node>) {
    let nested = FREEING.try_with(|freeing| freeing.replace(true));
    match nested {
        Ok(true) => {
            let _ = DOOMED.try_with(|doomed| doomed.borrow_mut().push(node));
        }
        Ok(false) => {
            drop(node);
            while let Ok(Some(next)) = DOOMED.try_with(|doomed| doomed.borrow_mut().pop()) {
                drop(next);
            }
            let _ = FREEING.try_with(|freeing| freeing.set(false));
        }
        // The thread is ending and its list is gone.
        Err(_) => drop(node),
    }
}
