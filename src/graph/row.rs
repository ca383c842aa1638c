//! Element-wise ops as rows: forward and derivatives in one line each, and the one way to run, record and differentiate
//! them all.
//!
//! How a row reads (the `rows!` macro):
//!
//! ```text
//! table NAME;
//! kind name(inputs) -> y = formula, as "NodeName0", on 0.2..4.0, { dinput(what it needs) = formula, ... };
//! ```
//!
//! * `table NAME with methods` makes each row a method of `Tensor` too.
//! * `kind`: `real` (integers become the default float), `number` (every dtype keeps itself), `test` (numbers to truths),
//!   `real_test` (floats to truths), `logic` (truths to truths), `bits` (integers and truths).
//! * In a derivative, `g` is the gradient of the output, an input's name is that input, `y` is the output. What the list
//!   names (besides `g`) is kept from the forward pass, and nothing else. A derivative that is missing does not exist.
//! * The formula of a derivative is read twice: over numbers, as one pass over memory, and over terms, in recorded tensor
//!   operations, when the derivative is to be differentiated. The same formula with a tangent for `g` is forward mode.
//! * `name(x, slope = 0.01)`: an input may have a default for Python. An input without a derivative is usually a number.
//! * `on` is the domain from which the gradient check draws (-2..2 if not said); `as` is the node's name where it is not
//!   the op's name in camel case with `Backward0`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::formula::Kernel;
use crate::array::kernels::tile::{self, Source, Tile};
use crate::array::{Array, Category, DType, Layout, Scalar, layout};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::graph::node::{Edge, Grads, Node, NodeRef, OutputMeta, Rule};
use crate::graph::packing::pack;
use crate::graph::record::{Backward, propagate};
use crate::graph::saved::{Role, Saved, SavedValue, Unpacked};
use crate::graph::tensor::Tensor;
use crate::graph::term::Term;
use crate::graph::{mode, vector_space, view};

/// An operand of a row: a tensor, or a number that costs no tensor.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    /// A tensor.
    Tensor(&'a Tensor),
    /// A number. It does not widen the result's dtype within its kind.
    Scalar(Scalar),
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    #[inline]
    fn from(x: &'a Tensor) -> Self {
        Self::Tensor(x)
    }
}

impl<T: Into<Scalar>> From<T> for Operand<'_> {
    #[inline]
    fn from(x: T) -> Self {
        Self::Scalar(x.into())
    }
}

/// Which dtypes a row takes and gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Computes in floats; integers become the default float.
    Real,
    /// Computes in the promoted dtype.
    Number,
    /// Compares in the promoted dtype, gives truths.
    Test,
    /// Tests floats, gives truths.
    RealTest,
    /// Truths to truths.
    Logic,
    /// Integers or truths to the same.
    Bits,
}

/// One element-wise op.
pub struct Row {
    /// PyTorch's name.
    pub name: &'static str,
    /// The node's name.
    pub node: NodeName,
    /// The inputs' names, in order.
    pub inputs: &'static [&'static str],
    /// For each input, the default that a caller in Python may leave out.
    pub defaults: &'static [Option<&'static str>],
    /// What it computes, in a sentence.
    pub doc: &'static str,
    /// Dtypes in and out.
    pub kind: Kind,
    /// The formula's kernels.
    pub forward: Kernel,
    /// At most one for each input.
    pub derivatives: &'static [Derivative],
    /// Where the gradient check draws its points.
    pub domain: (f64, f64),
}

/// A row's derivative with respect to one input.
pub struct Derivative {
    /// Which input.
    pub input: u8,
    /// What the formula is given, in order.
    pub takes: &'static [Takes],
    /// Whether the formula is just `g`.
    pub identity: bool,
    /// The formula over numbers.
    pub kernel: Kernel,
    /// The formula over terms.
    pub terms: fn(&[Term]) -> Term,
}

/// A formula's argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// The gradient of the output.
    Grad,
    /// The input of this number.
    Input(u8),
    /// The output.
    Output,
}

const OUTPUT_BIT: u8 = 1 << 7;

impl Takes {
    const fn bit(self) -> u8 {
        match self {
            Self::Grad => 0,
            Self::Input(i) => 1 << i,
            Self::Output => OUTPUT_BIT,
        }
    }

