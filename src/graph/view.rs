//! Views that share storage with a base, and how a write to either shows in the other's history.
//!
//! Note [Views and their bases]: a view remembers its base, never another view. A write through a view is recorded on
//! the base: the base's new history is a `CopySlices` node, which sends the written window's gradient to the write and
//! the rest to the base's old history. The base's generation rises, and each view, when next asked, finds its history
//! out of date and takes a new one: a strided read of the base.

use std::cell::RefCell;
use std::sync::Arc;

use smallvec::smallvec;

use crate::array::{Array, Layout};
use crate::error::{Error, Result, in_place_name};
use crate::graph::node::{Edge, Grads, NodeRef, OutputMeta, Rule};
use crate::graph::record::{Backward, is_recorded, linear, linear_view, relabel};
use crate::graph::row::check_writable;
use crate::graph::saved::Saved;
use crate::graph::tensor::Tensor;
use crate::graph::{mode, seen, vector_space};
use crate::watch;

/// How a view came to be: what a later write through it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// By an operation that makes one view.
    Single,
    /// As one of several views that one operation made (`unbind`, `split`).
    Multiple,
    /// Without recording.
    NoGrad,
    /// In inference mode.
    InferenceMode,
    /// By a custom function, whose derivative a write through the view would bypass.
    Function,
}

/// A tensor that shows `array`, a window on `x`'s storage, with this history.
///
/// A view of what inference mode made is no view to the graph: neither will ever have a history.
pub(crate) fn of(x: &Tensor, array: Array, history: Option<Edge>, multiple: bool) -> Tensor {
    if x.is_inference() {
        return Tensor::inference(array);
    }
    let (base, inherited) = match x.base_and_origin() {
        Some((base, origin)) => (base.clone(), *origin),
        None => (x.clone(), Origin::Single),
    };
    let origin = if mode::is_inference_mode_enabled() {
        Origin::InferenceMode
    } else if !mode::is_grad_enabled() {
        Origin::NoGrad
    } else if multiple {
        Origin::Multiple
    } else {
        inherited
    };
    let view = Tensor::view_of(array, history, base, origin);
    view.inherit_forward_base(x);
    view
}

/// Brings a view's history up to its base's; says whether the view has one.
#[inline]
pub(crate) fn refresh(view: &Tensor) -> bool {
    let Some((base, _)) = view.base_and_origin() else { return false };
    let generation = base.generation();
    let (stale, history) = {
        let state = view.state();
        (state.generation != generation, state.history.is_some())
    };
    if stale { renew(view, base, generation) } else { history }
}

#[cold]
fn renew(view: &Tensor, base: &Tensor, generation: u32) -> bool {
    let (layout, offset, before) = {
        let state = view.state();
        (state.array.layout().clone(), state.array.offset(), state.history.clone())
    };
    let edge = base.gradient_edge().map(|edge| {
        let base = base.array();
        let meta = OutputMeta { layout: layout.clone(), dtype: base.dtype() };
        let node = match ambiguous(view) {
            Some(error) => NodeRef::new(Stale(error), smallvec![Some(edge)], smallvec![meta], Saved::Nothing),
            None => {
                let rule = AsStrided { window: Window { layout, offset }, base: Geometry::of(&base) };
                NodeRef::new(rule, smallvec![Some(edge)], smallvec![meta], Saved::Nothing)
            }
        };
        Edge { node, output: 0 }
    });
    let tracked = edge.is_some();
    view.set_state(|state| {
        state.history.clone_from(&edge);
        state.generation = generation;
    });
    view.move_retained(before.as_ref(), edge.as_ref());
    tracked
}

/// Why a view has no history after its base was written to, if it has none.
fn ambiguous(view: &Tensor) -> Option<Error> {
    let (_, origin) = view.base_and_origin()?;
    // A view that was one of several is read off its base again like any other.
    (!matches!(origin, Origin::Single | Origin::Multiple)).then(|| {
        let made = made_by(view).map_or_else(
            || format!("A view was created {} and", origin.place()),
            |name| format!("{name} is a view and"),
        );
        Error::runtime(format!(
            "{made} its base or another view of its base has been modified inplace{}",
            origin.why()
        ))
    })
}

/// "Output 0 of View", for a view that a recorded operation made.
fn made_by(view: &Tensor) -> Option<String> {
    let edge = view.state().history.clone()?;
    let name = edge.node.name().trim_end_matches(|c: char| c.is_ascii_digit());
    Some(format!("Output {} of {}", edge.output, name.strip_suffix("Backward").unwrap_or(name)))
}

