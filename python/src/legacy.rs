//! `Tensor(...)`: the old constructor, which makes a tensor of the default dtype of sizes, of data, or of another tensor.

use arcgrad::Tensor;
use arcgrad::array::layout;
use arcgrad::graph::row::default_dtype;
use arcgrad::ops::creation::empty;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple};

use crate::error::raise;
use crate::{convert, device, nested};

/// The tensor that these arguments ask for.
pub fn construct(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Tensor> {
    let mut data = None;
    for (name, value) in kwargs.into_iter().flatten() {
        match name.extract::<String>()?.as_str() {
            "device" => device::check(Some(&value).filter(|v| !v.is_none()))?,
            "data" | "size" => data = Some(value),
            name => {
                return Err(PyTypeError::new_err(format!(
                    "new() got an unexpected keyword argument '{name}'"
                )));
            }
        }
    }
    let dtype = default_dtype();
    let data = match (data, args.len()) {
        (Some(data), 0) => data,
        (None, 1) => args.get_item(0)?,
        (None, 0) => return empty(&[0], dtype).map_err(|e| raise(&e)),
        _ => return sizes(args),
    };
    if let Some(x) = convert::tensor(&data) {
        return Ok(x.detach());
    }
    if data.is_instance_of::<PyInt>() {
        return sizes(args);
    }
    if crate::size::is_size(&data)? {
        return sizes(data.cast::<PyTuple>()?);
    }
    if data.is_instance_of::<pyo3::types::PyFloat>() {
        return Err(PyTypeError::new_err("new(): data must be a sequence (got float)"));
    }
    nested::tensor(&data, Some(dtype))
}

fn sizes(sizes: &Bound<'_, PyTuple>) -> PyResult<Tensor> {
    let sizes =
        sizes.iter().map(|n| convert::integer(&n).map(|n| n as isize)).collect::<PyResult<Vec<_>>>()?;
    layout::sizes(&sizes).and_then(|shape| empty(&shape, default_dtype())).map_err(|e| raise(&e))
}