    /// What a name in a derivative's list stands for.
    pub const fn named(name: &str, inputs: &[&str], output: &str) -> Self {
        if same(name, "g") {
            return Self::Grad;
        }
        if same(name, output) {
            return Self::Output;
        }
        Self::Input(input_named(name, inputs))
    }
}

/// The number of an input.
pub const fn input_named(name: &str, inputs: &[&str]) -> u8 {
    let mut i = 0;
    while i < inputs.len() {
        if same(name, inputs[i]) {
            return i as u8;
        }
        i += 1;
    }
    panic!("a derivative names something that is neither g, an input, nor the output");
}

/// The input that a derivative's name (`dx`) names.
pub const fn differentiated(derivative: &str, inputs: &[&str]) -> u8 {
    let (d, name) = derivative.split_at(1);
    assert!(same(d, "d"), "a derivative is named d and its input");
    input_named(name, inputs)
}

/// String equality at compile time.
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A node's name, made at compile time.
#[derive(Clone, Copy)]
pub struct NodeName {
    bytes: [u8; 56],
    len: usize,
}

impl NodeName {
    /// As given.
    pub const fn given(name: &str) -> Self {
        let mut result = Self { bytes: [0; 56], len: 0 };
        result.push(name.as_bytes());
        result
    }

    /// The op's name in camel case, with `Backward0`.
    pub const fn of_op(op: &str) -> Self {
        let mut result = Self { bytes: [0; 56], len: 0 };
        let op = op.as_bytes();
        let (mut i, mut upper) = (0, true);
        while i < op.len() {
            if op[i] == b'_' {
                upper = true;
            } else {
                result.bytes[result.len] = if upper { op[i].to_ascii_uppercase() } else { op[i] };
                result.len += 1;
                upper = false;
            }
            i += 1;
        }
        result.push(b"Backward0");
        result
    }

