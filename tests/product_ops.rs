//! Facts of products as operations: the sums they are, the shapes they refuse, and what they keep.

use arcgrad::{DType, Result, Scalar, Tensor, engine, ops};
use proptest::prelude::*;

/// Whole numbers, the same on every run: their products are exact, so sums can be compared without a tolerance.
fn whole(shape: &[usize], seed: usize) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f64> = (0..count).map(|i| ((i * 7 + seed * 13) % 11) as f64 - 5.0).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    x.to_vec::<f64>().unwrap()
}

/// The element of a broadcast batch of matrices.
fn at(x: &Tensor, batch: &[usize], i: usize, j: usize) -> f64 {
    let shape = x.shape();
    let own = shape.len() - 2;
    let mut place = 0;
    for axis in 0..own {
        let index = batch[batch.len() - own + axis];
        place = place * shape[axis] + if shape[axis] == 1 { 0 } else { index };
    }
    values(x)[(place * shape[own] + i) * shape[own + 1] + j]
}

/// matmul of at least matrices, by its definition.
fn naive(a: &Tensor, b: &Tensor, batch: &[usize]) -> Vec<f64> {
    let (x, z) = (a.shape(), b.shape());
    let (m, k, n) = (x[x.len() - 2], x[x.len() - 1], z[z.len() - 1]);
    let mut y = Vec::new();
    for flat in 0..batch.iter().product::<usize>() {
        let mut index = vec![0; batch.len()];
        let mut rest = flat;
        for axis in (0..batch.len()).rev() {
            index[axis] = rest % batch[axis];
            rest /= batch[axis];
        }
        for i in 0..m {
            for j in 0..n {
                y.push((0..k).map(|l| at(a, &index, i, l) * at(b, &index, l, j)).sum());
            }
        }
    }
    y
}

fn message(result: Result<Tensor>) -> String {
    result.unwrap_err().to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn matmul_broadcasts_its_batches(
        batch in prop::collection::vec(1_usize..4, 0..3),
        ones in prop::collection::vec(0_u8..3, 3),
        cut in 0_usize..3,
        m in 0_usize..5, k in 0_usize..5, n in 0_usize..5,
        transposed in any::<bool>(),
    ) {
        // Each axis of the batch is 1 in at most one factor; the second factor may lack leading axes.
        let left: Vec<usize> = batch.iter().zip(&ones).map(|(&b, &o)| if o == 1 { 1 } else { b }).collect();
        let right: Vec<usize> = batch.iter().zip(&ones).map(|(&b, &o)| if o == 2 { 1 } else { b }).collect();
        let cut = cut.min(batch.len());
        let whole_batch: Vec<usize> = (0..batch.len()).map(|i| if i < cut { left[i] } else { left[i].max(right[i]) }).collect();
        let a = whole(&[&left[..], &[m, k]].concat(), 1);
        let b = if transposed {
            ops::transpose(&whole(&[&right[cut..], &[n, k]].concat(), 2), -1, -2).unwrap()
        } else {
            whole(&[&right[cut..], &[k, n]].concat(), 2)
        };
        let y = ops::matmul(&a, &b).unwrap();
        prop_assert_eq!(&y.shape()[..], &[&whole_batch[..], &[m, n]].concat()[..]);
        prop_assert_eq!(values(&y), naive(&a, &b, &whole_batch));
    }

    #[test]
    fn addmm_is_a_scaled_product_added(m in 1_usize..6, k in 0_usize..6, n in 1_usize..6, beta in -2_i64..3, alpha in -2_i64..3) {
        let (c, a, b) = (whole(&[n], 3), whole(&[m, k], 1), whole(&[k, n], 2));
        let y = ops::addmm(&c, &a, &b, [Scalar::Int(beta), Scalar::Int(alpha)]).unwrap();
        let product = naive(&a, &b, &[]);
        let addend = values(&c);
        for (i, y) in values(&y).into_iter().enumerate() {
            prop_assert_eq!(y, beta as f64 * addend[i % n] + alpha as f64 * product[i]);
        }
    }

    #[test]
    fn einsum_agrees_with_matmul(b in 1_usize..4, m in 1_usize..4, k in 1_usize..4, n in 1_usize..4) {
        let (x, z) = (whole(&[b, m, k], 1), whole(&[b, k, n], 2));
        let y = ops::einsum("bik,bkj->bij", &[x.clone(), z.clone()]).unwrap();
        prop_assert_eq!(values(&y), values(&ops::matmul(&x, &z).unwrap()));
        let sum = ops::einsum("...ik,...kj->", &[x, z]).unwrap();
        prop_assert_eq!(values(&sum)[0], values(&y).iter().sum::<f64>());
    }

    #[test]
    fn distances_are_norms_of_differences(m in 1_usize..5, n in 1_usize..5, k in 0_usize..20) {
        let (a, b) = (whole(&[m, k], 1), whole(&[n, k], 2));
        let (x, z) = (values(&a), values(&b));
        let one = values(&ops::cdist(&a, &b, 1.0).unwrap());
        let two = values(&ops::cdist(&a, &b, 2.0).unwrap());
        let most = values(&ops::cdist(&a, &b, f64::INFINITY).unwrap());
        for i in 0..m {
            for j in 0..n {
                let gaps: Vec<f64> = (0..k).map(|l| (x[i * k + l] - z[j * k + l]).abs()).collect();
                prop_assert_eq!(one[i * n + j], gaps.iter().sum::<f64>());
                prop_assert_eq!(two[i * n + j], gaps.iter().map(|d| d * d).sum::<f64>().sqrt());
                prop_assert_eq!(most[i * n + j], gaps.iter().copied().fold(0.0, f64::max));
            }
        }
    }
}

