//! The whole idea in a page: a graph grows as operations run, and one walk back through it gives every derivative.

use arcgrad::{Result, Tensor, engine, no_grad};

fn main() -> Result<()> {
    // A leaf is a tensor that asks for its gradient.
    let x = Tensor::from_slice(&[0.5_f64, 1.0, 1.5], &[3])?.requires_grad_(true)?;

    // Operations on it are recorded as they run: `y` owns the node that made it, and that node the ones before.
    let y = x.mul(&x)?.tanh()?;
    println!("y = {:?}", y.to_vec::<f64>()?);
    println!("made by {}", y.grad_fn().map(|node| node.name().to_owned()).unwrap_or_default());

    // The walk back leaves dy/dx in the leaf. A tensor of several elements needs to be told the gradient to start with.
    let ones = Tensor::ones(&[3], y.dtype())?;
    y.backward_from(&ones)?;
    let slope = x.grad().map(|g| g.to_vec::<f64>()).transpose()?.unwrap_or_default();
    println!("dy/dx = {slope:?}");
    for (x, slope) in [0.5_f64, 1.0, 1.5].iter().zip(&slope) {
        let expected = (1.0 - (x * x).tanh().powi(2)) * 2.0 * x;
        assert!((slope - expected).abs() < 1e-12);
    }

    // Derivatives are made of the same operations, so that they can be differentiated in turn.
    let y = &x * &x * &x;
    let keep = engine::Options { retain_graph: true, create_graph: true, ..Default::default() };
    let first = engine::grad(vec![engine::root(&y, 0, Some(&ones))?], std::slice::from_ref(&x), keep)?;
    let first = first.into_iter().flatten().next().unwrap_or_else(|| ones.clone());
    let second = engine::grad(
        vec![engine::root(&first, 0, Some(&ones))?],
        std::slice::from_ref(&x),
        engine::Options::default(),
    )?;
    println!(
        "d3(x^3): {:?}, then {:?}",
        first.to_vec::<f64>()?,
        second[0].as_ref().map(arcgrad::Tensor::to_vec::<f64>)
    );

    // Under a guard nothing is recorded, and nothing is kept.
    let _guard = no_grad();
    assert!(!x.exp()?.requires_grad());
    Ok(())
}