impl Origin {
    /// Where such a view is made.
    const fn place(self) -> &'static str {
        match self {
            Self::InferenceMode => "in inference mode",
            _ => "in no_grad mode",
        }
    }

    /// How a message about such a view goes on after "modified inplace".
    const fn why(self) -> &'static str {
        match self {
            Self::Single => ".",
            Self::Multiple => {
                ". This view is the output of a function that returns multiple views. Such functions do not allow the \
                 output views to be modified inplace. You should replace the inplace operation by an out-of-place one."
            }
            Self::NoGrad => {
                " with grad mode enabled. Given that this use case is ambiguous and error-prone, it is forbidden. You can \
                 clarify your code by moving both the view and the inplace either both inside the no_grad block (if you \
                 don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
            }
            Self::InferenceMode => {
                " in normal mode. Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify \
                 your code by moving both the view and the inplace either both inside the inference_mode block (if you \
                 don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
            }
            Self::Function => {
                ". This view was created inside a custom Function (or because an input was returned as-is) and the \
                 autograd logic to handle view+inplace would override the custom backward associated with the custom \
                 Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning the \
                 output of the custom Function."
            }
        }
    }
}

/// The history of a view that cannot be told: to differentiate it is an error, and so is to look at it.
struct Stale(Error);

impl Rule for Stale {
    fn name(&self) -> &'static str {
        "Invalid"
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<Grads> {
        Err(self.0.clone())
    }
}

/// Fails if the history of a view cannot be told.
pub fn check_history(view: &Tensor) -> Result<()> {
    let Some(edge) = view.history() else { return Ok(()) };
    match (edge.node.rule() as &dyn std::any::Any).downcast_ref::<Stale>() {
        Some(Stale(error)) => Err(error.clone()),
        None => Ok(()),
    }
}

/// Called with a tensor whose memory is about to be written.
pub type WriteWatch = Arc<dyn Fn(&Tensor) -> Result<()> + Send + Sync>;

thread_local! {
    static WATCH: RefCell<Option<WriteWatch>> = const { RefCell::new(None) };
}

/// From now on, this thread's in-place operations call `watch` before they write; given `None`, nobody is called.
pub fn watch_writes(watch: Option<WriteWatch>) {
    drop(WATCH.replace(watch));
}

/// Refuses a write that would not be recorded rightly.
pub(crate) fn check_write(op: &str, x: &Tensor, recorded: bool) -> Result<()> {
    if let Some(watch) = WATCH.with_borrow(Clone::clone) {
        watch(x)?;
    }
    if x.is_inference() && !mode::is_inference_mode_enabled() {
        return Err(Error::runtime(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal \
             tensor before doing inplace update.",
        ));
    }
    if !mode::is_grad_enabled() {
        return Ok(());
    }
    let Some((base, origin)) = x.base_and_origin() else {
        return check_leaf(op, x);
    };
    if x.wants_gradient_as_leaf() {
        return Err(leaf_written(op, "a view of a leaf"));
    }
    if !recorded && !base.requires_grad() {
        return Ok(());
    }
    if *origin != Origin::Single {
        let maker = made_by(x);
        let in_function = maker.is_none() && *origin == Origin::Function;
        let made = match (maker, origin) {
            (Some(name), Origin::NoGrad | Origin::InferenceMode) => {
                format!("{name} is a view of a view which was created {}", origin.place())
            }
            (Some(name), _) => format!("{name} is a view"),
            (None, _) => format!("A view was created {}", origin.place()),
        };
        let how = if in_function { " with grad mode enabled" } else { "" };
        return Err(Error::runtime(format!("{made} and is being modified inplace{how}{}", origin.why())));
    }
    if base.requires_grad() && base.is_leaf() { Err(leaf_written(op, "a view of a leaf")) } else { Ok(()) }
}

/// Refuses to record that `op` writes to a leaf that requires a gradient.
pub(crate) fn check_leaf(op: &str, x: &Tensor) -> Result<()> {
    if mode::is_grad_enabled() && x.is_leaf() && x.requires_grad() {
        Err(leaf_written(op, "a leaf"))
    } else {
        Ok(())
    }
}

#[cold]
fn leaf_written(op: &str, which: &str) -> Error {
    Error::runtime(format!(
        "{which} Variable that requires grad is being used in an in-place operation. ({}: wrap the write in no_grad(), or \
         write to a clone().)",
        in_place_name(op)
    ))
}

