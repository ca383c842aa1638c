//! Functions that users attach to tensors and nodes, for a backward pass to call when it comes by.
//!
//! Note [The order of hooks]: when the gradient of a node's output is whole, the hooks on the tensor that is this output
//! are called in the order of their registration, each with what the one before left. Then the gradient is kept
//! (`retain_grad`) and handed to who asked for it, so both see the final one. Then the node's pre-hooks are called, the
//! derivative runs, and the node's hooks are called with its results. A leaf's own hooks come before its accumulator's
//! pre-hooks, and its post-accumulate hooks after `.grad` has grown.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::graph::node::{Edge, Grads, NodeRef, WeakNode};
use crate::graph::tensor::Tensor;

/// Called with the whole gradient of a tensor; may answer with another one of the same shape and dtype.
pub trait TensorHook: Any + Send + Sync {
    /// `None` leaves the gradient as it is.
    fn call(&self, grad: &Tensor) -> Result<Option<Tensor>>;

    /// Called where a pass brings a gradient to another output of the tensor's node and none to the tensor.
    fn nothing(&self) -> Result<()> {
        Ok(())
    }
}

impl<F: Fn(&Tensor) -> Result<Option<Tensor>> + Any + Send + Sync> TensorHook for F {
    fn call(&self, grad: &Tensor) -> Result<Option<Tensor>> {
        self(grad)
    }
}

/// Called with a leaf after a pass has added into its `.grad`.
pub trait LeafHook: Any + Send + Sync {
    /// An error ends the pass.
    fn call(&self, leaf: &Tensor) -> Result<()>;
}

impl<F: Fn(&Tensor) -> Result<()> + Any + Send + Sync> LeafHook for F {
    fn call(&self, leaf: &Tensor) -> Result<()> {
        self(leaf)
    }
}

/// Called with the gradients of a node's outputs before its derivative runs; may answer with others.
pub trait NodePreHook: Any + Send + Sync {
    /// `None` leaves them as they are.
    fn call(&self, grad_outputs: &[Option<Tensor>]) -> Result<Option<Grads>>;
}

impl<F: Fn(&[Option<Tensor>]) -> Result<Option<Grads>> + Any + Send + Sync> NodePreHook for F {
    fn call(&self, grad_outputs: &[Option<Tensor>]) -> Result<Option<Grads>> {
        self(grad_outputs)
    }
}

/// Called with the gradients of a node's inputs and outputs after its derivative ran; may answer with others for the inputs.
pub trait NodeHook: Any + Send + Sync {
    /// `None` leaves them as they are.
    fn call(&self, grad_inputs: &[Option<Tensor>], grad_outputs: &[Option<Tensor>]) -> Result<Option<Grads>>;
}

impl<F> NodeHook for F
where
    F: Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Grads>> + Any + Send + Sync,
{
    fn call(&self, grad_inputs: &[Option<Tensor>], grad_outputs: &[Option<Tensor>]) -> Result<Option<Grads>> {
        self(grad_inputs, grad_outputs)
    }
}

/// Hooks of one kind, in the order of their registration.
pub(crate) struct List<H: ?Sized>(SmallVec<[(u64, Arc<H>); 1]>);

impl<H: ?Sized> Default for List<H> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<H: ?Sized> List<H> {
    fn add(&mut self, hook: Arc<H>) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only uniqueness matters.
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.0.push((id, hook));
        id
    }

    fn remove(&mut self, id: u64) -> Option<Arc<H>> {
        let place = self.0.iter().position(|(other, _)| *other == id)?;
        Some(self.0.remove(place).1)
    }

    /// The hooks as they are now: they are called without a lock, and may register and remove others.
    fn snapshot(&self) -> SmallVec<[Arc<H>; 1]> {
        self.0.iter().map(|(_, hook)| hook.clone()).collect()
    }
}

/// The hooks of a node.
#[derive(Default)]
pub(crate) struct NodeHooks {
    /// On the tensors that are its outputs, by output.
    outputs: SmallVec<[(u32, List<dyn TensorHook>); 1]>,
    before: List<dyn NodePreHook>,
    after: List<dyn NodeHook>,
    /// Of an accumulator: for after `.grad` has grown.
    accumulated: List<dyn LeafHook>,
}

impl NodeHooks {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [self.before.0.is_empty(), self.after.0.is_empty(), self.accumulated.0.is_empty()];
        lists == [true; 3] && self.outputs.iter().all(|(_, list)| list.0.is_empty())
    }

    /// Shows each hook that nobody else holds.
    pub(crate) fn each_owned(&self, show: &mut dyn FnMut(&dyn Any)) {
        fn owned<H: ?Sized>(list: &List<H>) -> impl Iterator<Item = &H> {
            list.0.iter().filter(|(_, hook)| Arc::strong_count(hook) == 1).map(|(_, hook)| &**hook)
        }
        self.outputs.iter().flat_map(|(_, list)| owned(list)).for_each(|hook| show(hook));
        owned(&self.before).for_each(|hook| show(hook));
        owned(&self.after).for_each(|hook| show(hook));
        owned(&self.accumulated).for_each(|hook| show(hook));
    }

    fn output(&mut self, output: u32) -> &mut List<dyn TensorHook> {
        let place = self.outputs.iter().position(|(other, _)| *other == output);
        let place = place.unwrap_or_else(|| {
            self.outputs.push((output, List::default()));
            self.outputs.len() - 1
        });
        &mut self.outputs[place].1
    }
}

