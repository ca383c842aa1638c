//! Running a row, on new memory or on its first operand's, and recording it.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::derivative::{RowRule, propagate_row};
use super::promotion::{Operand, common_dtype};
use super::write::{check_writable, inference_saved, read_beside};
use super::{OUTPUT_BIT, Row};
use crate::array::kernels::tile::{Call, Source};
use crate::array::{Array, Layout, layout};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::graph::forward::Place;
use crate::graph::node::{Edge, NodeRef, OutputMeta};
use crate::graph::packing::pack;
use crate::graph::saved::{Role, Saved, SavedValue, SavedValues};
use crate::graph::tensor::Tensor;
use crate::graph::{forward, mode, view};

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
    let (y, recorded) = {
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
        let tile = row.tile(compute)?;
        Call { tile, compute, inputs: &sources, result: gives, output: &y }.run_fresh();
        let tracked = wanted != 0 && result.is_differentiable();
        let recorded = tracked.then(|| {
            let edge = |i: usize| match operands[i] {
                Operand::Tensor(x) => x.gradient_edge_in(states[i].as_deref()),
                Operand::Scalar(_) => None,
            };
            (keep(row, wanted, &sources, &y), edges::<N>(wanted, edge))
        });
        (y, recorded)
    };
    let y = match recorded {
        None => Tensor::new(y),
        Some((saved, edges)) => {
            let node = node(row, edges, &y, pack(saved)?);
            Tensor::with_history(y, Some(Edge { node, output: 0 }))
        }
    };
    if forward::propagates() {
        propagate_row(row, Place::Fresh, &operands, &y, y.history().map(|edge| edge.node))?;
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
    view::check_write(row.node, x, wanted != 0)?;
    check_inference(row, wanted, &operands)?;
    let target = x.array();
    check_writable(row.node, &target)?;
    let mut arrays_held: [Option<Array>; N] = operands.map(|o| match o {
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
    for other in arrays_held.iter_mut().skip(1).flatten() {
        if other.meets(&target) {
            *other = read_beside(other, &target)?;
        }
    }
    let arrays: [Option<&Array>; N] = std::array::from_fn(|i| arrays_held[i].as_ref());
    let tracked = wanted != 0 && target.dtype().is_differentiable();
    // What a derivative needs of overwritten inputs is copied before the write; the output is kept after it.
    let duals = if forward::propagates() { forward::snapshot(&operands)? } else { None };
    let needs = if tracked { row.needs(|i| wanted & (1 << i) != 0) } else { 0 };
    let original = (needs & 1 != 0).then(|| target.copied()).transpose()?;
    let sources = std::array::from_fn::<_, N, _>(|i| match (arrays[i], operands[i]) {
        (Some(x), _) => Source::Array(x),
        (None, Operand::Scalar(s)) => Source::Scalar(s),
        (None, Operand::Tensor(_)) => unreachable!("every tensor's array was read"),
    });
    let tile = row.tile(compute)?;
    Call { tile, compute, inputs: &sources, result: gives, output: &target }.run();
    let history = tracked.then(|| {
        let mut kept = sources;
        if let Some(original) = &original {
            kept[0] = Source::Array(original);
        }
        // The write raises the version below; the output is kept as of after it.
        let mut saved = keep(row, wanted, &kept, &target);
        if let Saved::Live(values) = &mut saved {
            values.iter_mut().for_each(SavedValue::expect_write);
        }
        let edge = |i: usize| match operands[i] {
            Operand::Tensor(x) => x.gradient_edge(),
            Operand::Scalar(_) => None,
        };
        let edges = edges::<N>(wanted, edge);
        Ok::<_, Error>(Edge { node: node(row, edges, &target, pack(saved)?), output: 0 })
    });
    let history = history.transpose()?;
    let node = duals.as_ref().and_then(|_| history.as_ref().map(|edge| edge.node.clone()));
    view::rebase(x, row.node, history);
    if let Some(duals) = &duals {
        let before =
            std::array::from_fn::<_, N, _>(|i| duals[i].as_ref().map_or(operands[i], Operand::Tensor));
        propagate_row(row, Place::Written, &before, x, node)?;
    }
    Ok(x.clone())
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
    row.differentiable & wanted
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

fn keep(row: &'static Row, wanted: u8, sources: &[Source<'_>], y: &Array) -> Saved {
    let needs = row.needs(|i| wanted & (1 << i) != 0);
    if needs == 0 {
        return Saved::Nothing;
    }
    let mut values = SavedValues::new();
    for (i, source) in sources.iter().enumerate() {
        if needs & (1 << i) != 0 {
            values.push(match source {
                Source::Array(x) => SavedValue::array((*x).clone(), Role::Input(i as u16), &values),
                Source::Scalar(s) => SavedValue::Scalar(*s),
            });
        }
    }
    if needs & OUTPUT_BIT != 0 {
        values.push(SavedValue::array(y.clone(), Role::Output(0), &values));
    }
    Saved::Live(values)
}

/// Where the gradients of the wanted operands go.
#[inline]
fn edges<const N: usize>(wanted: u8, edge: impl Fn(usize) -> Option<Edge>) -> SmallVec<[Option<Edge>; 2]> {
    (0..N).map(|i| if wanted & (1 << i) != 0 { edge(i) } else { None }).collect()
}

fn node(row: &'static Row, edges: SmallVec<[Option<Edge>; 2]>, y: &Array, saved: Saved) -> NodeRef {
    let meta = OutputMeta { layout: y.layout().clone(), dtype: y.dtype() };
    NodeRef::new(RowRule { row }, edges, smallvec![meta], saved)
}