/// Gives `x`, whose storage was just written by `op`, the history of the written value; `None` if it has none.
pub(crate) fn rebase(x: &Tensor, op: &'static str, history: Option<Edge>) {
    x.state().array.storage().raise_version_under_lock(op);
    if watch::is_on() {
        x.array().storage().note_write(op);
    }
    rewrite_history(x, history);
}

/// [`rebase`] after a write that has raised the version itself.
pub(crate) fn rewrite_history(x: &Tensor, history: Option<Edge>) {
    if let Some(edge) = &history {
        seen::note_output(edge, &x.array());
    }
    // Without recording, a write changes numbers and no history.
    if history.is_none() && !mode::is_grad_enabled() {
        // A view of another origin has no history that could be made anew: whoever asks for it is told so.
        if let Some((base, origin)) = x.base_and_origin()
            && *origin != Origin::Single
            && base.requires_grad()
        {
            base.raise_generation();
        }
        return;
    }
    let Some((base, _)) = x.base_and_origin() else {
        if history.is_some() {
            let before = x.history();
            x.set_state(|state| state.history.clone_from(&history));
            x.raise_generation();
            x.move_retained(before.as_ref(), history.as_ref());
        }
        return;
    };
    let before = base.gradient_edge();
    if history.is_none() && before.is_none() {
        return;
    }
    let Some(history) = history.or_else(|| before.is_some().then(|| constant_edge(x))) else { return };
    let array = base.array();
    let window = {
        let state = x.state();
        Window { layout: state.array.layout().clone(), offset: state.array.offset() }
    };
    let meta = OutputMeta { layout: array.layout().clone(), dtype: array.dtype() };
    let rule = CopySlices { window, base: Geometry::of(&array) };
    let node = NodeRef::new(rule, smallvec![before, Some(history)], smallvec![meta], Saved::Nothing);
    let before_write = base.history();
    let written = Some(Edge { node, output: 0 });
    base.set_state(|state| state.history.clone_from(&written));
    base.raise_generation();
    refresh(x);
    base.move_retained(before_write.as_ref(), written.as_ref());
}

/// Overwrites `x` with `y`, which has its shape: the numbers and the history.
pub(crate) fn replace(x: &Tensor, y: &Tensor) -> Result<()> {
    if x.is(y) {
        return Ok(());
    }
    let target = x.array();
    check_write("copy", x, is_recorded(&[x, y]))?;
    check_writable("copy", &target)?;
    let source = y.array();
    let source = if source.storage().is(target.storage()) { source.copied()? } else { source };
    crate::array::kernels::copy::copy(&source, &target);
    let (from, to) = (source.dtype(), target.dtype());
    let written = linear(
        "CopyBackwards",
        y,
        target,
        move |g| vector_space::to_dtype(g, from),
        move |t| vector_space::to_dtype(t, to),
    )?;
    let forgotten = mode::is_grad_enabled() && x.requires_grad();
    rebase(x, "copy", written.history().or_else(|| forgotten.then(|| constant_edge(x))));
    Ok(())
}

/// The end of the path of a value that needs no gradient.
fn constant_edge(x: &Tensor) -> Edge {
    let array = x.array();
    let meta = OutputMeta { layout: array.layout().clone(), dtype: array.dtype() };
    Edge { node: NodeRef::new(Constant, smallvec![], smallvec![meta], Saved::Nothing), output: 0 }
}

struct Constant;

impl Rule for Constant {
    fn name(&self) -> &'static str {
        "ConstantBackward0"
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<Grads> {
        Ok(smallvec![])
    }
}

/// Where a view lies in its storage.
#[derive(Clone)]
struct Window {
    layout: Arc<Layout>,
    offset: usize,
}

/// Where the base lies in the same storage.
#[derive(Clone)]
struct Geometry {
    layout: Arc<Layout>,
    offset: usize,
}

impl Geometry {
    fn of(base: &Array) -> Self {
        Self { layout: base.layout().clone(), offset: base.offset() }
    }

    /// Room for the base's storage, with the base's and the window's arrays over it.
    fn scratch(&self, window: &Window, dtype: crate::array::DType) -> Result<(Array, Array)> {
        let length = self.reach(&self.layout, self.offset).max(self.reach(&window.layout, window.offset));
        let flat = Array::zeros(&[length], dtype)?;
        let base = Array::from_parts(flat.storage().clone(), self.layout.clone(), self.offset, dtype)?;
        let window = Array::from_parts(flat.storage().clone(), window.layout.clone(), window.offset, dtype)?;
        Ok((base, window))
    }