#[test]
fn every_dtype_but_truths_has_products() {
    for dtype in [DType::U8, DType::I8, DType::I16, DType::I32, DType::I64, DType::F32, DType::F64] {
        let a = ops::to_dtype(&Tensor::from_slice(&[1_i64, 2, 3, 4], &[2, 2]).unwrap(), dtype).unwrap();
        let y = ops::mm(&a, &a).unwrap();
        assert_eq!(y.dtype(), dtype);
        assert_eq!(y.to_vec::<i64>().unwrap(), [7, 10, 15, 22]);
    }
    let truths = Tensor::ones(&[2, 2], DType::Bool).unwrap();
    assert_eq!(message(ops::mm(&truths, &truths)), "\"addmm_impl_cpu_\" not implemented for 'Bool'");
}

#[test]
fn an_inner_extent_of_zero_gives_zeros() {
    let y = ops::mm(&whole(&[2, 0], 1), &whole(&[0, 3], 2)).unwrap();
    assert_eq!(values(&y), [0.0; 6]);
    let y = ops::bmm(&whole(&[2, 1, 0], 1), &whole(&[2, 0, 2], 2)).unwrap();
    assert_eq!(values(&y), [0.0; 4]);
}

#[test]
fn beta_zero_does_not_read_the_addend() {
    let c = Tensor::full(&[2, 2], f64::NAN, DType::F64).unwrap();
    let y = ops::addmm(&c, &whole(&[2, 3], 1), &whole(&[3, 2], 2), [Scalar::Int(0), Scalar::Int(1)]).unwrap();
    assert_eq!(values(&y), values(&ops::mm(&whole(&[2, 3], 1), &whole(&[3, 2], 2)).unwrap()));
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let (a, b) = (whole(&[2, 3], 1), whole(&[4, 5], 2));
    assert_eq!(
        message(ops::mm(&a, &b)),
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5): the columns of [2, 3] must be as many as the rows of [4, 5]"
    );
    assert_eq!(
        message(ops::linear(&a, &b, None)),
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4): the columns of [2, 3] must be as many as the rows of [5, 4]"
    );
    assert_eq!(message(ops::mv(&a, &whole(&[4], 1))), "size mismatch, got input (2), mat (2x3), vec (4)");
    let error = message(ops::dot(&whole(&[3], 1), &whole(&[4], 2)));
    assert!(
        error
            .starts_with("inconsistent tensor size, expected tensor [3] and src [4] to have the same number"),
        "{error}"
    );
    let error = message(ops::bmm(&whole(&[2, 3, 4], 1), &whole(&[2, 3, 4], 2)));
    assert!(
        error.starts_with(
            "Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [2, 3]."
        ),
        "{error}"
    );
    let error = message(ops::matmul(&whole(&[2, 3, 4], 1), &whole(&[3, 4, 5], 2)));
    assert!(
        error.starts_with(
            "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0"
        ),
        "{error}"
    );
    let error = message(ops::einsum("ij,jk->ik", &[a.clone(), b]));
    assert!(
        error.starts_with("einsum(): subscript j has size 4 for operand 1 which does not broadcast"),
        "{error}"
    );
    let float = ops::to_dtype(&whole(&[3, 2], 1), DType::F32).unwrap();
    let error = message(ops::mm(&a, &float));
    assert!(
        error.starts_with("expected m1 and m2 to have the same dtype, but got: double != float"),
        "{error}"
    );
}

