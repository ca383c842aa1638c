//! Facts of the backward pass, on one thread and on several.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arcgrad::array::pool;
use arcgrad::engine::{self, Host, Options, Schedule};
use arcgrad::error::Kind;
use arcgrad::graph::mode;
use arcgrad::graph::{Backward, Batched, Edge, Keep, Label, record, record_with_work};
use arcgrad::{DType, Error, Tensor, ops};
use proptest::prelude::*;
use smallvec::smallvec;

const THREADS: [usize; 5] = [1, 2, 3, 4, 8];

/// The number of threads belongs to the process: tests that set it take turns.
fn threads(n: usize) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    pool::set_num_threads(n);
    turn
}

fn on(schedule: Schedule) -> Host<'static> {
    Host { schedule, ..Host::default() }
}

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, &[values.len()]).unwrap().requires_grad_(true).unwrap()
}

fn sum(x: &Tensor) -> Tensor {
    arcgrad::graph::vector_space::sum_to(x, &[]).unwrap()
}

fn roots(outputs: &[Tensor]) -> Vec<engine::Root> {
    let ones: Vec<Tensor> = outputs.iter().map(|y| Tensor::ones(&y.shape(), y.dtype()).unwrap()).collect();
    outputs.iter().zip(&ones).enumerate().map(|(i, (y, g))| engine::root(y, i, Some(g)).unwrap()).collect()
}

fn edges(inputs: &[Tensor]) -> Vec<Edge> {
    inputs.iter().map(|x| engine::input_edge(x).unwrap()).collect()
}

fn root(y: &Tensor) -> Vec<engine::Root> {
    roots(std::slice::from_ref(y))
}

/// The identity, with this for a derivative.
fn hooked(
    x: &Tensor,
    backward: impl Fn(&Tensor) -> arcgrad::Result<Tensor> + Send + Sync + 'static,
) -> Tensor {
    record(
        "Hooked",
        &[x],
        x.array().copied().unwrap(),
        &[],
        move |cx| Ok(smallvec![cx.grad(0).map(&backward).transpose()?]),
        |_| unreachable!("no tangents here"),
    )
    .unwrap()
}

fn bits(grads: &[Option<Tensor>]) -> Vec<Option<Vec<u64>>> {
    let of = |g: &Tensor| g.to_vec::<f64>().unwrap().into_iter().map(f64::to_bits).collect();
    grads.iter().map(|g| g.as_ref().map(of)).collect()
}

/// One step of a random program: an operation and the values it takes, counted back from the newest.
type Line = (u8, usize, usize);

/// Runs a program on two leaves; the outputs are what nothing else uses, and the last value.
fn interpret(program: &[Line], leaves: &[Tensor]) -> Vec<Tensor> {
    let mut values = leaves.to_vec();
    for &(op, a, b) in program {
        let a = values[values.len() - 1 - a % values.len()].clone();
        let b = values[values.len() - 1 - b % values.len()].clone();
        values.push(
            match op % 6 {
                0 | 1 => ops::mul(&a, &b),
                2 => ops::add(&a, &b),
                3 => ops::tanh(&a),
                4 => ops::mul(&a, 1.1),
                // Broadcast: the gradient is summed on the edge.
                _ => ops::mul(&a, &sum(&b)).and_then(|y| ops::tanh(&y)),
            }
            .unwrap(),
        );
    }
    values.split_off(values.len() - 4)
}

