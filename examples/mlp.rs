//! A small network learns the exclusive or, from Rust alone.

use arcgrad::array::random::Generator;
use arcgrad::{DType, Result, Tensor, no_grad, ops};

/// Numbers around zero, as a leaf that wants its gradient.
fn weights(stream: &mut Generator, shape: &[usize]) -> Result<Tensor> {
    let mut values = vec![0.0_f32; shape.iter().product()];
    stream.normal(&mut values, 0.0, 0.8).map_err(|e| arcgrad::Error::value(e.to_string()))?;
    Tensor::from_slice(&values, shape)?.requires_grad_(true)
}

fn main() -> Result<()> {
    let x = Tensor::from_slice(&[0.0_f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], &[4, 2])?;
    let wanted = Tensor::from_slice(&[0.0_f32, 1.0, 1.0, 0.0], &[4, 1])?;

    let mut stream = Generator::new(1);
    let first = weights(&mut stream, &[2, 8])?;
    let first_bias = Tensor::zeros(&[8], DType::F32)?.requires_grad_(true)?;
    let second = weights(&mut stream, &[8, 1])?;
    let parameters = [first, first_bias, second];

    let mut loss = f64::INFINITY;
    for step in 0..2000 {
        let [first, first_bias, second] = &parameters;
        let hidden = ops::matmul(&x, first)?.add(first_bias)?.tanh()?;
        let guess = ops::matmul(&hidden, second)?;
        let difference = guess.sub(&wanted)?;
        let error = ops::mean(&difference.mul(&difference)?, None, false, None)?;
        error.backward()?;
        loss = error.item()?.to_f64();
        if step % 500 == 0 {
            println!("step {step:4}: loss {loss:.5}");
        }
        // The update is not part of any graph.
        let _guard = no_grad();
        for parameter in &parameters {
            if let Some(slope) = parameter.grad() {
                ops::copy_(parameter, &parameter.sub(&slope.mul(0.1)?)?)?;
            }
            parameter.set_grad(None);
        }
    }
    println!("loss at the end: {loss:.6}");
    assert!(loss < 1e-2, "it did not learn");
    Ok(())
}
