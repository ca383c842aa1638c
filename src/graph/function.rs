//! Operations whose derivative a user writes.

use smallvec::SmallVec;

use crate::array::{DType, Layout};
use crate::error::{Error, Result};
use crate::graph::node::{Edge, Grads, NodeRef, OutputMeta, Rule};
use crate::graph::packing::pack;
use crate::graph::record::{Backward, is_recorded};
use crate::graph::saved::{Place, Role, Saved, SavedValue};
use crate::graph::tensor::Tensor;
use crate::graph::{forward, mode, seen, view};

/// An operation with a derivative of its own.
///
/// ```
/// use arcgrad::Tensor;
/// use arcgrad::graph::{Backward, Context, Function, Grads};
///
/// /// x to the third.
/// struct Cube;
///
/// impl Function for Cube {
///     fn name(&self) -> &str {
///         "CubeBackward"
///     }
///     fn forward(&self, cx: &mut Context, inputs: &[&Tensor]) -> arcgrad::Result<Vec<Tensor>> {
///         let x = inputs[0];
///         cx.save_for_backward(&[x]);
///         Ok(vec![x.mul(x)?.mul(x)?])
///     }
///     fn backward(&self, cx: &Backward<'_>) -> arcgrad::Result<Grads> {
///         let x = cx.saved(0)?;
///         let slope = x.mul(&x)?.mul(3.0)?;
///         Ok([cx.grad(0).map(|g| g.mul(&slope)).transpose()?].into_iter().collect())
///     }
/// }
///
/// let x = Tensor::from_slice(&[2.0_f32], &[1])?.requires_grad_(true)?;
/// Cube.apply(&[&x])?[0].backward()?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [12.0]);
/// # Ok::<(), arcgrad::Error>(())
/// ```
pub trait Function: Send + Sync + Sized + 'static {
    /// The node's name.
    fn name(&self) -> &str;

    /// Computes the outputs; nothing that it does is recorded.
    fn forward(&self, cx: &mut Context, inputs: &[&Tensor]) -> Result<Vec<Tensor>>;

    /// From the gradients of the outputs to one for each input; `None` for an input that has none.
    ///
    /// Written in tensor operations, it can be differentiated in turn.
    fn backward(&self, cx: &Backward<'_>) -> Result<Grads>;

    /// From the tangents of the inputs (`None` counts as zero) to those of the outputs.
    fn jvp(&self, inputs: &[&Tensor], tangents: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let _ = (inputs, tangents);
        Err(Error::not_implemented(format!("{} has no forward-mode derivative (Function::jvp)", self.name())))
    }

    /// Runs the operation and records it.
    ///
    /// Fails as `forward` does, and where [`attach`] does.
    fn apply(self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut cx = Context::default();
        let outputs = {
            let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
            self.forward(&mut cx, inputs)?
        };
        let tangents: Option<Vec<_>> =
            forward::propagates().then(|| inputs.iter().map(|x| x.tangent()).collect());
        let tangents = tangents.filter(|tangents| tangents.iter().any(Option::is_some));
        let tangents = tangents.map(|tangents| self.jvp(inputs, &tangents)).transpose()?;
        let metas = outputs.iter().map(|y| Some(y.clone())).collect::<Vec<_>>();
        let attached = attach(Recorded(self), inputs, &metas, &cx)?;
        let outputs: Vec<Tensor> = attached.outputs.iter().flatten().cloned().collect();
        for (y, tangent) in outputs.iter().zip(tangents.into_iter().flatten()) {
            forward::set_output(inputs, y, tangent)?;
        }
        if let Some(node) = &attached.node {
            forward::save_tensors(node, &cx.saved);
        }
        Ok(outputs)
    }
}