fn first_and_second(program: &[Line], host: Host<'_>) -> Vec<Option<Vec<u64>>> {
    let leaves = [leaf(&[0.3, -0.7, 0.9, 0.11]), leaf(&[1.3, 0.2, -0.4, 0.6]), leaf(&[0.5])];
    let outputs: Vec<Tensor> =
        interpret(program, &leaves).into_iter().filter(Tensor::requires_grad).collect();
    let options = Options { retain_graph: true, create_graph: true, ..Default::default() };
    let first = host.grad(roots(&outputs), &edges(&leaves), options).unwrap();
    let kept = Options { create_graph: false, ..options };
    let recorded: Vec<Tensor> = first.iter().flatten().filter(|g| g.requires_grad()).cloned().collect();
    let second = host.grad(roots(&recorded), &edges(&leaves), kept).unwrap();
    host.backward(roots(&outputs), None, Options::default()).unwrap();
    let added: Vec<Option<Tensor>> = leaves.iter().map(Tensor::grad).collect();
    [bits(&first), bits(&second), bits(&added)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bits_do_not_depend_on_threads(
        program in prop::collection::vec((0_u8..6, 0_usize..12, 0_usize..12), 4..60)
    ) {
        let expected = first_and_second(&program, on(Schedule::Inline));
        for n in THREADS {
            let _turn = threads(n);
            prop_assert_eq!(&first_and_second(&program, on(Schedule::Parallel)), &expected, "{} threads", n);
        }
    }
}

#[test]
fn a_value_used_a_thousand_times_gets_the_same_sum_from_any_number_of_threads() {
    let grad = |schedule| {
        let x = leaf(&[0.1, 0.7]);
        let h = ops::tanh(&x).unwrap();
        let outputs: Vec<Tensor> =
            (0..1000).map(|i| ops::tanh(&ops::mul(&h, 1.0 / f64::from(i + 1)).unwrap()).unwrap()).collect();
        on(schedule).backward(roots(&outputs), None, Options::default()).unwrap();
        bits(&[x.grad()])
    };
    let expected = grad(Schedule::Inline);
    for n in THREADS {
        let _turn = threads(n);
        assert_eq!(grad(Schedule::Parallel), expected, "{n} threads");
    }
}

#[test]
fn an_error_in_a_node_reaches_the_caller_and_the_next_backward_works() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let _turn = threads(4);
        let x = leaf(&[1.0, 2.0]);
        let h = ops::mul(&x, 2.0).unwrap();
        let mut outputs: Vec<Tensor> = (0..20).map(|_| ops::tanh(&h).unwrap()).collect();
        outputs.push(hooked(&h, |_| Err(Error::value("no gradient today"))));
        let kept = Options { retain_graph: true, create_graph: false, ..Default::default() };
        let error = on(schedule).backward(roots(&outputs), None, kept).unwrap_err();
        assert_eq!(error.to_string(), "no gradient today");
        assert!(x.grad().is_none());
        outputs.pop();
        on(schedule).backward(roots(&outputs), None, Options::default()).unwrap();
        assert!(x.grad().is_some());
    }
}

#[test]
fn a_panic_in_a_node_reaches_the_caller_as_an_error_and_the_next_backward_works() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let _turn = threads(4);
        let x = leaf(&[1.0, 2.0]);
        let h = ops::mul(&x, 2.0).unwrap();
        let mut outputs: Vec<Tensor> = (0..20).map(|_| ops::tanh(&h).unwrap()).collect();
        outputs.push(hooked(&h, |_| std::panic::resume_unwind(Box::new("a broken rule"))));
        let kept = Options { retain_graph: true, create_graph: false, ..Default::default() };
        let error = on(schedule).backward(roots(&outputs), None, kept).unwrap_err();
        assert!(matches!(error.kind(), Kind::Panic { message } if message == "a broken rule"), "{error}");
        outputs.pop();
        on(schedule).backward(roots(&outputs), None, Options::default()).unwrap();
        assert!(x.grad().is_some());
    }
}

#[test]
fn a_backward_inside_a_node_works_on_any_thread() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let _turn = threads(4);
        let x = leaf(&[1.0, 2.0]);
        let outputs: Vec<Tensor> = (0..16)
            .map(|_| {
                hooked(&ops::mul(&x, 3.0).unwrap(), move |g| {
                    let _grad = arcgrad::enable_grad();
                    let z = leaf(&[0.5, 0.25]);
                    let y = ops::mul(&z, &z)?;
                    on(schedule).backward(root(&y), None, Options::default())?;
                    ops::mul(g, &z.grad().unwrap())
                })
            })
            .collect();
        on(schedule).backward(roots(&outputs), None, Options::default()).unwrap();
        assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [48.0, 24.0]);
    }
}