    const fn push(&mut self, text: &[u8]) {
        let mut i = 0;
        while i < text.len() {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

static DEFAULT_DTYPE: AtomicU8 = AtomicU8::new(DType::F32 as u8);

/// The float dtype of new tensors and of integers that become floats.
#[inline]
pub fn default_dtype() -> DType {
    // Relaxed: a plain setting.
    if DEFAULT_DTYPE.load(Ordering::Relaxed) == DType::F64 as u8 { DType::F64 } else { DType::F32 }
}

/// Sets [`default_dtype`]. Fails for anything but a float dtype.
pub fn set_default_dtype(dtype: DType) -> Result<()> {
    if !dtype.is_floating() {
        return Err(Error::type_(format!(
            "only floating-point types are supported as the default type (got {dtype})"
        )));
    }
    DEFAULT_DTYPE.store(dtype as u8, Ordering::Relaxed);
    Ok(())
}

fn float(dtype: DType) -> DType {
    if dtype.is_floating() { dtype } else { default_dtype() }
}

/// The dtype that operands have in common: tensors with dimensions count before 0-d tensors, those before numbers, and
/// a later group matters only if it is of a higher category.
pub fn result_type(operands: &[Operand<'_>]) -> DType {
    let mut groups: [Option<DType>; 3] = [None; 3];
    for operand in operands {
        let (group, dtype) = match operand {
            Operand::Tensor(x) => {
                let state = x.state();
                (usize::from(state.array.ndim() == 0), state.array.dtype())
            }
            Operand::Scalar(s) => (
                2,
                match s.category() {
                    Category::Bool => DType::Bool,
                    Category::Integer => DType::I64,
                    Category::Float => default_dtype(),
                },
            ),
        };
        groups[group] = Some(groups[group].map_or(dtype, |d| d.promote(dtype)));
    }
    let combine = |high: Option<DType>, low: Option<DType>| match (high, low) {
        (Some(h), Some(l)) if l.category() > h.category() => Some(h.promote(l)),
        (Some(h), _) => Some(h),
        (None, low) => low,
    };
    combine(groups[0], combine(groups[1], groups[2])).unwrap_or_else(default_dtype)
}

impl Row {
    /// What is computed in, what the tile gives, and what the result is, for operands of this common dtype.
    #[inline]
    fn dtypes(&self, common: DType) -> (DType, DType, DType) {
        // Truths are summed and compared as bytes.
        let number = if common == DType::Bool { DType::U8 } else { common };
        match self.kind {
            Kind::Real => (float(common), float(common), float(common)),
            Kind::Number | Kind::Bits => (number, number, common),
            Kind::Test => (number, DType::Bool, DType::Bool),
            Kind::RealTest => (float(common), DType::Bool, DType::Bool),
            Kind::Logic => (DType::Bool, DType::Bool, DType::Bool),
        }
    }

    /// The tile for a compute dtype.
    #[inline]
    pub fn tile(&self, compute: DType) -> Result<Tile> {
        self.forward.tile(compute).ok_or_else(|| Error::unsupported(self.name, compute))
    }

    fn derivative(&self, input: usize) -> Option<&'static Derivative> {
        self.derivatives.iter().find(|d| usize::from(d.input) == input)
    }

    /// What the derivatives of these inputs need, one bit each.
    fn needs(&self, wanted: impl Fn(usize) -> bool) -> u8 {
        let wanted = self.derivatives.iter().filter(|d| wanted(usize::from(d.input)));
        wanted.flat_map(|d| d.takes).fold(0, |mask, t| mask | t.bit())
    }
}

/// The output's layout: shared with an operand when all shapes agree.
#[inline]
fn output_layout<const N: usize>(row: &Row, arrays: &[Option<&Array>; N]) -> Result<Arc<Layout>> {
    let mut arrays_given = arrays.iter().flatten();
    let Some(first) = arrays_given.next() else { return Ok(Layout::scalar()) };
    let mut whole = first.layout();
    for x in arrays_given {
        let other = x.layout();
        if Arc::ptr_eq(whole, other) || whole.shape() == other.shape() || other.ndim() == 0 {
            continue;
        }
        if whole.ndim() == 0 {
            whole = other;
            continue;
        }
        return broadcast_layout(row, arrays);
    }
    if whole.is_contiguous() { Ok(whole.clone()) } else { Layout::contiguous(whole.shape()) }
}

#[cold]
fn broadcast_layout<const N: usize>(row: &Row, arrays: &[Option<&Array>; N]) -> Result<Arc<Layout>> {
    let mut shape = layout::Dims::new();
    for x in arrays.iter().flatten() {
        shape = layout::broadcast(row.name, &shape, x.shape())?;
    }
    Layout::contiguous(&shape)
}

#[inline]
fn common_dtype<const N: usize>(operands: &[Operand<'_>; N], arrays: &[Option<&Array>; N]) -> DType {
    // The usual case: tensors of one float dtype, and numbers, which cannot widen it.
    let mut only = None;
    for (x, operand) in arrays.iter().zip(operands) {
        match (x, operand) {
            (Some(x), _) => match only {
                None => only = Some(x.dtype()),
                Some(dtype) if dtype == x.dtype() => {}
                Some(_) => return result_type(operands),
            },
            (None, Operand::Scalar(_)) => {}
            (None, Operand::Tensor(_)) => return result_type(operands),
        }
    }
    match only {
        Some(dtype) if dtype.is_floating() => dtype,
        _ => result_type(operands),
    }
}

/// Runs a row.
///
/// Operands broadcast and promote by PyTorch's rules. The result is recorded if an operand with a derivative requires a
/// gradient and this thread records.
///
/// Fails when shapes do not broadcast, when the row has no meaning for the dtype, or when memory is short.
#[inline]
pub fn apply<const N: usize>(row: &'static Row, operands: [Operand<'_>; N]) -> Result<Tensor> {
    let wanted = wanted_gradients(row, &operands);
    if wanted != 0 {
        check_inference(row, wanted, &operands)?;
    }
    let (y, saved) = {
        let states = operands.map(|x| match x {
            Operand::Tensor(x) => Some(x.state()),
            Operand::Scalar(_) => None,
        });
        let arrays: [Option<&Array>; N] = std::array::from_fn(|i| states[i].as_ref().map(|s| &s.array));
        let (compute, gives, result) = row.dtypes(common_dtype(&operands, &arrays));
        let y = Array::with_layout(output_layout(row, &arrays)?, result)?;
        let sources = std::array::from_fn::<_, N, _>(|i| match (arrays[i], operands[i]) {
            (Some(x), _) => Source::Array(x),
            (None, Operand::Scalar(s)) => Source::Scalar(s),
            (None, Operand::Tensor(_)) => unreachable!("every tensor's state was read"),
        });
        tile::run_fresh(row.tile(compute)?, compute, &sources, gives, &y);
        let tracked = wanted != 0 && result.is_differentiable();
        let saved = tracked.then(|| keep(row, wanted, &sources, &y));
        (y, saved)
    };
    let y = match saved {
        None => Tensor::new(y),
        Some(saved) => {
            let node = node(row, wanted, &operands, &y, pack(saved)?);
            Tensor::with_history(y, Some(Edge { node, output: 0 }))
        }
    };
    if operands.iter().any(|x| matches!(x, Operand::Tensor(x) if x.has_tangent())) {
        propagate_row(row, &operands, &y)?;
    }
    Ok(y)
}

/// Runs a row on its first operand's memory.
///
/// Fails, besides as [`apply`] does, when the result has another shape or a dtype that the operand cannot hold, or when
/// the write could not be recorded (a leaf that requires a gradient, a view that an op made several of).
pub fn apply_in_place<const N: usize>(row: &'static Row, operands: [Operand<'_>; N]) -> Result<Tensor> {
    let Operand::Tensor(x) = operands[0] else {
        return Err(Error::type_(format!("{}_: the first operand must be a tensor", row.name)));
    };
    let wanted = wanted_gradients(row, &operands);
    view::check_write(row.name.trim_end_matches("_scaled"), x, wanted != 0)?;
    check_inference(row, wanted, &operands)?;
    let target = x.array();
    check_writable(row.name, &target)?;
    let arrays_held: [Option<Array>; N] = operands.map(|o| match o {
        Operand::Tensor(t) => Some(t.array()),
        Operand::Scalar(_) => None,
    });
    let arrays: [Option<&Array>; N] = std::array::from_fn(|i| arrays_held[i].as_ref());
    let (compute, gives, result) = row.dtypes(common_dtype(&operands, &arrays));
    if result.category() > target.dtype().category() {
        return Err(ErrorKind::ResultCast { op: row.name, from: result, to: target.dtype() }.into());
    }
    let shape = output_layout(row, &arrays)?;
    if shape.shape() != target.shape() {
        return Err(Error::runtime(format!(
            "output with shape {:?} doesn't match the broadcast shape {:?}",
            target.shape(),
            shape.shape()
        )));
    }
    for other in arrays.iter().skip(1).flatten() {
        check_overlap(other, &target)?;
    }
    let tracked = wanted != 0 && target.dtype().is_differentiable();
    // What a derivative needs of the overwritten input is copied before the write; the output is kept after it.
    let needs = if tracked { row.needs(|i| wanted & (1 << i) != 0) } else { 0 };
    let original = (needs & 1 != 0).then(|| target.copied()).transpose()?;
    let sources = std::array::from_fn::<_, N, _>(|i| match (arrays[i], operands[i]) {
        (Some(x), _) => Source::Array(x),
        (None, Operand::Scalar(s)) => Source::Scalar(s),
        (None, Operand::Tensor(_)) => unreachable!("every tensor's array was read"),
    });
    let tile = row.tile(compute)?;
    tile::run(tile, compute, &sources, gives, &target);
    let history = tracked.then(|| {
        let mut kept = sources;
        if let Some(original) = &original {
            kept[0] = Source::Array(original);
        }
        // The write raises the version below; the output is kept as of after it.
        let mut saved = keep(row, wanted, &kept, &target);
        if let Saved::Live(values) = &mut saved {
            for value in values {
                if let SavedValue::Tensor { version, role: Role::Output(_), .. } = value {
                    *version += 1;
                }
            }
        }
        Ok::<_, Error>(Edge { node: node(row, wanted, &operands, &target, pack(saved)?), output: 0 })
    });
    let history = history.transpose()?;
    let tangent = operands.iter().any(|o| matches!(o, Operand::Tensor(t) if t.has_tangent()));
    if tangent {
        propagate_row(row, &operands, x)?;
    }
    view::rebase(x, history);
    Ok(x.clone())
}

/// Refuses to write to memory that is read-only or in which two positions are one.
pub(crate) fn check_writable(op: &'static str, x: &Array) -> Result<()> {
    if x.layout().overlaps_itself() {
        return Err(Error::runtime(format!(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. \
             Please clone() the tensor before performing the operation. ({op}_ on shape {:?} with strides {:?})",
            x.shape(),
            x.strides()
        )));
    }
    if x.storage().is_read_only() {
        return Err(Error::runtime(format!(
            "{op}_: the tensor's memory is read-only (it belongs to a read-only array); clone() it first"
        )));
    }
    Ok(())
}

/// Refuses operands that share some, but not the same, places with the target.
pub(crate) fn check_overlap(x: &Array, target: &Array) -> Result<()> {
    if !x.storage().is(target.storage())
        || x.numel() == 0
        || (x.offset() == target.offset() && x.strides() == target.strides() && x.shape() == target.shape())
    {
        return Ok(());
    }
    let dense = |a: &Array| a.layout().extent() == a.numel();
    let (a, b) = (x.offset(), target.offset());
    let apart = a >= b + target.layout().extent() || b >= a + x.layout().extent();
    if apart || !dense(x) || !dense(target) {
        return Ok(());
    }
    Err(Error::runtime(
        "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory \
         location. Please clone() the tensor before performing the operation.",
    ))
}

/// Which operands' gradients are wanted, one bit each.
#[inline]
fn wanted_gradients(row: &Row, operands: &[Operand<'_>]) -> u8 {
    let mut wanted = 0;
    for (i, x) in operands.iter().enumerate() {
        if let Operand::Tensor(x) = x
            && x.requires_grad()
        {
            wanted |= 1 << i;
        }
    }
    if wanted == 0 || !mode::is_grad_enabled() {
        return 0;
    }
    row.derivatives.iter().fold(0, |mask, d| mask | (1 << d.input)) & wanted
}

/// Refuses to keep what inference mode made: nobody would notice if it were overwritten.
#[inline]
fn check_inference(row: &Row, wanted: u8, operands: &[Operand<'_>]) -> Result<()> {
    if operands.iter().any(|x| matches!(x, Operand::Tensor(x) if x.is_inference())) {
        let needs = row.needs(|i| wanted & (1 << i) != 0);
        for (i, x) in operands.iter().enumerate() {
            if needs & (1 << i) != 0 && matches!(x, Operand::Tensor(x) if x.is_inference()) {
                return Err(inference_saved());
            }
        }
    }
    Ok(())
}

#[cold]
pub(crate) fn inference_saved() -> Error {
    Error::runtime(
        "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in \
         computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in \
         autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`.",
    )
}

fn keep(row: &'static Row, wanted: u8, sources: &[Source<'_>], y: &Array) -> Saved {
    let needs = row.needs(|i| wanted & (1 << i) != 0);
    if needs == 0 {
        return Saved::Nothing;
    }
    let mut values = SmallVec::new();
    for (i, source) in sources.iter().enumerate() {
        if needs & (1 << i) != 0 {
            values.push(match source {
                Source::Array(x) => SavedValue::array((*x).clone(), Role::Input(i as u16)),
                Source::Scalar(s) => SavedValue::Scalar(*s),
            });
        }
    }
    if needs & OUTPUT_BIT != 0 {
        values.push(SavedValue::array(y.clone(), Role::Output(0)));
    }
    Saved::Live(values)
}

fn node(row: &'static Row, wanted: u8, operands: &[Operand<'_>], y: &Array, saved: Saved) -> NodeRef {
    let mut edges = SmallVec::new();
    for (i, x) in operands.iter().enumerate() {
        edges.push(match x {
            Operand::Tensor(x) if wanted & (1 << i) != 0 => x.gradient_edge(),
            _ => None,
        });
    }
    let meta = OutputMeta { layout: y.layout().clone(), dtype: y.dtype() };
    NodeRef::new(Node::new(RowRule { row }, edges, smallvec![meta], saved))
}

/// The derivative of any row.
struct RowRule {
    row: &'static Row,
}

/// Elements up to which a derivative reads what was saved in place; above, it takes its own references first, so that
/// no lock is held while kernels use the pool.
const BRIEF: usize = 4096;

impl Rule for RowRule {
    fn name(&self) -> &str {
        self.row.node.as_str()
    }

    fn backward(&self, cx: &mut Backward<'_>) -> Result<Grads> {
        let Some(g) = cx.take_grad(0) else { return Ok(SmallVec::from_elem(None, cx.node().edges().len())) };
        if mode::is_grad_enabled() {
            return self.backward_recorded(cx, &g);
        }
        if cx.has_taken() || g.state().array.numel() <= BRIEF {
            return cx.values(|values| self.backward_numbers(cx, &g, values));
        }
        let values: SmallVec<[SavedValue; 2]> = cx.values(|values| Ok(values.iter().cloned().collect()))?;
        self.backward_numbers(cx, &g, &values)
    }
}

impl RowRule {
    /// One pass over memory for each input.
    fn backward_numbers(&self, cx: &Backward<'_>, g: &Tensor, saved: &[SavedValue]) -> Result<Grads> {
        // What was kept was settled when the op ran; which gradients this pass wants changes nothing about it.
        let needs = self.row.needs(|i| cx.has_edge(i));
        let mut kept = [Source::Scalar(Scalar::Int(0)); 8];
        let mut values = saved.iter();
        for (bit, source) in kept.iter_mut().enumerate() {
            if needs & (1 << bit) != 0 {
                *source = values.next().map_or_else(
                    || unreachable!("what a derivative takes was kept"),
                    |v| v.source(cx.node()),
                )?;
            }
        }
        let mut grads = Grads::new();
        for input in 0..cx.node().edges().len() {
            let derivative = if cx.needs(input) { self.row.derivative(input) } else { None };
            grads.push(match derivative {
                None => None,
                Some(d) if d.identity => Some(g.clone()),
                Some(d) => Some(evaluate_numbers(d, g, &kept)?),
            });
        }
        Ok(grads)
    }

    #[cold]
    fn backward_recorded(&self, cx: &Backward<'_>, g: &Tensor) -> Result<Grads> {
        let needs = self.row.needs(|i| cx.has_edge(i));
        let mut kept: SmallVec<[(u8, Unpacked); 3]> = SmallVec::new();
        for bit in (0..8).map(|i| 1 << i).filter(|bit| needs & bit != 0) {
            let value = cx.unpack(kept.len())?;
            kept.push((bit, value));
        }
        let mut grads = Grads::new();
        for input in 0..cx.node().edges().len() {
            let derivative = self.row.derivative(input).filter(|_| cx.needs(input));
            grads.push(match derivative {
                None => None,
                Some(d) if d.identity => Some(g.clone()),
                Some(d) => Some(tied(evaluate_terms(d, g, &kept, cx.node())?, &kept, cx.node())?),
            });
        }
        Ok(grads)
    }
}

/// A derivative that is constant in what was kept (that of relu, say) as a function of it all the same, whose derivative
/// is zero: asking for a second derivative is then no error, as it is none in PyTorch.
fn tied(dx: Tensor, kept: &[(u8, Unpacked)], node: &NodeRef) -> Result<Tensor> {
    if dx.requires_grad() {
        return Ok(dx);
    }
    for (_, value) in kept {
        if let Unpacked::Array(x, role) = value {
            let x = Unpacked::Array(x.clone(), *role).tensor(node)?;
            if x.requires_grad() {
                let (shape, dtype) = (x.shape(), x.dtype());
                let backward = move |_: &Backward<'_>| Ok(smallvec![Some(Tensor::zeros(&shape, dtype)?)]);
                let zeros = |cx: &crate::graph::record::Forward<'_>| vector_space::zeros_like(cx.output());
                return crate::graph::record::record(
                    "ZerosBackward0",
                    &[&x],
                    dx.array(),
                    &[],
                    backward,
                    zeros,
                );
            }
        }
    }
    Ok(dx)
}

fn find(kept: &[(u8, Unpacked)], takes: Takes) -> &Unpacked {
    kept.iter()
        .find(|(bit, _)| *bit == takes.bit())
        .map_or_else(|| unreachable!("what a derivative takes was kept"), |(_, value)| value)
}

/// One pass over memory; `kept` is indexed by the bit of what a derivative takes.
pub(crate) fn evaluate_numbers(d: &'static Derivative, g: &Tensor, kept: &[Source<'_>; 8]) -> Result<Tensor> {
    let state = g.state();
    let g = &state.array;
    let dtype = g.dtype();
    let y = g.empty_like(dtype)?;
    let mut sources = [Source::Array(g); tile::MAX_INPUTS];
    for (source, takes) in sources.iter_mut().zip(d.takes) {
        if *takes != Takes::Grad {
            *source = kept[takes.bit().trailing_zeros() as usize];
        }
    }
    let tile = d.kernel.tile(dtype).ok_or_else(|| Error::unsupported("a derivative", dtype))?;
    tile::run_fresh(tile, dtype, &sources[..d.takes.len()], dtype, &y);
    Ok(Tensor::new(y))
}

/// In recorded tensor operations.
fn evaluate_terms(
    d: &'static Derivative,
    g: &Tensor,
    kept: &[(u8, Unpacked)],
    node: &NodeRef,
) -> Result<Tensor> {
    let mut terms: SmallVec<[Term; 4]> = SmallVec::new();
    for &takes in d.takes {
        terms.push(Term(Ok(match takes {
            Takes::Grad => g.clone(),
            _ => match find(kept, takes) {
                Unpacked::Scalar(s) => Tensor::scalar(*s, g.dtype())?,
                kept => kept.clone().tensor(node)?,
            },
        })));
    }
    (d.terms)(&terms).0
}

/// Forward mode: the sum of the derivatives' formulas, each with its input's tangent for `g`.
#[cold]
fn propagate_row<const N: usize>(row: &'static Row, operands: &[Operand<'_>; N], y: &Tensor) -> Result<()> {
    let inputs: SmallVec<[&Tensor; 4]> = operands
        .iter()
        .filter_map(|x| match x {
            Operand::Tensor(x) => Some(*x),
            Operand::Scalar(_) => None,
        })
        .collect();
    propagate(&inputs, y, |_| {
        let mut sum: Option<Tensor> = None;
        for d in row.derivatives {
            let Operand::Tensor(x) = operands[usize::from(d.input)] else { continue };
            let Some(tangent) = x.tangent() else { continue };
            let mut terms: SmallVec<[Term; 4]> = SmallVec::new();
            for takes in d.takes {
                terms.push(Term(Ok(match takes {
                    Takes::Grad => tangent.clone(),
                    Takes::Output => y.clone(),
                    Takes::Input(i) => match operands[usize::from(*i)] {
                        Operand::Tensor(x) => x.clone(),
                        Operand::Scalar(s) => Tensor::scalar(s, y.dtype())?,
                    },
                })));
            }
            let part = (d.terms)(&terms).0?;
            sum = Some(match sum {
                None => part,
                Some(sum) => vector_space::add_grads(sum, part)?,
            });
        }
        let tangent = sum.map_or_else(|| vector_space::zeros_like(y), Ok)?;
        let tangent = vector_space::to_dtype(&tangent, y.dtype())?;
        let shape = y.shape();
        if tangent.shape() == shape { Ok(tangent) } else { vector_space::expand(&tangent, &shape) }
    })
}