/// Takes a hook away again. Dropping the handle leaves the hook where it is.
pub struct HookHandle {
    id: u64,
    node: WeakNode,
    place: Place,
}

enum Place {
    Output(u32),
    Before,
    After,
    Accumulated,
}

impl HookHandle {
    /// Takes the hook away. A second call does nothing, nor does one after the tensor or node is gone.
    pub fn remove(&self) {
        let Some(node) = self.node.upgrade() else { return };
        let Some(extra) = node.extra() else { return };
        let mut hooks = extra.hooks.lock();
        // What is removed is dropped after the lock: it may own anything.
        let removed: (Option<Arc<dyn Any + Send + Sync>>, _) = match self.place {
            Place::Output(output) => (hooks.output(output).remove(self.id).map(|hook| hook as _), hooks),
            Place::Before => (hooks.before.remove(self.id).map(|hook| hook as _), hooks),
            Place::After => (hooks.after.remove(self.id).map(|hook| hook as _), hooks),
            Place::Accumulated => (hooks.accumulated.remove(self.id).map(|hook| hook as _), hooks),
        };
        let (removed, hooks) = removed;
        drop(hooks);
        drop(removed);
    }
}

impl Tensor {
    /// From now on calls `hook` with this tensor's gradient whenever a backward pass has computed it.
    ///
    /// What the hook answers replaces the gradient. After an in-place operation the tensor is another value: hooks from
    /// before see the gradient of the value that was overwritten.
    ///
    /// Fails when the tensor does not require a gradient.
    ///
    /// ```
    /// use arcgrad::Tensor;
    /// let x = Tensor::from_slice(&[1.0_f32, 2.0], &[2])?.requires_grad_(true)?;
    /// let handle = x.register_hook(|g: &Tensor| g.mul(10.0).map(Some))?;
    /// x.mul(3.0)?.backward_from(&Tensor::ones(&[2], arcgrad::DType::F32)?)?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [30.0, 30.0]);
    /// handle.remove();
    /// # Ok::<(), arcgrad::Error>(())
    /// ```
    pub fn register_hook<H>(&self, hook: H) -> Result<HookHandle>
    where
        H: Fn(&Self) -> Result<Option<Self>> + Any + Send + Sync,
    {
        self.add_hook(Arc::new(hook))
    }

    /// [`Tensor::register_hook`] for a hook that is not a closure.
    pub fn add_hook(&self, hook: Arc<dyn TensorHook>) -> Result<HookHandle> {
        if !self.requires_grad() {
            return Err(Error::runtime("cannot register a hook on a tensor that doesn't require gradient"));
        }
        Ok(self.place_hook(hook))
    }

    /// [`Tensor::add_hook`] for a tensor that need not require a gradient: until it does, the hook is not called.
    pub fn place_hook(&self, hook: Arc<dyn TensorHook>) -> HookHandle {
        let Edge { node, output } = self.hooked_edge();
        let id = node.extra_or_default().hooks.lock().output(output).add(hook);
        HookHandle { id, node: node.downgrade(), place: Place::Output(output) }
    }

    /// The node that has this tensor's hooks, and which of its outputs the tensor is.
    fn hooked_edge(&self) -> Edge {
        self.history().unwrap_or_else(|| Edge { node: self.hooked_accumulator(), output: 0 })
    }

    /// From now on calls `hook` with this leaf whenever a backward pass has added into its `.grad`.
    ///
    /// Fails when the tensor is not a leaf that requires a gradient.
    pub fn register_post_accumulate_grad_hook<H>(&self, hook: H) -> Result<HookHandle>
    where
        H: Fn(&Self) -> Result<()> + Any + Send + Sync,
    {
        self.add_post_accumulate_grad_hook(Arc::new(hook))
    }

    /// [`Tensor::register_post_accumulate_grad_hook`] for a hook that is not a closure.
    pub fn add_post_accumulate_grad_hook(&self, hook: Arc<dyn LeafHook>) -> Result<HookHandle> {
        if !self.requires_grad() {
            return Err(Error::runtime("cannot register a hook on a tensor that doesn't require gradient"));
        }
        if !self.is_leaf() {
            return Err(Error::runtime(
                "post accumulate grad hooks cannot be registered on non-leaf tensors",
            ));
        }
        let node = self.hooked_accumulator();
        let id = node.extra_or_default().hooks.lock().accumulated.add(hook);
        Ok(HookHandle { id, node: node.downgrade(), place: Place::Accumulated })
    }