#[test]
fn a_pass_through_a_graph_that_another_pass_is_walking_works() {
    let x = leaf(&[2.0]);
    let y = ops::mul(&x, &x).unwrap();
    let inner = y.clone();
    let again = hooked(&y, move |g| {
        let x = inner.grad_fn().unwrap().edges()[0].clone().unwrap().node.leaf().unwrap().clone();
        let kept = Options { retain_graph: true, create_graph: false, ..Default::default() };
        let inside = engine::grad(root(&inner), &[x], kept)?;
        ops::add(g, inside[0].as_ref().unwrap())
    });
    engine::backward(root(&again), None, Options::default()).unwrap();
    // (1 + 2x) * 2x
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [20.0]);
}

#[test]
fn two_threads_that_share_a_leaf_lose_no_gradient() {
    let _turn = threads(3);
    let x = leaf(&[1.0; 64]);
    std::thread::scope(|scope| {
        for schedule in [Schedule::Inline, Schedule::Parallel, Schedule::Inline, Schedule::Parallel] {
            let x = &x;
            scope.spawn(move || {
                for _ in 0..200 {
                    let y = ops::add(&ops::mul(x, 2.0).unwrap(), &ops::mul(x, 1.0).unwrap()).unwrap();
                    on(schedule).backward(root(&y), None, Options::default()).unwrap();
                }
            });
        }
    });
    assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [2400.0; 64]);
}

#[test]
fn of_threads_that_share_a_graph_without_keeping_it_one_wins() {
    for _ in 0..50 {
        let x = leaf(&[1.5]);
        let mut y = ops::mul(&x, &x).unwrap();
        for _ in 0..20 {
            y = ops::tanh(&y).unwrap();
        }
        let won = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| match engine::backward(root(&y), None, Options::default()) {
                    Ok(()) => drop(won.fetch_add(1, Ordering::Relaxed)),
                    Err(e) => assert!(matches!(e.kind(), Kind::Freed { .. }), "{e}"),
                });
            }
        });
        assert_eq!(won.into_inner(), 1);
    }
}

#[test]
fn a_chain_of_a_million_lives_and_dies_on_a_small_stack() {
    let on_small_stack = || {
        let x = leaf(&[1.0]);
        let mut y = x.clone();
        for _ in 0..1_000_000 {
            y = ops::mul(&y, 1.0).unwrap();
        }
        engine::backward(root(&y), None, Options::default()).unwrap();
        assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [1.0]);
    };
    std::thread::Builder::new().stack_size(256 * 1024).spawn(on_small_stack).unwrap().join().unwrap();
}

#[test]
fn a_graph_goes_with_its_last_tensor() {
    let x = leaf(&[1.0, 2.0]);
    let h = ops::tanh(&x).unwrap();
    let y = ops::mul(&h, &h).unwrap();
    let nodes = [h.grad_fn().unwrap().downgrade(), y.grad_fn().unwrap().downgrade()];
    let options = Options { retain_graph: true, create_graph: true, ..Default::default() };
    let g = engine::grad(root(&y), std::slice::from_ref(&x), options).unwrap();
    let second = g[0].as_ref().unwrap().grad_fn().unwrap().downgrade();
    drop(h);
    assert!(nodes.iter().all(|n| n.upgrade().is_some()));
    drop(g);
    assert!(second.upgrade().is_none());
    drop(y);
    assert!(nodes.iter().all(|n| n.upgrade().is_none()));
}

