//! Shapes: views, parts, splits and joins.

use arcgrad::Tensor;
use arcgrad::graph::vector_space;
use arcgrad::ops::{self, Cuts};

use crate::bindings;
use crate::convert::Answer;

bindings! {
    /// The same elements under another shape, sharing memory.
    method view {
        "(Tensor input, int... size) -> Tensor" => |a| ops::view(a.tensor(0)?, &a.ints(1)?),
        "(Tensor input, dtype dtype) -> Tensor" => |a| ops::view_dtype(a.tensor(0)?, crate::convert::dtype(a.any(1)?)?)
    }
    /// The same elements under another shape; copies only if it must.
    both reshape {
        "(Tensor input, int... shape) -> Tensor" => |a| a.call(ops::reshape, (a.tensor(0)?, &a.ints(1)?[..]))
    }
    /// A view with another tensor's shape.
    method view_as { "(Tensor input, Tensor other) -> Tensor" => |a| ops::view_as(a.tensor(0)?, a.tensor(1)?) }
    /// Another tensor's shape.
    method reshape_as {
        "(Tensor input, Tensor other) -> Tensor" => |a| a.call(ops::reshape_as, (a.tensor(0)?, a.tensor(1)?))
    }
    /// Two axes exchanged.
    both transpose {
        "(Tensor input, int dim0, int dim1) -> Tensor" => |a| ops::transpose(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// Two axes exchanged.
    both swapaxes {
        "(Tensor input, int axis0, int axis1) -> Tensor" => |a| ops::transpose(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// Two axes exchanged.
    both swapdims {
        "(Tensor input, int dim0, int dim1) -> Tensor" => |a| ops::transpose(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// Two axes of this tensor exchanged.
    method transpose_ {
        "(Tensor input, int dim0, int dim1) -> Tensor" => |a| ops::transpose_(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// Two axes of this tensor exchanged.
    method swapaxes_ {
        "(Tensor input, int axis0, int axis1) -> Tensor" => |a| ops::transpose_(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// Two axes of this tensor exchanged.
    method swapdims_ {
        "(Tensor input, int dim0, int dim1) -> Tensor" => |a| ops::transpose_(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// The transpose of a matrix.
    both t { "(Tensor input) -> Tensor" => |a| ops::t(a.tensor(0)?) }
    /// This matrix transposed.
    method t_ { "(Tensor input) -> Tensor" => |a| ops::t_(a.tensor(0)?) }
    /// The conjugate transpose of a matrix.
    both adjoint { "(Tensor input) -> Tensor" => |a| ops::transpose(a.tensor(0)?, -2, -1) }
    /// The axes in another order.
    both permute {
        "(Tensor input, int... dims) -> Tensor" => |a| ops::permute(a.tensor(0)?, &a.ints(1)?)
    }
    /// Some axes moved to other places.
    both movedim {
        "(Tensor input, int[] source, int[] destination) -> Tensor"
            => |a| ops::movedim(a.tensor(0)?, &a.ints(1)?, &a.ints(2)?)
    }
    /// Some axes moved to other places.
    both moveaxis {
        "(Tensor input, int[] source, int[] destination) -> Tensor"
            => |a| ops::movedim(a.tensor(0)?, &a.ints(1)?, &a.ints(2)?)
    }
    /// Axes of extent 1 repeated without copying.
    method expand {
        "(Tensor input, int... size, *, bool implicit=False) -> Tensor" => |a| ops::expand(a.tensor(0)?, &a.ints(1)?)
    }
    /// Expanded to another tensor's shape.
    method expand_as { "(Tensor input, Tensor other) -> Tensor" => |a| ops::expand_as(a.tensor(0)?, a.tensor(1)?) }
    /// Expanded to a shape.
    both broadcast_to { "(Tensor input, int... size) -> Tensor" => |a| ops::expand(a.tensor(0)?, &a.ints(1)?) }
    /// All expanded to the shape they broadcast to.
    function broadcast_tensors {
        "(Tensor... tensors) -> Tensor[]" => |a| ops::broadcast_tensors(&a.tensors(0)?)
    }
    /// Without axes of extent 1.
    both squeeze {
        "(Tensor input) -> Tensor" => |a| ops::squeeze(a.tensor(0)?, None),
        "(Tensor input, int[] dim) -> Tensor" => |a| ops::squeeze(a.tensor(0)?, Some(&a.ints(1)?))
    }
    /// This tensor without axes of extent 1.
    method squeeze_ {
        "(Tensor input) -> Tensor" => |a| ops::squeeze_(a.tensor(0)?, None),
        "(Tensor input, int[] dim) -> Tensor" => |a| ops::squeeze_(a.tensor(0)?, Some(&a.ints(1)?))
    }
    /// With a new axis of extent 1.
    both unsqueeze { "(Tensor input, int dim) -> Tensor" => |a| ops::unsqueeze(a.tensor(0)?, a.index(1)?) }
    /// This tensor with a new axis of extent 1.
    method unsqueeze_ { "(Tensor input, int dim) -> Tensor" => |a| ops::unsqueeze_(a.tensor(0)?, a.index(1)?) }
    /// Several axes as one.
    both flatten {
        "(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor"
            => |a| a.call(ops::flatten, (a.tensor(0)?, a.index(1)?, a.index(2)?))
    }
    /// One axis as several.
    both unflatten {
        "(Tensor input, int dim, int[] sizes) -> Tensor" => |a| ops::unflatten(a.tensor(0)?, a.index(1)?, &a.ints(2)?)
    }
    /// One axis, row-major.
    both ravel { "(Tensor input) -> Tensor" => |a| a.call(ops::ravel, (a.tensor(0)?,)) }
    /// A part of an axis, as a view.
    both narrow {
        "(Tensor input, int dim, int start, int length) -> Tensor"
            => |a| ops::narrow(a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?),
        "(Tensor input, int dim, Tensor start, int length) -> Tensor"
            => |a| ops::narrow(a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?)
    }
    /// One position of an axis, as a view.
    both select {
        "(Tensor input, int dim, int index) -> Tensor" => |a| ops::select(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// All windows along an axis, as a view.
    method unfold {
        "(Tensor input, int dimension, int size, int step) -> Tensor"
            => |a| ops::unfold(a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?)
    }
    /// A diagonal, as a view.
    both diagonal {
        "(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor"
            => |a| ops::diagonal(a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?)
    }
    /// The diagonal of a matrix, or the matrix of a diagonal.
    both diag { "(Tensor input, int diagonal=0) -> Tensor" => |a| a.call(ops::diag, (a.tensor(0)?, a.index(1)?)) }
    /// Zeros with the last axis along a diagonal of two.
    both diag_embed {
        "(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor"
            => |a| a.call(ops::diag_embed, (a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?))
    }
    /// A matrix with the flattened input on its diagonal.
    both diagflat {
        "(Tensor input, int offset=0) -> Tensor"
            => |a| a.call(|x, offset| ops::diag(&ops::ravel(x)?, offset), (a.tensor(0)?, a.index(1)?))
    }
    /// Any view of the tensor's memory.
    both as_strided {
        "(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor"
            => |a| ops::as_strided(a.tensor(0)?, &a.ints(1)?, &a.ints(2)?, a.optional_index(3)?)
    }
    /// The tensor itself as any view of its memory.
    both as_strided_ {
        "(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor"
            => |a| ops::as_strided_(a.tensor(0)?, &a.ints(1)?, &a.ints(2)?, a.optional_index(3)?)
    }
    /// The tensor itself with other extents, its memory grown if it must.
    method resize_ {
        "(Tensor input, int... size, *, Any? memory_format=None) -> Tensor" => |a| ops::resize_(a.tensor(0)?, &a.ints(1)?)
    }
    /// The tensor itself: all tensors are dense. With a dtype, a copy of it as that.
    method to_dense {
        "(Tensor input, dtype? dtype=None, *, bool? masked_grad=None) -> Tensor" => |a| {
            let x: &Tensor = a.tensor(0)?;
            match a.dtype(1)? {
                Some(dtype) => vector_space::to_dtype(x, dtype),
                None => Ok(x.clone()),
            }
        }
    }
    /// The tensor itself with the extents of another.
    both resize_as_ {
        "(Tensor input, Tensor the_template, *, Any? memory_format=None) -> Tensor" => |a| {
            let size: Vec<isize> = a.tensor(1)?.shape().iter().map(|&n| n as isize).collect();
            ops::resize_(a.tensor(0)?, &size)
        }
    }
    /// A copy with any view of its memory replaced.
    both as_strided_scatter {
        "(Tensor input, Tensor src, int[] size, int[] stride, int? storage_offset=None) -> Tensor" => |a| a.call(
            ops::as_strided_scatter,
            (a.tensor(0)?, a.tensor(1)?, &a.ints(2)?[..], &a.ints(3)?[..], a.optional_index(4)?),
        )
    }
    /// A copy with a part along one position of an axis replaced.
    both select_scatter {
        "(Tensor input, Tensor src, int dim, int index) -> Tensor"
            => |a| a.call(ops::select_scatter, (a.tensor(0)?, a.tensor(1)?, a.index(2)?, a.index(3)?))
    }
    /// A copy with a slice replaced.
    both slice_scatter {
        "(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor" => |a| a.call(
            ops::slice_scatter,
            (a.tensor(0)?, a.tensor(1)?, a.index(2)?, a.optional_index(3)?, a.optional_index(4)?, a.index(5)?),
        )
    }
    /// A copy with a diagonal replaced.
    both diagonal_scatter {
        "(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor" => |a| a.call(
            ops::diagonal_scatter,
            (a.tensor(0)?, a.tensor(1)?, a.index(2)?, a.index(3)?, a.index(4)?),
        )
    }
    /// Each position of an axis as a view of its own.
    both unbind { "(Tensor input, int dim=0) -> Tensor[]" => |a| ops::unbind(a.tensor(0)?, a.index(1)?) }
    /// Parts of a size along an axis, which may be written to if the whole is not used afterwards.
    both unsafe_split {
        "(Tensor input, int split_size, int dim=0) -> Tensor[]"
            => |a| ops::unsafe_split(a.tensor(0)?, a.index(1)?, a.index(2)?),
        "(Tensor tensor, int split_size, int dim=0) -> Tensor[]"
            => |a| ops::unsafe_split(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// Parts of given sizes along an axis, which may be written to if the whole is not used afterwards.
    both unsafe_split_with_sizes {
        "(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]"
            => |a| ops::unsafe_split_with_sizes(a.tensor(0)?, &a.ints(1)?, a.index(2)?)
    }
    /// A number of parts along an axis, which may be written to if the whole is not used afterwards.
    both unsafe_chunk {
        "(Tensor input, int chunks, int dim=0) -> Tensor[]"
            => |a| ops::unsafe_chunk(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// Parts of an axis, as views.
    both split {
        "(Tensor input, int split_size, int dim=0) -> Tensor[]"
            => |a| ops::split(a.tensor(0)?, a.index(1)?, a.index(2)?),
        "(Tensor input, int[] split_size, int dim=0) -> Tensor[]"
            => |a| ops::split_with_sizes(a.tensor(0)?, &a.ints(1)?, a.index(2)?),
        "(Tensor tensor, int split_size_or_sections, int dim=0) -> Tensor[]"
            => |a| ops::split(a.tensor(0)?, a.index(1)?, a.index(2)?),
        "(Tensor tensor, int[] split_size_or_sections, int dim=0) -> Tensor[]"
            => |a| ops::split_with_sizes(a.tensor(0)?, &a.ints(1)?, a.index(2)?)
    }
    /// Parts of given sizes of an axis, as views.
    both split_with_sizes {
        "(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]"
            => |a| ops::split_with_sizes(a.tensor(0)?, &a.ints(1)?, a.index(2)?)
    }
    /// At most so many equal parts of an axis, as views.
    both chunk {
        "(Tensor input, int chunks, int dim=0) -> Tensor[]" => |a| ops::chunk(a.tensor(0)?, a.index(1)?, a.index(2)?)
    }
    /// So many parts of an axis, or parts between given positions.
    both tensor_split {
        "(Tensor input, int sections, int dim=0) -> Tensor[]"
            => |a| ops::tensor_split(a.tensor(0)?, Cuts::Sections(a.index(1)?), a.index(2)?),
        "(Tensor input, int[] indices, int dim=0) -> Tensor[]"
            => |a| ops::tensor_split(a.tensor(0)?, Cuts::At(&a.ints(1)?), a.index(2)?),
        "(Tensor input, Tensor tensor_indices_or_sections, int dim=0) -> Tensor[]" => |a| {
            let cuts = crate::convert::core(a.tensor(1)?.to_vec::<i64>())?;
            let cuts: Vec<isize> = cuts.into_iter().map(|i| i as isize).collect();
            let cuts = if a.tensor(1)?.ndim() == 0 { Cuts::Sections(cuts[0]) } else { Cuts::At(&cuts) };
            ops::tensor_split(a.tensor(0)?, cuts, a.index(2)?)
        },
        "(Tensor input, int indices_or_sections, int dim=0) -> Tensor[]"
            => |a| ops::tensor_split(a.tensor(0)?, Cuts::Sections(a.index(1)?), a.index(2)?),
        "(Tensor input, int[] indices_or_sections, int dim=0) -> Tensor[]"
            => |a| ops::tensor_split(a.tensor(0)?, Cuts::At(&a.ints(1)?), a.index(2)?)
    }
    /// Parts of the columns.
    both hsplit {
        "(Tensor input, int sections) -> Tensor[]" => |a| ops::hsplit(a.tensor(0)?, Cuts::Sections(a.index(1)?)),
        "(Tensor input, int[] indices) -> Tensor[]" => |a| ops::hsplit(a.tensor(0)?, Cuts::At(&a.ints(1)?))
    }
    /// Parts of the rows.
    both vsplit {
        "(Tensor input, int sections) -> Tensor[]" => |a| ops::vsplit(a.tensor(0)?, Cuts::Sections(a.index(1)?)),
        "(Tensor input, int[] indices) -> Tensor[]" => |a| ops::vsplit(a.tensor(0)?, Cuts::At(&a.ints(1)?))
    }
    /// Parts of the third axis.
    both dsplit {
        "(Tensor input, int sections) -> Tensor[]" => |a| ops::dsplit(a.tensor(0)?, Cuts::Sections(a.index(1)?)),
        "(Tensor input, int[] indices) -> Tensor[]" => |a| ops::dsplit(a.tensor(0)?, Cuts::At(&a.ints(1)?))
    }
    /// At least one dimension.
    function atleast_1d {
        "(Tensor input) -> Tensor" => |a| ops::atleast_1d(a.tensor(0)?),
        "(Tensor... tensors) -> Tensor[]" => |a| each(&a.tensors(0)?, ops::atleast_1d)
    }
    /// At least two dimensions.
    function atleast_2d {
        "(Tensor input) -> Tensor" => |a| ops::atleast_2d(a.tensor(0)?),
        "(Tensor... tensors) -> Tensor[]" => |a| each(&a.tensors(0)?, ops::atleast_2d)
    }
    /// At least three dimensions.
    function atleast_3d {
        "(Tensor input) -> Tensor" => |a| ops::atleast_3d(a.tensor(0)?),
        "(Tensor... tensors) -> Tensor[]" => |a| each(&a.tensors(0)?, ops::atleast_3d)
    }
    /// One after the other along an axis.
    function cat {
        "(Tensor[] tensors, int dim=0) -> Tensor" => |a| joined(a, ops::cat)?
    }
    /// One after the other along an axis.
    function concat { "(Tensor[] tensors, int dim=0) -> Tensor" => |a| joined(a, ops::cat)? }
    /// One after the other along an axis.
    function concatenate { "(Tensor[] tensors, int dim=0) -> Tensor" => |a| joined(a, ops::cat)? }
    /// Along a new axis.
    function stack { "(Tensor[] tensors, int dim=0) -> Tensor" => |a| joined(a, ops::stack)? }
    /// Side by side.
    function hstack { "(Tensor[] tensors) -> Tensor" => |a| ops::hstack(&a.tensors(0)?) }
    /// On top of one another.
    function vstack { "(Tensor[] tensors) -> Tensor" => |a| ops::vstack(&a.tensors(0)?) }
    /// On top of one another.
    function row_stack { "(Tensor[] tensors) -> Tensor" => |a| ops::vstack(&a.tensors(0)?) }
    /// In depth.
    function dstack { "(Tensor[] tensors) -> Tensor" => |a| ops::dstack(&a.tensors(0)?) }
    /// Side by side, vectors as columns.
    function column_stack { "(Tensor[] tensors) -> Tensor" => |a| ops::column_stack(&a.tensors(0)?) }
    /// A row-major copy.
    both clone {
        "(Tensor input, *, Any? memory_format=None) -> Tensor" => |a| a.call(ops::clone, (a.tensor(0)?,))
    }
    /// The tensor itself if it is row-major, else a row-major copy.
    method contiguous {
        "(Tensor input, Any? memory_format=None) -> Tensor" => |a| a.call(ops::contiguous, (a.tensor(0)?,))
    }
    /// Overwrites this tensor with another's elements.
    method copy_ {
        "(Tensor input, Tensor src, bool non_blocking=False) -> Tensor" => |a| a.call(ops::copy_, (a.tensor(0)?, a.tensor(1)?)),
        "(Tensor input, Scalar src, bool non_blocking=False) -> Tensor" => |a| ops::fill_(a.tensor(0)?, a.operand(1)?)
    }
    /// One value everywhere.
    function fill { "(Tensor input, Operand value) -> Tensor" => |a| ops::fill(a.tensor(0)?, a.operand(1)?) }
    /// Overwrites this tensor with one value.
    method fill_ { "(Tensor input, Operand value) -> Tensor" => |a| ops::fill_(a.tensor(0)?, a.operand(1)?) }
    /// Overwrites this tensor with zeros.
    both zero_ { "(Tensor input) -> Tensor" => |a| ops::zero_(a.tensor(0)?) }
}

fn each(
    tensors: &[arcgrad::Tensor],
    op: fn(&arcgrad::Tensor) -> arcgrad::Result<arcgrad::Tensor>,
) -> arcgrad::Result<Vec<arcgrad::Tensor>> {
    tensors.iter().map(op).collect()
}

/// A join along an axis, without the GIL if the tensors are large.
fn joined(
    a: &crate::dispatch::Args<'_, '_>,
    op: fn(&[arcgrad::Tensor], isize) -> arcgrad::Result<arcgrad::Tensor>,
) -> pyo3::PyResult<pyo3::Py<pyo3::PyAny>> {
    let (tensors, dim) = (a.tensors(0)?, a.index(1)?);
    let elements = tensors.iter().map(arcgrad::Tensor::numel).sum();
    crate::dispatch::work_of(a.py(), elements, || op(&tensors, dim)).object(a.py())
}