    /// The hooks that were added for this tensor's gradient, in their order.
    pub fn gradient_hooks(&self) -> SmallVec<[Arc<dyn TensorHook>; 1]> {
        let edge = match self.history() {
            Some(edge) => Some(edge),
            None => self.existing_accumulator().map(|node| Edge { node, output: 0 }),
        };
        let hooks = edge.as_ref().and_then(|edge| {
            edge.node.extra().map(|extra| extra.hooks.lock().output(edge.output).snapshot())
        });
        hooks.unwrap_or_default()
    }

    /// The hooks that were added to be called after `.grad` grows, in their order.
    pub fn post_accumulate_grad_hooks(&self) -> SmallVec<[Arc<dyn LeafHook>; 1]> {
        self.existing_accumulator().map(|node| node.leaf_hooks()).unwrap_or_default()
    }
}

fn run(hooks: &[Arc<dyn TensorHook>], mut grad: Tensor) -> Result<Tensor> {
    for hook in hooks {
        if let Some(other) = hook.call(&grad)? {
            grad = other;
        }
    }
    Ok(grad)
}

impl NodeRef {
    /// From now on calls `hook` with the gradients of this node's outputs before its derivative runs.
    pub fn register_prehook<H>(&self, hook: H) -> HookHandle
    where
        H: Fn(&[Option<Tensor>]) -> Result<Option<Grads>> + Any + Send + Sync,
    {
        self.add_prehook(Arc::new(hook))
    }

    /// [`NodeRef::register_prehook`] for a hook that is not a closure.
    pub fn add_prehook(&self, hook: Arc<dyn NodePreHook>) -> HookHandle {
        self.loosen();
        let id = self.extra_or_default().hooks.lock().before.add(hook);
        HookHandle { id, node: self.downgrade(), place: Place::Before }
    }

    /// From now on calls `hook` with the gradients of this node's inputs and outputs after its derivative ran.
    pub fn register_hook<H>(&self, hook: H) -> HookHandle
    where
        H: Fn(&[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Grads>> + Any + Send + Sync,
    {
        self.add_hook(Arc::new(hook))
    }

    /// [`NodeRef::register_hook`] for a hook that is not a closure.
    pub fn add_hook(&self, hook: Arc<dyn NodeHook>) -> HookHandle {
        self.loosen();
        let id = self.extra_or_default().hooks.lock().after.add(hook);
        HookHandle { id, node: self.downgrade(), place: Place::After }
    }

    /// The hooks that are called before the derivative.
    pub fn prehooks(&self) -> SmallVec<[Arc<dyn NodePreHook>; 1]> {
        self.extra().map(|extra| extra.hooks.lock().before.snapshot()).unwrap_or_default()
    }

    /// The hooks that are called after the derivative.
    pub fn hooks(&self) -> SmallVec<[Arc<dyn NodeHook>; 1]> {
        self.extra().map(|extra| extra.hooks.lock().after.snapshot()).unwrap_or_default()
    }

    /// Of an accumulator: the hooks that are called after `.grad` has grown.
    fn leaf_hooks(&self) -> SmallVec<[Arc<dyn LeafHook>; 1]> {
        self.extra().map(|extra| extra.hooks.lock().accumulated.snapshot()).unwrap_or_default()
    }

    /// Calls the hooks for after `.grad` has grown.
    pub(crate) fn run_leaf_hooks(&self, leaf: &Tensor) -> Result<()> {
        self.leaf_hooks().iter().try_for_each(|hook| hook.call(leaf))
    }

    /// Takes over the hooks of another node.
    pub(crate) fn take_hooks(&self, from: &Self) {
        let Some(extra) = from.extra() else { return };
        let hooks = std::mem::take(&mut *extra.hooks.lock());
        *self.extra_or_default().hooks.lock() = hooks;
    }

    /// Calls the hooks on the tensors that are this node's outputs.
    pub(crate) fn run_output_hooks(&self, grads: &mut [Option<Tensor>]) -> Result<()> {
        let Some(extra) = self.extra() else { return Ok(()) };
        let hooks: SmallVec<[_; 1]> =
            extra.hooks.lock().outputs.iter().map(|(output, hooks)| (*output, hooks.snapshot())).collect();
        for (output, hooks) in hooks {
            let slot = &mut grads[output as usize];
            match slot.take() {
                Some(grad) => *slot = Some(run(&hooks, grad)?),
                None => hooks.iter().try_for_each(|hook| hook.nothing())?,
            }
        }
        Ok(())
    }

    /// Calls the pre-hooks.
    pub(crate) fn run_prehooks(&self, grads: &mut SmallVec<[Option<Tensor>; 1]>) -> Result<()> {
        for hook in self.prehooks() {
            if let Some(others) = hook.call(grads)? {
                *grads = others.into_iter().collect();
            }
        }
        Ok(())
    }
}

/// Calls the hooks after a derivative.
pub(crate) fn run_hooks(
    hooks: &[Arc<dyn NodeHook>],
    mut grad_inputs: Grads,
    grad_outputs: &[Option<Tensor>],
) -> Result<Grads> {
    for hook in hooks {
        if let Some(others) = hook.call(&grad_inputs, grad_outputs)? {
            grad_inputs = others;
        }
    }
    Ok(grad_inputs)
}