#[test]
fn saved_values_go_as_soon_as_their_node_has_run() {
    let x = leaf(&[0.5]);
    let kept = Arc::new(());
    let held = kept.clone();
    let a = ops::mul(&x, &x).unwrap();
    let weak = record(
        "Keeps",
        &[&a],
        a.array().copied().unwrap(),
        &[Keep::Input(0)],
        move |cx| {
            let _ = &held;
            Ok(smallvec![Some(ops::mul(cx.grad(0).unwrap(), &cx.saved(0)?)?)])
        },
        |_| unreachable!(),
    )
    .unwrap();
    engine::backward(root(&weak), None, Options::default()).unwrap();
    let error = engine::backward(root(&weak), None, Options::default()).unwrap_err();
    assert!(error.to_string().starts_with("Trying to backward through the graph a second time"), "{error}");
    drop(weak);
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn a_leaf_takes_its_gradient_before_older_nodes_run() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let _turn = threads(1);
        let (x, w) = (leaf(&[2.0]), leaf(&[3.0]));
        let seen = Arc::new(AtomicUsize::new(0));
        let (watched, counted) = (w.clone(), seen.clone());
        let h = hooked(&x, move |g| {
            counted.store(usize::from(watched.grad().is_some()), Ordering::Relaxed);
            Ok(g.clone())
        });
        let y = ops::mul(&h, &w).unwrap();
        on(schedule).backward(root(&y), None, Options::default()).unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn only_what_leads_to_an_input_runs() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let (x, w) = (leaf(&[2.0]), leaf(&[3.0]));
        let off = hooked(&w, |_| Err(Error::runtime("this leads nowhere")));
        let y = ops::mul(&x, &off).unwrap();
        let kept = Options { retain_graph: true, create_graph: false, ..Default::default() };
        let g = on(schedule).grad(root(&y), &edges(std::slice::from_ref(&x)), kept).unwrap();
        assert_eq!(g[0].as_ref().unwrap().to_vec::<f64>().unwrap(), [3.0]);
        on(schedule).backward(root(&y), Some(&[engine::kept_edge(&x).unwrap()]), kept).unwrap();
        assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [3.0]);
        assert!(w.grad().is_none());
        assert!(on(schedule).backward(root(&y), None, kept).is_err());
    }
}

#[test]
fn an_inner_value_can_be_asked_for_and_can_keep_its_gradient() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let x = leaf(&[2.0]);
        let h = ops::mul(&x, 3.0).unwrap();
        let y = ops::mul(&h, &h).unwrap();
        let kept = Options { retain_graph: true, create_graph: false, ..Default::default() };
        let g = on(schedule).grad(root(&y), &edges(&[h.clone(), y.clone(), x.clone()]), kept).unwrap();
        let g: Vec<Vec<f64>> = g.iter().map(|g| g.as_ref().unwrap().to_vec().unwrap()).collect();
        assert_eq!(g, [[12.0], [1.0], [36.0]]);
        on(schedule).backward(root(&y), Some(&[engine::kept_edge(&h).unwrap()]), kept).unwrap();
        assert!(h.retains_grad() && x.grad().is_none());
        on(schedule).backward(root(&y), None, kept).unwrap();
        on(schedule).backward(root(&y), None, kept).unwrap();
        assert_eq!(h.grad().unwrap().to_vec::<f64>().unwrap(), [36.0]);
        assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), [72.0]);
    }
}

#[test]
fn nodes_run_without_recording_unless_asked_and_leave_the_mode_as_it_was() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let _turn = threads(4);
        for create_graph in [false, true] {
            let x = leaf(&[2.0]);
            let outputs: Vec<Tensor> = (0..16)
                .map(|_| {
                    hooked(&ops::mul(&x, 3.0).unwrap(), move |g| {
                        assert_eq!(mode::is_grad_enabled(), create_graph);
                        Ok(g.clone())
                    })
                })
                .collect();
            on(schedule)
                .backward(
                    roots(&outputs),
                    None,
                    Options { retain_graph: true, create_graph, ..Default::default() },
                )
                .unwrap();
            assert!(mode::is_grad_enabled());
        }
    }
}

#[test]
fn an_interrupt_stops_a_long_pass_and_leaves_gradients_whole() {
    for schedule in [Schedule::Inline, Schedule::Parallel] {
        let _turn = threads(2);
        let x = leaf(&[1.0; 64]);
        let slow = || {
            let y = x.array().copied().unwrap();
            let backward = |cx: &Backward<'_>| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                Ok(smallvec![cx.grad(0).cloned()])
            };
            record_with_work("Slow", 1 << 18, &[&x], y, &[], backward, |_| unreachable!()).unwrap()
        };
        let outputs: Vec<Tensor> = (0..64).map(|_| slow()).collect();
        let start = std::time::Instant::now();
        let stop = || start.elapsed() > std::time::Duration::from_millis(100);
        let host = Host { interrupted: Some(&stop), schedule, ..Host::default() };
        let kept = Options { retain_graph: true, create_graph: false, ..Default::default() };
        let error = host.backward(roots(&outputs), None, kept).unwrap_err();
        assert!(matches!(error.kind(), Kind::Interrupted));
        assert!(
            start.elapsed() < std::time::Duration::from_millis(400),
            "{schedule:?} {:?}",
            start.elapsed()
        );
        assert!(x.grad().is_none());
    }
}