    #[allow(clippy::unused_self)]
    fn reach(&self, layout: &Layout, offset: usize) -> usize {
        offset + layout.extent()
    }
}

/// A strided read of a base: y = base[window]. Its adjoint adds the window's gradient into zeros.
struct AsStrided {
    window: Window,
    base: Geometry,
}

impl Rule for AsStrided {
    fn name(&self) -> &'static str {
        "AsStridedBackward0"
    }
    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
        Ok(smallvec![Some(scatter_window(g, &self.window, &self.base)?)])
    }
}

/// A write of a window of a base.
struct CopySlices {
    window: Window,
    base: Geometry,
}

impl Rule for CopySlices {
    fn name(&self) -> &'static str {
        "torch::autograd::CopySlices"
    }
    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
        let written = read_window(g, &self.window, &self.base)?;
        let rest = cx.needs(0).then(|| clear_window(g, &self.window, &self.base)).transpose()?;
        Ok(smallvec![rest, Some(written)])
    }
}

/// A view of any layout and offset over the storage of `x`.
pub(crate) fn strided(x: &Tensor, layout: Arc<Layout>, offset: usize) -> Result<Tensor> {
    let array = x.array();
    let y = Array::from_parts(array.storage().clone(), layout.clone(), offset, array.dtype())?;
    let (window, base) = (Window { layout: layout.clone(), offset }, Geometry::of(&array));
    linear_view(
        "AsStridedBackward0",
        x,
        y,
        move |g| scatter_window(g, &window, &base),
        // Note [Tangents lie as their tensors do].
        move |t| strided(t, layout, offset),
    )
}

/// [`strided`] of the tensor itself: it changes its layout and offset and keeps its memory.
pub(crate) fn restride(x: &Tensor, layout: Arc<Layout>, offset: usize) -> Result<Tensor> {
    let array = x.array();
    let y = Array::from_parts(array.storage().clone(), layout.clone(), offset, array.dtype())?;
    let (window, base) = (Window { layout, offset }, Geometry::of(&array));
    let again = (window.clone(), base.clone());
    relabel(
        "AsStridedBackward1",
        x,
        y,
        move |g| scatter_window(g, &window, &base),
        move |t| read_window(t, &again.0, &again.1),
    )
}

/// zeros with `x` added at the window.
fn scatter_window(x: &Tensor, window: &Window, base: &Geometry) -> Result<Tensor> {
    let array = x.array();
    let (whole, part) = base.scratch(window, array.dtype())?;
    if window.layout.overlaps_itself() {
        vector_space::add_each(&part, &array)?;
    } else {
        crate::array::kernels::copy::copy(&array, &part);
    }
    let y = whole.contiguous()?;
    let (window, base) = (window.clone(), base.clone());
    let again = (window.clone(), base.clone());
    linear(
        "AsStridedScatterBackward0",
        x,
        y,
        move |g| read_window(g, &window, &base),
        move |t| scatter_window(t, &again.0, &again.1),
    )
}

/// x[window], as a new tensor.
fn read_window(x: &Tensor, window: &Window, base: &Geometry) -> Result<Tensor> {
    let array = x.array();
    let (whole, part) = base.scratch(window, array.dtype())?;
    crate::array::kernels::copy::copy(&array, &whole);
    let y = part.copied()?;
    let (window, base) = (window.clone(), base.clone());
    let again = (window.clone(), base.clone());
    linear(
        "AsStridedBackward0",
        x,
        y,
        move |g| scatter_window(g, &window, &base),
        move |t| read_window(t, &again.0, &again.1),
    )
}

/// x with zeros at the window.
fn clear_window(x: &Tensor, window: &Window, base: &Geometry) -> Result<Tensor> {
    let array = x.array();
    let (whole, part) = base.scratch(window, array.dtype())?;
    crate::array::kernels::copy::copy(&array, &whole);
    crate::array::kernels::fill::fill(&part, crate::array::Scalar::Int(0));
    let y = whole.copied()?;
    let (window, base) = (window.clone(), base.clone());
    let again = (window.clone(), base.clone());
    linear(
        "CopySlices",
        x,
        y,
        move |g| clear_window(g, &window, &base),
        move |t| clear_window(t, &again.0, &again.1),
    )
}
