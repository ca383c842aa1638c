//! Arithmetic.

use arcgrad::ops;

use crate::bindings;

bindings! {
    /// Hyperbolic tangent of each element.
    both tanh { "(Tensor input) -> Tensor" => |a| a.call(|x: &_| ops::tanh(x), (a.tensor(0)?,)) }
    /// Product, element by element.
    both mul { "(Operand input, Operand other) -> Tensor" => |a| a.call(|x, y| ops::mul::<'_>(x as arcgrad::graph::Operand<'_>, y as arcgrad::graph::Operand<'_>), (a.operand(0)?, a.operand(1)?)) }
}