/// What a forward pass says about its inputs and outputs.
#[derive(Default)]
pub struct Context {
    /// What the derivative will ask for.
    pub saved: Vec<Option<Tensor>>,
    /// The inputs that were written to.
    pub dirty: Vec<Tensor>,
    /// The outputs that have no derivative.
    pub non_differentiable: Vec<Tensor>,
    /// Whether `saved` was filled when the outputs were known, so that an input among them is not to be returned as it is.
    pub saved_after_forward: bool,
}

impl Context {
    /// Keeps tensors for the derivative, which finds them by their position ([`Backward::saved`]).
    pub fn save_for_backward(&mut self, tensors: &[&Tensor]) {
        self.saved = tensors.iter().map(|x| Some((*x).clone())).collect();
    }
    /// Says that these inputs were written to; each must be returned.
    pub fn mark_dirty(&mut self, inputs: &[&Tensor]) {
        self.dirty = inputs.iter().map(|x| (*x).clone()).collect();
    }
    /// Says that these outputs have no derivative.
    pub fn mark_non_differentiable(&mut self, outputs: &[&Tensor]) {
        self.non_differentiable = outputs.iter().map(|x| (*x).clone()).collect();
    }
}

/// The rule of a [`Function`].
struct Recorded<F>(F);

impl<F: Function> Rule for Recorded<F> {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        self.0.backward(cx)
    }
}

/// The outputs of a custom operation with their histories.
pub struct Attached {
    /// The node, if somebody will want a gradient.
    pub node: Option<NodeRef>,
    /// The outputs, in their order; an output that is not a tensor stays `None`.
    pub outputs: Vec<Option<Tensor>>,
    /// Whether a dirty tensor was no input, which is of no use and probably a mistake.
    pub stray_dirty: bool,
}

/// Gives the outputs of a custom operation their histories.
///
/// An input that is returned as it is comes back as a view of itself; one that was written to is given the node as its
/// history, its base too if it is a view.
///
/// Fails when a leaf that requires a gradient was written to, when a view was written to and there are other outputs, and
/// when an input is returned and saved after the forward pass.
pub fn attach<R: Rule>(
    rule: R,
    inputs: &[&Tensor],
    outputs: &[Option<Tensor>],
    cx: &Context,
) -> Result<Attached> {
    let is = |list: &[Tensor], y: &Tensor| list.iter().any(|x| x.is(y));
    let recorded = is_recorded(inputs);
    let differentiable =
        |y: &Tensor| recorded && y.dtype().is_differentiable() && !is(&cx.non_differentiable, y);
    if recorded && cx.dirty.iter().any(|x| !outputs.iter().flatten().any(|y| y.is(x))) {
        return Err(Error::runtime(
            "Some elements marked as dirty during the forward method were not returned as output. The inputs that are modified \
             inplace must all be outputs of the Function.",
        ));
    }
    let node = recorded.then(|| {
        let edges = inputs.iter().map(|x| x.gradient_edge()).collect();
        let metas = outputs.iter().map(|y| match y {
            Some(y) => OutputMeta { layout: y.array().layout().clone(), dtype: y.dtype() },
            None => OutputMeta { layout: Layout::scalar(), dtype: DType::F32 },
        });
        NodeRef::new(rule, edges, metas.collect(), Saved::Nothing)
    });
    let views = outputs.iter().flatten().filter(|y| differentiable(y)).count();
    let origin = if views > 1 { view::Origin::Multiple } else { view::Origin::Function };
    let one = |(number, y): (usize, &Option<Tensor>)| {
        let Some(y) = y else { return Ok(None) };
        let is_input = inputs.iter().any(|x| x.is(y));
        let Some(node) = node.as_ref().filter(|_| differentiable(y)) else {
            // Not a word about the history of an input: others may hold it.
            if let (None, Some(base)) = (&node, y.base().filter(|_| !is_input && mode::is_grad_enabled())) {
                return Ok(Some(Tensor::view_of(y.array(), None, base.clone(), view::Origin::Function)));
            }
            return match (y.requires_grad(), is_input, y.is_view()) {
                (false, true, _) if !is(&cx.dirty, y) => Ok(Some(itself(y, None, view::Origin::Function))),
                (false, ..) | (true, false, true) => Ok(Some(y.clone())),
                (true, true, _) => Ok(Some(y.detach())),
                (true, false, false) => y.detach_().map(|()| Some(y.clone())),
            };
        };
        let edge = Edge { node: node.clone(), output: number as u32 };
        if is(&cx.dirty, y) {
            if y.is_leaf() && y.requires_grad() {
                return Err(Error::runtime(
                    "a leaf Variable that requires grad has been used in an in-place operation.",
                ));
            }
            if y.is_view() && outputs.len() > 1 {
                return Err(Error::runtime(
                    "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return \
                     more than one Tensor. This is not supported by the current autograd engine. You should either make sure \
                     the input is not a view (using .clone() for example) or make your Function only return one Tensor \
                     (potentially splitting it into two Functions: one doing the inplace that returns a single Tensor and a \
                     second one that does the other operations). You can ask on the forum https://discuss.pytorch.org/ if you \
                     need help to do this change.",
                ));
            }
            view::rewrite_history(y, Some(edge));
            return Ok(Some(y.clone()));
        }
        if is_input {
            if cx.saved_after_forward && cx.saved.iter().flatten().any(|x| x.is(y)) {
                return Err(Error::runtime(
                    "A input that has been returned as-is as output is being saved for backward. This is not supported if \
                     you override setup_context. You should return and save a view of the input instead, e.g. with \
                     x.view_as(x) or setup ctx inside the forward function itself.",
                ));
            }
            return Ok(Some(itself(y, Some(edge), origin)));
        }
        if let Some(base) = y.base() {
            return Ok(Some(Tensor::view_of(y.array(), Some(edge), base.clone(), origin)));
        }
        seen::note_output(&edge, &y.array());
        y.set_state(|state| state.history = Some(edge));
        Ok(Some(y.clone()))
    };
    let made: Vec<Option<Tensor>> = outputs.iter().enumerate().map(one).collect::<Result<_>>()?;
    if let Some(node) = &node {
        save(node, inputs, outputs, &cx.saved)?;
    }
    let stray_dirty = cx.dirty.iter().any(|y| !inputs.iter().any(|x| x.is(y)));
    Ok(Attached { node, outputs: made, stray_dirty })
}

