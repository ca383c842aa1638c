//! Layer 3b: plans and runs a backward pass. Knows no op.

mod clock;
mod current;
mod fold;
mod inline;
mod parallel;
mod plan;
mod visit;

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use smallvec::SmallVec;

use crate::array::pool;
pub use crate::engine::current::{
    Callback, Facts, at_end_of_pass, execution_order, pass_facts, pass_number, track_passes, will_reach,
};
use crate::engine::plan::{Plan, Targets};
use crate::error::{Error, Kind, Result};
use crate::graph::{Batch, Edge, OutputMeta, Tensor, mode, packing, vector_space};

/// How a backward pass is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep what nodes saved, so that the graph can be walked again.
    pub retain_graph: bool,
    /// Record the pass itself, so that gradients can be differentiated.
    pub create_graph: bool,
    /// How many gradients walk at once: each root's gradient then has a leading axis of this extent, and so has each
    /// answer. For [`grad`] alone: a leaf's `.grad` takes one gradient.
    pub batch: Batch,
}

/// Where a pass starts: a place in the graph and the gradient there.
pub struct Root {
    /// The output.
    pub edge: Edge,
    /// Its gradient.
    pub grad: Tensor,
}

/// Who runs a pass. Gradients have the same bits either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Schedule {
    /// The caller, and the pool when the graph is wide and its work pays for waking somebody.
    #[default]
    Auto,
    /// The caller alone.
    Inline,
    /// The caller and the pool, whatever the graph.
    Parallel,
}

thread_local! {
    static MULTITHREADING: Cell<bool> = const { Cell::new(true) };
}

/// Whether passes that this thread begins may be run by several, where [`Schedule::Auto`] says so.
pub fn is_multithreading_enabled() -> bool {
    MULTITHREADING.get()
}

/// Lets passes that this thread begins be run by several, or by the thread alone; answers with what was before.
pub fn set_multithreading_enabled(yes: bool) -> bool {
    MULTITHREADING.replace(yes)
}

/// What a heavy pass may ask of the program that the engine is embedded in.
#[derive(Clone, Copy, Default)]
pub struct Host<'a> {
    /// Runs a closure, once, in surroundings where a long computation is in nobody's way (without an interpreter's lock).
    pub detached: Option<&'a dyn Fn(&mut (dyn FnMut() + Send))>,
    /// Whether the pass should stop. Asked on the calling thread, at most every 20 milliseconds.
    pub interrupted: Option<&'a (dyn Fn() -> bool + Sync)>,
    /// Who runs the pass.
    pub schedule: Schedule,
}

/// The gradients at the roots, in their order.
type Seeds = SmallVec<[Tensor; 1]>;

/// Work, in elements of element-wise work, from which a pass is detached and watched for interrupts: about 50 µs.
const HEAVY: u64 = 1 << 19;

/// The gradient with which a pass starts at `y`: the given one, checked, or one for a tensor of one element.
///
/// `index` is the output's place among the outputs, for messages. Fails when `y` has no history, when the shapes differ,
/// and when no gradient is given for several elements.
pub fn root(y: &Tensor, index: usize, grad: Option<&Tensor>) -> Result<Root> {
    root_at(edge_of(y, index)?, index, grad)
}

/// Where an output is in the graph.
fn edge_of(y: &Tensor, index: usize) -> Result<Edge> {
    y.gradient_edge().ok_or_else(|| {
        Error::runtime(format!(
            "element {index} of tensors does not require grad and does not have a grad_fn (it was computed from nothing \
             that requires a gradient, or under no_grad)"
        ))
    })
}

