//! Facts of matrix products: the right sums for any strides, and the same bits for any number of threads.

use arcgrad::array::kernels::product::{Matrix, MatrixMut, gemm};

#[test]
fn small_and_large_products_are_right() {
    for &(m, n, k) in &[
        (1, 1, 1),
        (4, 4, 4),
        (8, 8, 8),
        (33, 47, 300),
        (100, 65, 513),
        (1, 50, 40),
        (50, 1, 40),
        (1000, 1, 1000),
        (1, 300, 700),
    ] {
        for ta in [false, true] {
            for tb in [false, true] {
                let a: Vec<f32> = (0..m * k).map(|i| ((i * 7919) % 23) as f32 - 11.0).collect();
                let b: Vec<f32> = (0..n * k).map(|i| ((i * 104_729) % 19) as f32 - 9.0).collect();
                let mut c = vec![f32::NAN; m * n];
                let (ar, ac) = if ta { (1, m as isize) } else { (k as isize, 1) };
                let (br, bc) = if tb { (1, k as isize) } else { (n as isize, 1) };
                gemm(
                    m,
                    n,
                    k,
                    1.0,
                    Matrix::new(&a, 0, ar, ac),
                    Matrix::new(&b, 0, br, bc),
                    0.0,
                    MatrixMut::new(&mut c, 0, n as isize, 1),
                    2,
                );
                for i in 0..m {
                    for j in 0..n {
                        let s: f32 = (0..k)
                            .map(|p| {
                                a[(i as isize * ar + p as isize * ac) as usize]
                                    * b[(p as isize * br + j as isize * bc) as usize]
                            })
                            .sum();
                        assert_eq!(c[i * n + j], s, "{m} {n} {k} {ta} {tb} at {i} {j}");
                    }
                }
            }
        }
    }
}
