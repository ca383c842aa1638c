//! The thinnest whole slice: a few rows, backward and double backward.
use arcgrad::{DType, Tensor, engine, ops};

#[test]
fn product_and_tanh_differentiate_twice() {
    let x = Tensor::from_slice(&[0.5_f64, -1.0, 2.0, 0.1], &[4]).unwrap().requires_grad_(true).unwrap();
    let y = ops::tanh(&ops::mul(&x, &x).unwrap()).unwrap();
    let ones = Tensor::ones(&[4], DType::F64).unwrap();
    let root = engine::root(&y, 0, Some(&ones)).unwrap();
    let g =
        engine::grad(vec![root], &[x.clone()], engine::Options { create_graph: true, retain_graph: true })
            .unwrap();
    let g = g[0].clone().unwrap();
    let want: Vec<f64> =
        [0.5_f64, -1.0, 2.0, 0.1].iter().map(|x| (1.0 - (x * x).tanh().powi(2)) * 2.0 * x).collect();
    for (a, b) in g.to_vec::<f64>().unwrap().iter().zip(&want) {
        assert!((a - b).abs() < 1e-12);
    }
    let gg = engine::grad(
        vec![engine::root(&g, 0, Some(&ones)).unwrap()],
        &[x.clone()],
        engine::Options::default(),
    )
    .unwrap();
    let h = |x: f64| {
        let t = (x * x).tanh();
        let s = 1.0 - t * t;
        2.0 * s - 8.0 * x * x * t * s
    };
    for (a, x) in gg[0].as_ref().unwrap().to_vec::<f64>().unwrap().iter().zip([0.5_f64, -1.0, 2.0, 0.1]) {
        assert!((a - h(x)).abs() < 1e-11, "{a} {}", h(x));
    }
}

#[test]
fn a_chain_of_a_million_is_freed_on_a_small_stack() {
    std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(|| {
            let x = Tensor::from_slice(&[1.0_f32], &[1]).unwrap().requires_grad_(true).unwrap();
            let mut y = x.clone();
            for _ in 0..1_000_000 {
                y = ops::mul(&y, 1.0_f64).unwrap();
            }
            engine::backward(vec![engine::root(&y, 0, None).unwrap()], None, engine::Options::default())
                .unwrap();
            assert_eq!(x.grad().unwrap().to_vec::<f32>().unwrap(), [1.0]);
        })
        .unwrap()
        .join()
        .unwrap();
}