/// [`root`] for an output that is known by its place in the graph.
pub fn root_at(edge: Edge, index: usize, grad: Option<&Tensor>) -> Result<Root> {
    let OutputMeta { layout, dtype } = &edge.node.outputs()[edge.output as usize];
    let grad = match grad {
        Some(grad) if grad.shape().as_slice() == layout.shape() => vector_space::to_dtype(grad, *dtype)?,
        Some(grad) => {
            return Err(Error::runtime(format!(
                "Mismatch in shape: grad_output[{index}] has a shape of torch.Size({:?}) and output[{index}] has a shape of \
                 torch.Size({:?}).",
                grad.shape(),
                layout.shape()
            )));
        }
        None if layout.numel() == 1 => vector_space::ones(layout, *dtype)?,
        None => {
            return Err(Error::runtime(format!(
                "grad can be implicitly created only for scalar outputs (output {index} has shape {:?}; call .sum() first, or pass \
                 the gradient with respect to it)",
                layout.shape()
            )));
        }
    };
    Ok(Root { edge, grad })
}

/// [`root`] for a batch of gradients: see [`Options::batch`].
pub fn batched_root(y: &Tensor, index: usize, grads: &Tensor) -> Result<Root> {
    batched_root_at(edge_of(y, index)?, index, grads)
}

/// [`batched_root`] for an output that is known by its place in the graph.
pub fn batched_root_at(edge: Edge, index: usize, grads: &Tensor) -> Result<Root> {
    let OutputMeta { layout, dtype } = &edge.node.outputs()[edge.output as usize];
    let shape = grads.shape();
    if shape.get(1..) != Some(layout.shape()) {
        return Err(Error::runtime(format!(
            "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. The \
             sizes of the remaining dimensions are expected to match the shape of corresponding output, but a mismatch was \
             detected: grad_output[{index}] has a shape of torch.Size({:?}) and output[{index}] has a shape of \
             torch.Size({:?}).",
            &shape[..],
            layout.shape()
        )));
    }
    let grad = vector_space::to_dtype(grads, *dtype)?;
    Ok(Root { edge, grad })
}

/// Adds the gradients of the roots into `.grad` of every leaf before them, or only of `inputs` if some are given.
///
/// Fails with what a node failed with, a panic included; `.grad` of each leaf is then as it was or whole.
pub fn backward(roots: Vec<Root>, inputs: Option<&[Tensor]>, options: Options) -> Result<()> {
    let edges = inputs.map(|inputs| inputs.iter().map(kept_edge).collect::<Result<Vec<_>>>()).transpose()?;
    Host::default().backward(roots, edges.as_deref(), options)
}

/// The gradients of the roots with respect to `inputs`; `None` for one that they do not depend on.
///
/// Fails as [`backward`] does.
pub fn grad(roots: Vec<Root>, inputs: &[Tensor], options: Options) -> Result<Vec<Option<Tensor>>> {
    let edges = inputs.iter().map(input_edge).collect::<Result<Vec<_>>>()?;
    Host::default().grad(roots, &edges, options)
}

/// Where the gradient of an input is to be had. Fails when the input requires none.
pub fn input_edge(x: &Tensor) -> Result<Edge> {
    x.gradient_edge().ok_or_else(|| Error::runtime("One of the differentiated Tensors does not require grad"))
}

/// [`input_edge`] of an input whose gradient is to be kept in its `.grad`.
pub fn kept_edge(x: &Tensor) -> Result<Edge> {
    let edge = input_edge(x)?;
    x.retain_grad()?;
    Ok(edge)
}

