//! Operands, drawn from one stream.

use arcgrad::Tensor;
use arcgrad::array::random::Generator;

/// A stream of random numbers.
pub struct Draw(Generator);

impl Draw {
    /// The stream that every benchmark starts with.
    pub fn new() -> Self {
        Self(Generator::new(0))
    }

    /// Standard normal numbers times `scale`, in `f32`.
    pub fn normal(&mut self, shape: &[usize], scale: f64) -> Tensor {
        let mut values = vec![0.0_f32; shape.iter().product()];
        self.0.normal(&mut values, 0.0, scale).expect("normal numbers");
        Tensor::from_slice(&values, shape).expect("as many numbers as the shape has places")
    }

    /// The same as a leaf that asks for its gradient.
    pub fn leaf(&mut self, shape: &[usize], scale: f64) -> Tensor {
        self.normal(shape, scale).requires_grad_(true).expect("a leaf")
    }
}