#[test]
fn a_heavy_pass_is_detached_and_a_light_one_is_not() {
    for (elements, times) in [(8, 0), (1 << 20, 1)] {
        let x = Tensor::ones(&[elements], DType::F64).unwrap().requires_grad_(true).unwrap();
        let y = ops::mul(&x, 2.0).unwrap();
        let calls = std::cell::Cell::new(0);
        let detached = |run: &mut (dyn FnMut() + Send)| {
            calls.set(calls.get() + 1);
            run();
        };
        let host = Host { detached: Some(&detached), ..Host::default() };
        host.backward(root(&y), None, Options::default()).unwrap();
        assert_eq!(calls.get(), times);
        assert_eq!(x.grad().unwrap().to_vec::<f64>().unwrap(), vec![2.0; elements]);
    }
}

#[test]
fn branches_run_at_the_same_time_and_each_on_one_thread() {
    let _turn = threads(2);
    let x = leaf(&[1.0]);
    let started = Arc::new(AtomicUsize::new(0));
    let ran: Vec<Arc<Mutex<Vec<std::thread::ThreadId>>>> = (0..2).map(|_| Arc::default()).collect();
    let outputs: Vec<Tensor> = ran
        .iter()
        .map(|ran| {
            let mut h = x.clone();
            for k in 0..4 {
                let (ran, started) = (ran.clone(), started.clone());
                h = hooked(&h, move |g| {
                    ran.lock().unwrap().push(std::thread::current().id());
                    // The newest node of each branch waits for the other's.
                    started.fetch_add(usize::from(k == 3), Ordering::Relaxed);
                    let start = std::time::Instant::now();
                    while started.load(Ordering::Relaxed) < 2 {
                        if start.elapsed() > std::time::Duration::from_secs(20) {
                            return Err(Error::runtime("alone"));
                        }
                        std::thread::yield_now();
                    }
                    Ok(g.clone())
                });
            }
            h
        })
        .collect();
    on(Schedule::Parallel).backward(roots(&outputs), None, Options::default()).unwrap();
    let ran: Vec<Vec<_>> = ran.iter().map(|ran| ran.lock().unwrap().clone()).collect();
    assert!(
        ran.iter().all(|branch| branch.len() == 4 && branch.iter().all(|id| *id == branch[0])),
        "{ran:?}"
    );
    assert_ne!(ran[0][0], ran[1][0]);
}

/// Twice `x`, and how often its derivative is called.
fn counted<L: Label>(label: L, x: &Tensor) -> (Tensor, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let y = record(
        label,
        &[x],
        ops::mul(x, 2.0).unwrap().array(),
        &[],
        move |cx| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(smallvec![cx.grad(0).map(|g| ops::mul(g, 2.0)).transpose()?])
        },
        |_| Err(Error::runtime("no forward mode")),
    );
    (y.unwrap(), calls)
}