impl Host<'_> {
    /// [`backward`] in this host, towards places in the graph.
    pub fn backward(self, roots: Vec<Root>, inputs: Option<&[Edge]>, options: Options) -> Result<()> {
        if options.batch.is_some() {
            return Err(Error::value(
                "backward: a batch of gradients is for `grad`, since a leaf's gradient is one",
            ));
        }
        let targets = inputs.map_or(Targets::Leaves, Targets::These);
        self.run(roots, &targets, options).map(drop)
    }

    /// [`grad`] in this host, with respect to places in the graph.
    pub fn grad(self, roots: Vec<Root>, inputs: &[Edge], options: Options) -> Result<Vec<Option<Tensor>>> {
        self.run(roots, &Targets::Captured(inputs), options)
    }

    fn run(self, roots: Vec<Root>, targets: &Targets<'_>, options: Options) -> Result<Vec<Option<Tensor>>> {
        let mut edges: SmallVec<[Edge; 1]> = SmallVec::with_capacity(roots.len());
        let mut grads = Seeds::with_capacity(roots.len());
        for root in roots {
            edges.push(root.edge);
            grads.push(root.grad);
        }
        let mode = mode::Mode { grad: options.create_graph, ..mode::get() };
        let _guard = mode::enter(mode);
        let _hooks = packing::scope();
        let mut plan = Plan::new(&edges, targets);
        let facts = Facts {
            retain_graph: options.retain_graph,
            captures: matches!(targets, Targets::Captured(_)),
            fills_all_leaves: matches!(targets, Targets::Leaves),
        };
        let _current = current::begin(&plan, facts);
        let work = plan.work.saturating_mul(options.batch.map_or(1, |size| size.get() as u64));
        let is_heavy = work >= HEAVY;
        let is_parallel = match self.schedule {
            Schedule::Auto => is_heavy && is_multithreading_enabled() && parallel::pays(&plan),
            Schedule::Inline => false,
            Schedule::Parallel => true,
        };
        // What a recorded pass saves is packed by this thread's hooks, which no other thread may call.
        let is_parallel = is_parallel && !(options.create_graph && mode.packs);
        let is_watched = is_heavy && self.interrupted.is_some();
        let mut pass = || {
            let grads = std::mem::take(&mut grads);
            if is_parallel {
                parallel::run(&plan, grads, options, mode, current::get())
            } else {
                inline::run(&mut plan, grads, options, is_watched)
            }
        };
        if !is_heavy {
            let answers = caught(pass)?;
            return caught(current::call_back).map(|()| answers);
        }
        let mut watched = || match self.interrupted {
            Some(check) => pool::with_interrupt(check, || caught(&mut pass)),
            None => caught(&mut pass),
        };
        let answers = match self.detached {
            Some(detached) => {
                let mut answer = None;
                detached(&mut || answer = Some(watched()));
                answer.unwrap_or_else(|| Err(Error::runtime("the host did not run the backward pass")))
            }
            None => watched(),
        }?;
        caught(current::call_back).map(|()| answers)
    }
}

/// What a closure answers, or the error that its panic is.
fn caught<R>(pass: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(pass)).unwrap_or_else(|panic| Err(error_of(panic)))
}

/// The error for a panic of a node.
#[cold]
fn error_of(panic: Box<dyn Any + Send>) -> Error {
    let panic = match panic.downcast::<Error>() {
        Ok(error) => return *error,
        Err(panic) => panic,
    };
    if panic.is::<pool::Interrupted>() {
        return Kind::Interrupted.into();
    }
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    Kind::Panic { message: message.to_owned() }.into()
}

impl Tensor {
    /// Adds the gradient of this tensor, which has one element, with respect to every leaf before it into the leaf's
    /// `grad`, and frees what the graph kept.
    ///
    /// Fails when the tensor has more than one element or no history, and with whatever a derivative fails with.
    ///
    /// ```
    /// use arcgrad::Tensor;
    /// let x = Tensor::from_slice(&[3.0_f32], &[1])?.requires_grad_(true)?;
    /// x.mul(&x)?.backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [6.0]);
    /// # Ok::<(), arcgrad::Error>(())
    /// ```
    pub fn backward(&self) -> Result<()> {
        backward(vec![root(self, 0, None)?], None, Options::default())
    }

    /// [`Tensor::backward`] for a tensor of any shape, given the gradient with respect to it.
    pub fn backward_from(&self, gradient: &Self) -> Result<()> {
        backward(vec![root(self, 0, Some(gradient))?], None, Options::default())
    }
}
