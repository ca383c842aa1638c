//! New tensors.

use arcgrad::{Scalar, Tensor};

use crate::bindings;
use crate::error::raise;

bindings! {
    /// One value everywhere.
    function full {
        "(int... size, Scalar fill_value, *, bool requires_grad=False) -> Tensor" => |a| {
            let shape = arcgrad::array::layout::sizes(&a.ints(0)?).map_err(|e| raise(&e))?;
            let value: Scalar = a.scalar(1)?;
            Tensor::full(&shape, value, arcgrad::DType::F32).and_then(|t| t.requires_grad_(a.flag(2).unwrap_or(false)))
        }
    }
}