/// The table of element-wise ops. See the head of this file for the language.
#[macro_export]
macro_rules! rows {
    (table $table:ident with methods; $($rows:tt)*) => {
        $crate::rows! { table $table; $($rows)* }
        $crate::rows! { @methods $($rows)* }
    };
    (table $table:ident; $( $(#[doc = $doc:literal])* $kind:ident $name:ident ( $($x:ident $(= $default:literal)?),+ ) -> $y:ident = $forward:expr
        $(, as $node:literal)? $(, on $low:literal .. $high:literal)?
        , { $( $d:ident ( $($k:ident),+ ) = $rule:expr ),* $(,)? } );* $(;)?
    ) => {
        $(
            $(#[doc = $doc])*
            #[inline]
            pub fn $name<'a>(
                $( $x: impl Into<$crate::graph::Operand<'a>> ),+
            ) -> $crate::error::Result<$crate::graph::Tensor> {
                $crate::graph::row::apply(&$name::ROW, [$( $x.into() ),+])
            }

            #[allow(non_camel_case_types, missing_docs, unused_imports, unused_variables, clippy::float_cmp, clippy::neg_multiply)]
            pub mod $name {
                use $crate::array::kernels::{formula, integer::{Integer, N}, real::Real, value::{Mask, V}};
                use $crate::array::Bool;
                use $crate::graph::row::{Derivative, Kind, NodeName, Row, Takes, differentiated, same};

                const INPUTS: &[&str] = &[$( stringify!($x) ),+];
                const ARITY: usize = INPUTS.len();
                struct Forward;
                $crate::rows!(@forward $kind ($($x),+) $forward);
                $(
                    struct $d;
                    const _: () = ();
                    impl formula::RealFormula<{ [$( stringify!($k) ),+].len() }> for $d {
                        #[inline(always)]
                        fn at<T: Real>([$($k),+]: [V<T>; { [$( stringify!($k) ),+].len() }]) -> V<T> { $rule }
                    }
                )*
                pub static ROW: Row = Row {
                    name: stringify!($name),
                    node: $crate::rows!(@node $name $($node)?),
                    inputs: INPUTS,
                    defaults: &[$( $crate::rows!(@default $($default)?) ),+],
                    doc: concat!($($doc),*),
                    kind: $crate::rows!(@kind $kind),
                    forward: $crate::rows!(@kernel $kind),
                    derivatives: &[$( Derivative {
                        input: differentiated(stringify!($d), INPUTS),
                        takes: &[$( Takes::named(stringify!($k), INPUTS, stringify!($y)) ),+],
                        identity: same(stringify!($rule), "g"),
                        kernel: formula::real::<{ [$( stringify!($k) ),+].len() }, $d>(),
                        terms: |terms| {
                            let [$($k),+] = terms else { unreachable!("as many terms as the list names") };
                            $crate::graph::Term::from($rule)
                        },
                    } ),*],
                    domain: $crate::rows!(@domain $($low, $high)?),
                };
            }
        )*
        /// The rows of this table.
        pub static $table: &[&$crate::graph::Row] = &[$( &$name::ROW ),*];
    };
    // A row's formula does not matter to its method; its shape must be read all the same.
    (@methods $( $(#[doc = $doc:literal])* $kind:ident $name:ident (
            $first:ident $(= $d0:literal)? $(, $rest:ident $(= $default:literal)?)*
        ) -> $y:ident = $forward:expr $(, as $node:literal)? $(, on $low:literal .. $high:literal)? , { $($rules:tt)* } );*
        $(;)?
    ) => {
        // Operands share one lifetime, be there one or several.
        #[allow(clippy::needless_lifetimes, clippy::extra_unused_lifetimes)]
        impl $crate::graph::Tensor { $(
            $(#[doc = $doc])*
            pub fn $name<'a>(
                &'a self $(, $rest: impl Into<$crate::graph::Operand<'a>>)*
            ) -> $crate::error::Result<Self> {
                self::$name(self $(, $rest)*)
            }
        )* }
    };
    (@forward real ($($x:ident),+) $forward:expr) => {
        impl formula::RealFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real>([$($x),+]: [V<T>; ARITY]) -> V<T> { $forward }
        }
    };
    (@forward number ($($x:ident),+) $forward:expr) => {
        impl formula::RealFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real>([$($x),+]: [V<T>; ARITY]) -> V<T> { $forward }
        }
        impl formula::IntegerFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Integer>([$($x),+]: [N<T>; ARITY]) -> N<T> { $forward }
        }
    };
    (@forward test ($($x:ident),+) $forward:expr) => {
        impl formula::RealTest<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real>([$($x),+]: [V<T>; ARITY]) -> Mask { $forward }
        }
        impl formula::IntegerTest<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Integer>([$($x),+]: [N<T>; ARITY]) -> Mask { $forward }
        }
    };
    (@forward real_test ($($x:ident),+) $forward:expr) => {
        impl formula::RealTest<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Real>([$($x),+]: [V<T>; ARITY]) -> Mask { $forward }
        }
    };
    (@forward bits ($($x:ident),+) $forward:expr) => {
        impl formula::IntegerFormula<ARITY> for Forward {
            #[inline(always)]
            fn at<T: Integer>([$($x),+]: [N<T>; ARITY]) -> N<T> { $forward }
        }
    };
    (@forward logic ($($x:ident),+) $forward:expr) => {
        impl formula::Formula<ARITY> for Forward {
            type I = Bool;
            type O = Bool;
            #[inline(always)]
            fn at(x: [Bool; ARITY]) -> Bool {
                let [$($x),+] = x.map(|b| Mask(b.get()));
                $forward.0.into()
            }
        }
    };
    (@kernel real) => { formula::real::<ARITY, Forward>() };
    (@kernel number) => { formula::number::<ARITY, Forward>() };
    (@kernel test) => { formula::number_test::<ARITY, Forward>() };
    (@kernel real_test) => { formula::real_test::<ARITY, Forward>() };
    (@kernel bits) => { formula::integer::<ARITY, Forward>() };
    (@kernel logic) => { formula::logic::<ARITY, Forward>() };
    (@kind real) => { Kind::Real };
    (@kind number) => { Kind::Number };
    (@kind test) => { Kind::Test };
    (@kind real_test) => { Kind::RealTest };
    (@kind bits) => { Kind::Bits };
    (@kind logic) => { Kind::Logic };
    (@node $name:ident) => { NodeName::of_op(stringify!($name)) };
    (@node $name:ident $node:literal) => { NodeName::given($node) };
    (@default) => { None };
    (@default $value:literal) => { Some(stringify!($value)) };
    (@domain) => { (-2.0, 2.0) };
    (@domain $low:literal, $high:literal) => { ($low, $high) };
}