#[test]
fn a_batch_is_one_walk_and_goes_through_derivatives_whole_or_member_by_member() {
    let x = leaf(&[1.0, 2.0]);
    let (y, whole) = counted(Batched("Whole"), &x);
    let (z, each) = counted("Each", &y);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let seen = seen.clone();
        move |g: &Tensor| {
            seen.lock().unwrap().push(g.to_vec::<f64>().unwrap());
            ops::mul(g, 10.0).map(Some)
        }
    };
    y.register_hook(hook).unwrap();
    let batch = Tensor::from_slice(&[1.0, 0.0, 0.0, 1.0, 3.0, 4.0], &[3, 2]).unwrap();
    let root = engine::batched_root(&z, 0, &batch).unwrap();
    let options = Options { batch: NonZeroUsize::new(3), ..Options::default() };
    let answer = engine::grad(vec![root], std::slice::from_ref(&x), options).unwrap();
    let answer = answer[0].as_ref().unwrap();
    assert_eq!(answer.shape()[..], [3, 2]);
    assert_eq!(answer.to_vec::<f64>().unwrap(), [40.0, 0.0, 0.0, 40.0, 120.0, 160.0]);
    assert_eq!((whole.load(Ordering::Relaxed), each.load(Ordering::Relaxed)), (1, 3));
    assert_eq!(*seen.lock().unwrap(), [[2.0, 0.0], [0.0, 2.0], [6.0, 8.0]]);
}

#[test]
fn a_hook_that_changes_the_shape_of_one_member_of_a_batch_fails_the_pass() {
    let x = leaf(&[1.0, 2.0]);
    let y = ops::mul(&x, &x).unwrap();
    let calls = AtomicUsize::new(0);
    let hook = move |_: &Tensor| Ok((calls.fetch_add(1, Ordering::Relaxed) == 1).then(|| leaf(&[1.0])));
    y.register_hook(hook).unwrap();
    let batch = Tensor::ones(&[3, 2], DType::F64).unwrap();
    let options = Options { batch: NonZeroUsize::new(3), ..Options::default() };
    let error = engine::grad(vec![engine::batched_root(&y, 0, &batch).unwrap()], &[x], options).unwrap_err();
    assert!(error.to_string().contains("the gradients of a batch differ: number 1 has shape [1]"), "{error}");
}

#[test]
fn a_batch_is_refused_where_one_gradient_is_wanted_and_where_its_members_do_not_fit() {
    let x = leaf(&[1.0, 2.0]);
    let y = ops::mul(&x, &x).unwrap();
    let batch = Tensor::ones(&[3, 2], DType::F64).unwrap();
    let options = Options { batch: NonZeroUsize::new(3), ..Options::default() };
    let error =
        engine::backward(vec![engine::batched_root(&y, 0, &batch).unwrap()], None, options).unwrap_err();
    assert!(error.to_string().contains("a batch of gradients is for `grad`"), "{error}");
    assert!(x.grad().is_none());
    for shape in [&[2, 3][..], &[2], &[]] {
        let wrong = Tensor::ones(shape, DType::F64).unwrap();
        let error = engine::batched_root(&y, 0, &wrong).err().unwrap().to_string();
        assert!(error.contains("but a mismatch was detected: grad_output[0] has a shape of"), "{error}");
    }
}

#[test]
fn a_batch_through_a_wide_graph_has_the_same_bits_from_any_number_of_threads() {
    let run = |schedule, n| {
        let _turn = threads(n);
        let x =
            Tensor::from_slice(&(0..64).map(|i| f64::from(i).sin()).collect::<Vec<_>>(), &[8, 8]).unwrap();
        let x = x.requires_grad_(true).unwrap();
        let branches = (1..9)
            .map(|k| ops::tanh(&ops::mm(&ops::mul(&x, f64::from(k) * 0.1).unwrap(), &x).unwrap()).unwrap());
        let sum = branches.reduce(|a, b| ops::add(&a, &b).unwrap()).unwrap();
        let batch = Tensor::from_slice(&(0..320).map(|i| f64::from(i).cos()).collect::<Vec<_>>(), &[5, 8, 8])
            .unwrap();
        let root = engine::batched_root(&sum, 0, &batch).unwrap();
        let options = Options { batch: NonZeroUsize::new(5), ..Options::default() };
        let answer = on(schedule).grad(vec![root], &edges(&[x]), options).unwrap();
        answer[0].as_ref().unwrap().to_vec::<f64>().unwrap()
    };
    let expected: Vec<u64> = run(Schedule::Inline, 1).iter().map(|v| v.to_bits()).collect();
    for n in THREADS {
        let found: Vec<u64> = run(Schedule::Parallel, n).iter().map(|v| v.to_bits()).collect();
        assert_eq!(found, expected, "{n} threads");
    }
}
