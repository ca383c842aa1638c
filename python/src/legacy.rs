//! `Tensor(...)` and `x.new(...)`: the old constructors, which make a tensor of a known dtype of sizes, of data, or of another
//! tensor.

use arcgrad::array::layout;
use arcgrad::graph::row::default_dtype;
use arcgrad::ops::creation::empty;
use arcgrad::{DType, Tensor};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple};

use crate::error::raise;
use crate::{convert, device, nested};

/// The tensor that the arguments of `Tensor(...)` ask for.
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
    match (data, args.len()) {
        (Some(data), 0) => of(&data, default_dtype()),
        (None, 1) => of(&args.get_item(0)?, default_dtype()),
        (None, 0) => empty(&[0], default_dtype()).map_err(|e| raise(&e)),
        _ => sizes(args, default_dtype()),
    }
}

/// The tensor that one argument asks for.
pub fn of(data: &Bound<'_, PyAny>, dtype: DType) -> PyResult<Tensor> {
    if let Some(x) = convert::tensor(data) {
        return Ok(x.detach());
    }
    if data.is_instance_of::<PyInt>() {
        return sizes(&PyTuple::new(data.py(), [data])?, dtype);
    }
    if crate::size::is_size(data)? {
        return sizes(data.cast::<PyTuple>()?, dtype);
    }
    if data.is_instance_of::<pyo3::types::PyFloat>() {
        return Err(PyTypeError::new_err("new(): data must be a sequence (got float)"));
    }
    nested::tensor(data, Some(dtype))
}

fn sizes(sizes: &Bound<'_, PyTuple>, dtype: DType) -> PyResult<Tensor> {
    let sizes =
        sizes.iter().map(|n| convert::integer(&n).map(|n| n as isize)).collect::<PyResult<Vec<_>>>()?;
    layout::sizes(&sizes).and_then(|shape| empty(&shape, dtype)).map_err(|e| raise(&e))
}