#[test]
fn a_factor_is_kept_only_if_the_other_one_wants_a_gradient() {
    let x = whole(&[2, 3], 1);
    let w = whole(&[3, 4], 2).requires_grad_(true).unwrap();
    let y = ops::mm(&x, &w).unwrap();
    // Only `x` is needed for the gradient of `w`: writing to `w` is no matter.
    {
        let _guard = arcgrad::graph::mode::no_grad();
        ops::zero_(&w).unwrap();
    }
    let g = Tensor::ones(&[2, 4], DType::F64).unwrap();
    let grads = engine::grad(
        vec![engine::root(&y, 0, Some(&g)).unwrap()],
        std::slice::from_ref(&w),
        engine::Options::default(),
    )
    .unwrap();
    let expected = ops::mm(&ops::t(&x).unwrap(), &g).unwrap();
    assert_eq!(values(grads[0].as_ref().unwrap()), values(&expected));
}

#[test]
fn a_chain_is_multiplied_in_the_cheapest_order() {
    // From the left this makes a 300 by 300 matrix, from the right only rows and columns.
    let (a, b, c) = (whole(&[300, 1], 1), whole(&[1, 300], 2), whole(&[300, 1], 3));
    let y = ops::multi_dot(&[a.clone().requires_grad_(true).unwrap(), b.clone(), c.clone()]).unwrap();
    let by_hand = ops::mm(&a, &ops::mm(&b, &c).unwrap()).unwrap();
    assert_eq!(values(&y), values(&by_hand));
    // The first factor's product is the last one made: its node's gradient edge is the leaf's.
    let node = y.grad_fn().unwrap();
    assert_eq!(node.name(), "MmBackward0");
    assert_eq!(node.edges()[0].as_ref().unwrap().node.name(), "torch::autograd::AccumulateGrad");
}

#[test]
fn a_power_is_that_many_products() {
    let x = whole(&[2, 3, 3], 4);
    let mut y = x.clone();
    for n in 2..8 {
        y = ops::matmul(&y, &x).unwrap();
        assert_eq!(values(&ops::matrix_power(&x, n).unwrap()), values(&y), "power {n}");
    }
    let identity = values(&ops::matrix_power(&x, 0).unwrap());
    assert_eq!(identity, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0].repeat(2));
}

#[test]
fn an_inverse_undoes_its_matrix() {
    let x = Tensor::from_slice(&[0.0_f64, 2.0, 0.0, 4.0, 0.0, 0.0, 1.0, 0.0, 0.5], &[3, 3]).unwrap();
    let y = ops::mm(&ops::inverse(&x).unwrap(), &x).unwrap();
    assert_eq!(values(&y), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let singular = Tensor::from_slice(&[1.0_f64, 2.0, 2.0, 4.0], &[2, 2]).unwrap();
    assert!(message(ops::inverse(&singular)).contains("The diagonal element 2 is zero"));
}
