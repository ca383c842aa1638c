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
use crate::graph::node::{Grads, NodeRef, WeakNode};
use crate::graph::tensor::{Tensor, WeakTensor};

/// Called with the whole gradient of a tensor; may answer with another one of the same shape and dtype.
pub trait TensorHook: Any + Send + Sync {
    /// `None` leaves the gradient as it is.
    fn call(&self, grad: &Tensor) -> Result<Option<Tensor>>;
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
}

impl NodeHooks {
    fn output(&mut self, output: u32) -> &mut List<dyn TensorHook> {
        let place = self.outputs.iter().position(|(other, _)| *other == output);
        let place = place.unwrap_or_else(|| {
            self.outputs.push((output, List::default()));
            self.outputs.len() - 1
        });
        &mut self.outputs[place].1
    }
}

/// The hooks of a leaf.
#[derive(Default)]
pub(crate) struct LeafHooks {
    gradient: List<dyn TensorHook>,
    accumulated: List<dyn LeafHook>,
}

/// Takes a hook away again. Dropping the handle leaves the hook where it is.
pub struct HookHandle {
    id: u64,
    place: Place,
}

enum Place {
    Output(WeakNode, u32),
    Before(WeakNode),
    After(WeakNode),
    Leaf(WeakTensor),
    Accumulated(WeakTensor),
}

impl HookHandle {
    /// Takes the hook away. A second call does nothing, nor does one after the tensor or node is gone.
    pub fn remove(&self) {
        fn at_node<H: ?Sized>(
            node: &WeakNode,
            id: u64,
            list: impl FnOnce(&mut NodeHooks) -> &mut List<H>,
        ) -> Option<Arc<H>> {
            let node = node.upgrade()?;
            list(&mut node.extra()?.hooks.lock()).remove(id)
        }
        fn at_leaf<H: ?Sized>(
            leaf: &WeakTensor,
            id: u64,
            list: impl FnOnce(&mut LeafHooks) -> &mut List<H>,
        ) -> Option<Arc<H>> {
            let leaf = leaf.upgrade()?;
            list(&mut leaf.existing_hooks()?.lock()).remove(id)
        }
        let id = self.id;
        // What is removed is dropped after the locks: it may own anything.
        match &self.place {
            Place::Output(node, output) => drop(at_node(node, id, |hooks| hooks.output(*output))),
            Place::Before(node) => drop(at_node(node, id, |hooks| &mut hooks.before)),
            Place::After(node) => drop(at_node(node, id, |hooks| &mut hooks.after)),
            Place::Leaf(leaf) => drop(at_leaf(leaf, id, |hooks| &mut hooks.gradient)),
            Place::Accumulated(leaf) => drop(at_leaf(leaf, id, |hooks| &mut hooks.accumulated)),
        }
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
    /// x.sum()?.backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [10.0, 10.0]);
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
        Ok(match self.history() {
            Some(edge) => {
                let id = edge.node.extra_or_default().hooks.lock().output(edge.output).add(hook);
                HookHandle { id, place: Place::Output(edge.node.downgrade(), edge.output) }
            }
            None => HookHandle {
                id: self.hooks().lock().gradient.add(hook),
                place: Place::Leaf(self.downgrade()),
            },
        })
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
        let id = self.hooks().lock().accumulated.add(hook);
        Ok(HookHandle { id, place: Place::Accumulated(self.downgrade()) })
    }

    /// The hooks that were added for this tensor's gradient, in their order.
    pub fn gradient_hooks(&self) -> SmallVec<[Arc<dyn TensorHook>; 1]> {
        match self.history() {
            Some(edge) => edge
                .node
                .extra()
                .map(|extra| extra.hooks.lock().output(edge.output).snapshot())
                .unwrap_or_default(),
            None => self.existing_hooks().map(|hooks| hooks.lock().gradient.snapshot()).unwrap_or_default(),
        }
    }

    /// The hooks that were added to be called after `.grad` grows, in their order.
    pub fn post_accumulate_grad_hooks(&self) -> SmallVec<[Arc<dyn LeafHook>; 1]> {
        self.existing_hooks().map(|hooks| hooks.lock().accumulated.snapshot()).unwrap_or_default()
    }

    /// Calls the hooks for this leaf's gradient.
    #[inline]
    pub(crate) fn run_gradient_hooks(&self, grad: Tensor) -> Result<Tensor> {
        match self.existing_hooks() {
            None => Ok(grad),
            Some(hooks) => {
                let hooks = hooks.lock().gradient.snapshot();
                run(&hooks, grad)
            }
        }
    }

    /// Calls the hooks for after `.grad` has grown.
    #[inline]
    pub(crate) fn run_post_accumulate_grad_hooks(&self) -> Result<()> {
        let Some(hooks) = self.existing_hooks() else { return Ok(()) };
        let hooks = hooks.lock().accumulated.snapshot();
        hooks.iter().try_for_each(|hook| hook.call(self))
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
        let id = self.extra_or_default().hooks.lock().before.add(hook);
        HookHandle { id, place: Place::Before(self.downgrade()) }
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
        let id = self.extra_or_default().hooks.lock().after.add(hook);
        HookHandle { id, place: Place::After(self.downgrade()) }
    }

    /// The hooks that are called before the derivative.
    pub fn prehooks(&self) -> SmallVec<[Arc<dyn NodePreHook>; 1]> {
        self.extra().map(|extra| extra.hooks.lock().before.snapshot()).unwrap_or_default()
    }

    /// The hooks that are called after the derivative.
    pub fn hooks(&self) -> SmallVec<[Arc<dyn NodeHook>; 1]> {
        self.extra().map(|extra| extra.hooks.lock().after.snapshot()).unwrap_or_default()
    }

    /// Calls the hooks on the tensors that are this node's outputs.
    pub(crate) fn run_output_hooks(&self, grads: &mut [Option<Tensor>]) -> Result<()> {
        let Some(extra) = self.extra() else { return Ok(()) };
        let hooks: SmallVec<[_; 1]> =
            extra.hooks.lock().outputs.iter().map(|(output, hooks)| (*output, hooks.snapshot())).collect();
        for (output, hooks) in hooks {
            let slot = &mut grads[output as usize];
            *slot = slot.take().map(|grad| run(&hooks, grad)).transpose()?;
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

    /// Calls the hooks after the derivative.
    pub(crate) fn run_hooks(
        &self,
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
}
