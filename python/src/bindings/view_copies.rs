//! Views as copies: each is the view of the same name in memory of its own.

use arcgrad::{Result, Tensor, ops};

use crate::bindings;

bindings! {
    function alias_copy { "(Tensor input) -> Tensor" => |a| copy(ops::alias(a.tensor(0)?)) }
    function as_strided_copy { "(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor" => |a| copy(ops::as_strided(a.tensor(0)?, &a.ints(1)?, &a.ints(2)?, a.optional_index(3)?)) }
    function detach_copy { "(Tensor input) -> Tensor" => |a| copy(Ok(a.tensor(0)?.detach())) }
    function diagonal_copy { "(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor" => |a| copy(ops::diagonal(a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?)) }
    function expand_copy { "(Tensor input, int[] size, *, bool implicit=False) -> Tensor" => |a| copy(ops::expand(a.tensor(0)?, &a.ints(1)?)) }
    function narrow_copy { "(Tensor input, int dim, int start, int length) -> Tensor" => |a| copy(ops::narrow(a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?)) }
    function permute_copy { "(Tensor input, int[] dims) -> Tensor" => |a| copy(ops::permute(a.tensor(0)?, &a.ints(1)?)) }
    function select_copy { "(Tensor input, int dim, int index) -> Tensor" => |a| copy(ops::select(a.tensor(0)?, a.index(1)?, a.index(2)?)) }
    function slice_copy { "(Tensor input, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor" => |a| copy(ops::slice(a.tensor(0)?, a.index(1)?, a.optional_index(2)?, a.optional_index(3)?, a.index(4)?)) }
    function t_copy { "(Tensor input) -> Tensor" => |a| copy(ops::t(a.tensor(0)?)) }
    function transpose_copy { "(Tensor input, int dim0, int dim1) -> Tensor" => |a| copy(ops::transpose(a.tensor(0)?, a.index(1)?, a.index(2)?)) }
    function unfold_copy { "(Tensor input, int dimension, int size, int step) -> Tensor" => |a| copy(ops::unfold(a.tensor(0)?, a.index(1)?, a.index(2)?, a.index(3)?)) }
    function unsqueeze_copy { "(Tensor input, int dim) -> Tensor" => |a| copy(ops::unsqueeze(a.tensor(0)?, a.index(1)?)) }
    function view_copy {
        "(Tensor input, int[] size) -> Tensor" => |a| copy(ops::view(a.tensor(0)?, &a.ints(1)?)),
        "(Tensor input, dtype dtype) -> Tensor" => |a| copy(ops::view_dtype(a.tensor(0)?, crate::convert::dtype(a.any(1)?)?))
    }
    function squeeze_copy {
        "(Tensor input) -> Tensor" => |a| copy(ops::squeeze(a.tensor(0)?, None)),
        "(Tensor input, int[] dim) -> Tensor" => |a| copy(ops::squeeze(a.tensor(0)?, Some(&a.ints(1)?)))
    }
    function split_copy { "(Tensor input, int split_size, int dim=0) -> Tensor[]" => |a| copies(ops::split(a.tensor(0)?, a.index(1)?, a.index(2)?)) }
    function split_with_sizes_copy { "(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]" => |a| copies(ops::split_with_sizes(a.tensor(0)?, &a.ints(1)?, a.index(2)?)) }
    function unbind_copy { "(Tensor input, int dim=0) -> Tensor[]" => |a| copies(ops::unbind(a.tensor(0)?, a.index(1)?)) }
}

fn copy(view: Result<Tensor>) -> Result<Tensor> {
    ops::clone(&view?)
}

fn copies(views: Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
    views?.iter().map(ops::clone).collect()
}
