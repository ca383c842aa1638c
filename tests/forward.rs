//! Forward mode from Rust: tangents, the levels they live in, and their meetings with backward passes.

use std::sync::Arc;
use std::thread;

use arcgrad::engine::{self, Options};
use arcgrad::graph::forward::{self, Level};
use arcgrad::graph::row::apply_in_place;
use arcgrad::graph::{Backward, Context, Function, Grads};
use arcgrad::{Result, Tensor, no_grad, ops};

fn vector(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, &[values.len()]).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_vec().unwrap()
}

fn cube(x: &Tensor) -> Result<Tensor> {
    x.mul(x)?.mul(x)
}

#[test]
fn the_tangent_of_a_cube_is_three_times_the_square_times_the_direction() {
    let (x, v) = (vector(&[2.0, -1.0]), vector(&[1.0, 10.0]));
    let made = forward::jvp(|x| Ok(vec![cube(&x[0])?, x[0].detach()]), &[&x], &[&v]).unwrap();
    assert_eq!(values(&made[0].0), [8.0, -1.0]);
    assert_eq!(values(&made[0].1), [12.0, 30.0]);
    // What does not depend on the inputs has zeros.
    assert_eq!(values(&made[1].1), [0.0, 0.0]);
}

#[test]
fn tangents_end_with_their_level_wherever_they_are() {
    let x = vector(&[2.0]).requires_grad_(true).unwrap();
    let level = Level::new();
    let tangent = vector(&[1.0]).requires_grad_(true).unwrap();
    let dual = level.dual(&x, &tangent).unwrap();
    // The graph of y saves y, whose tangent has a graph that leads back to y's: a cycle until the level ends.
    let y = dual.exp().unwrap();
    let weak = y.tangent().unwrap().downgrade();
    assert!(weak.upgrade().is_some());
    drop(level);
    assert!(weak.upgrade().is_none());
    assert!(y.tangent().is_none() && dual.tangent().is_none());
    y.backward().unwrap();
    assert_eq!(values(&x.grad().unwrap()), [2.0_f64.exp()]);
}

#[test]
fn a_tangent_goes_when_its_tensor_goes_and_the_level_stays() {
    let level = Level::new();
    let dual = level.dual(&vector(&[2.0]), &vector(&[1.0])).unwrap();
    let weak = dual.mul(3.0).unwrap().tangent().unwrap().downgrade();
    assert!(weak.upgrade().is_none());
}

#[test]
fn tensors_of_two_levels_do_not_meet() {
    let (one, other) = (Level::new(), Level::new());
    let a = one.dual(&vector(&[1.0]), &vector(&[1.0])).unwrap();
    let b = other.dual(&vector(&[1.0]), &vector(&[1.0])).unwrap();
    for error in [a.mul(&b).unwrap_err(), other.dual(&a, &vector(&[1.0])).unwrap_err()] {
        let text = error.to_string();
        assert!(text.starts_with("Nested forward mode AD is not supported at the moment"), "{text}");
    }
}

#[test]
fn threads_with_levels_of_their_own_do_not_disturb_one_another() {
    let threads: Vec<_> = (0..4)
        .map(|n| {
            thread::spawn(move || {
                for _ in 0..50 {
                    let (x, v) = (vector(&[f64::from(n)]), vector(&[1.0]));
                    let made = forward::jvp(|x| Ok(vec![cube(&x[0])?]), &[&x], &[&v]).unwrap();
                    assert_eq!(values(&made[0].1), [3.0 * f64::from(n * n)]);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_backward_pass_over_duals_gives_hessian_vector_products() {
    // f = sum(x³): the Hessian is diagonal, 6 x.
    let (x, v) = (vector(&[2.0, -1.0]).requires_grad_(true).unwrap(), vector(&[1.0, 10.0]));
    let level = Level::new();
    let dual = level.dual(&x, &v).unwrap();
    let y = ops::sum(&cube(&dual).unwrap(), None, false, None).unwrap();
    let roots = vec![engine::root(&y, 0, None).unwrap()];
    let gradient = engine::grad(roots, &[dual], Options::default()).unwrap().pop().flatten().unwrap();
    assert_eq!(values(&gradient), [12.0, 3.0]);
    assert_eq!(values(&gradient.tangent().unwrap()), [12.0, -60.0]);
}

#[test]
fn a_write_through_a_view_writes_the_tangent_of_the_base() {
    let _guard = no_grad();
    let level = Level::new();
    let dual = level.dual(&vector(&[1.0, 2.0]), &vector(&[3.0, 4.0])).unwrap();
    let part = ops::narrow(&dual, 0, 1, 1).unwrap();
    apply_in_place(&ops::mul::ROW, [(&part).into(), 10.0.into()]).unwrap();
    assert_eq!(values(&dual), [1.0, 20.0]);
    assert_eq!(values(&dual.tangent().unwrap()), [3.0, 40.0]);
}

#[test]
fn tangents_of_other_shapes_and_dtypes_without_derivatives_are_refused() {
    let level = Level::new();
    let x = vector(&[1.0, 2.0]);
    let error = level.dual(&x, &vector(&[1.0])).unwrap_err().to_string();
    assert!(
        error.contains("Tensor is of size [2] while the given forward gradient is of size [1]"),
        "{error}"
    );
    let counts = Tensor::from_slice(&[1_i64, 2], &[2]).unwrap();
    assert!(level.dual(&counts, &x).is_err() && level.dual(&x, &counts).is_err());
    assert!(forward::jvp(|x| Ok(x.to_vec()), &[&x], &[]).is_err());
}

/// x to the third, its derivatives by hand.
struct Cube(Arc<str>);

impl Function for Cube {
    fn name(&self) -> &str {
        &self.0
    }
    fn forward(&self, cx: &mut Context, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        cx.save_for_backward(inputs);
        Ok(vec![cube(inputs[0])?])
    }
    fn backward(&self, cx: &Backward<'_>) -> Result<Grads> {
        let x = cx.saved(0)?;
        let slope = x.mul(&x)?.mul(3.0)?;
        Ok([cx.grad(0).map(|g| g.mul(&slope)).transpose()?].into_iter().collect())
    }
    fn jvp(&self, inputs: &[&Tensor], tangents: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let slope = inputs[0].mul(inputs[0])?.mul(3.0)?;
        Ok(vec![tangents[0].as_ref().map(|t| t.mul(&slope)).transpose()?])
    }
}

#[test]
fn a_custom_function_has_tangents_and_so_have_its_gradients() {
    let x = vector(&[2.0]).requires_grad_(true).unwrap();
    let level = Level::new();
    let dual = level.dual(&x, &vector(&[1.0])).unwrap();
    let y = Cube("CubeBackward".into()).apply(&[&dual]).unwrap().pop().unwrap();
    assert_eq!(values(&y.tangent().unwrap()), [12.0]);
    let roots = vec![engine::root(&y, 0, None).unwrap()];
    let gradient = engine::grad(roots, &[dual], Options::default()).unwrap().pop().flatten().unwrap();
    assert_eq!(values(&gradient.tangent().unwrap()), [12.0]);
}