/// An input that is returned as it is: a view of itself, so that the tensor that goes in is not the one that comes out.
fn itself(x: &Tensor, history: Option<Edge>, origin: view::Origin) -> Tensor {
    if x.is_inference() {
        return Tensor::inference(x.array());
    }
    Tensor::view_of(x.array(), history, x.base().unwrap_or(x).clone(), origin)
}

/// Keeps tensors in a node. What is an input or an output is kept as such, so that the node does not own itself.
fn save(
    node: &NodeRef,
    inputs: &[&Tensor],
    outputs: &[Option<Tensor>],
    tensors: &[Option<Tensor>],
) -> Result<()> {
    if tensors.is_empty() {
        return Ok(());
    }
    let values = tensors.iter().map(|x| {
        let Some(x) = x else { return SavedValue::Nothing };
        let output = outputs.iter().position(|y| y.as_ref().is_some_and(|y| y.is(x)));
        if let Some(output) = output.filter(|_| x.grad_fn().is_some_and(|made| made.is(node))) {
            return SavedValue::array(x.array(), Role::Output(output as u16), &[]);
        }
        let input = inputs.iter().position(|y| y.is(x));
        if let Some(input) = input.filter(|&input| {
            u16::try_from(input).is_ok() && node.edges()[input].is_some() == x.requires_grad()
        }) {
            return SavedValue::of(x, Place::Role(Role::Input(input as u16)));
        }
        SavedValue::other(x)
    });
    let values: SmallVec<_> = values.collect();
    let saved = pack(Saved::Live(values))?;
    *node.saved.lock() = saved;
    Ok(())
}
