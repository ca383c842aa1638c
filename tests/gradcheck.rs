//! Every derivative of the registry against finite differences: first and second order, and forward mode.

use arcgrad::graph::{Backward, Batched, record};
use arcgrad::ops::{self, registry};
use arcgrad::{Result, Tensor, gradcheck};
use smallvec::smallvec;

#[test]
fn every_row_agrees_with_finite_differences() {
    let wrong: Vec<String> = registry::rows()
        .filter(|row| !row.derivatives.is_empty())
        .flat_map(|row| (0..3).filter_map(move |seed| registry::check_row(row, seed).err()))
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_block_agrees_with_finite_differences() {
    let wrong: Vec<String> = registry::BLOCKS
        .iter()
        .copied()
        .flatten()
        .flat_map(|check| (0..2).filter_map(move |seed| gradcheck::run(check, seed).err()))
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

mod wrong {
    arcgrad::rows! {
        table WRONG;

        /// A sine whose derivative has the wrong sign.
        real backwards_sine(x) -> y = x.sin(), { dx(g, x) = -g * x.cos() };
    }
}

#[test]
fn a_derivative_with_the_wrong_sign_fails_by_the_name_of_its_op() {
    let error = registry::check_row(&wrong::backwards_sine::ROW, 0).unwrap_err().to_string();
    assert!(error.contains("gradient check of backwards_sine failed: gradient of input 0"), "{error}");
}

#[test]
fn a_derivative_that_takes_no_batch_but_says_so_fails() {
    let mut sampler = gradcheck::Sampler::new(0);
    let x = sampler.normal(&[3]).unwrap();
    let turned = |x: &[Tensor]| -> Result<Vec<Tensor>> {
        let y = ops::flip(&x[0].detach(), &[0])?.array();
        // The first axis of a batch is not the first axis of a member.
        let turn = |cx: &Backward<'_>| Ok(smallvec![cx.grad(0).map(|g| ops::flip(g, &[0])).transpose()?]);
        Ok(vec![record(Batched("Turned"), &[&x[0]], y, &[], turn, |cx| {
            ops::flip(&cx.tangent(0).unwrap(), &[0])
        })?])
    };
    let error = gradcheck::run_with("turned", vec![x], &turned, 2, &mut sampler).unwrap_err().to_string();
    assert!(
        error.contains("gradient check of turned failed: member 0 of the batch of gradients of input 0"),
        "{error}"
    );
}

#[test]
fn a_function_of_ones_own_is_checked_too() {
    let mut sampler = gradcheck::Sampler::new(0);
    let x = sampler.normal(&[3]).unwrap();
    let square = |x: &[Tensor]| -> Result<Vec<Tensor>> { Ok(vec![arcgrad::ops::mul(&x[0], &x[0])?]) };
    gradcheck::run_with("square", vec![x], &square, 2, &mut sampler).unwrap();
}
