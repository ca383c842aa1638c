//! What is noted while somebody watches, told by a witness that counts. One process-wide switch: the tests take turns.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arcgrad::engine::{self, Options};
use arcgrad::graph::{self, Range};
use arcgrad::ops::{self, Place};
use arcgrad::watch::{self, Named, Origin, Watch, Witness};
use arcgrad::{DType, Tensor, no_grad};

static TURN: Mutex<()> = Mutex::new(());

/// The number of the next place that the witness tells.
static NEXT: AtomicU32 = AtomicU32::new(1);
/// The nodes that the witness heard of.
static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Numbered(u32);

impl Origin for Numbered {
    fn line(&self) -> String {
        format!("place {}", self.0)
    }
    fn trace(&self) -> String {
        self.line()
    }
}

struct Counter;

impl Witness for Counter {
    fn here(&self) -> Option<Arc<dyn Origin>> {
        Some(Arc::new(Numbered(NEXT.fetch_add(1, Ordering::SeqCst))))
    }
    fn failed(&self, nodes: &[Named]) {
        HEARD.lock().unwrap().extend(nodes.iter().map(|(name, _)| name.clone()));
    }
    fn advice(&self) -> &'static str {
        "ask the witness"
    }
}

/// Waits for the other tests; places count from one again.
fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    watch::set_witness(Box::new(Counter));
    NEXT.store(1, Ordering::SeqCst);
    HEARD.lock().unwrap().clear();
    turn
}

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, &[values.len()]).unwrap().requires_grad_(true).unwrap()
}

fn message(result: arcgrad::Result<()>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_node_knows_its_place() {
    let _turn = turn();
    assert!(leaf(&[1.0]).exp().unwrap().grad_fn().unwrap().origin().is_none());
    let _guard = watch::enter(Watch { origins: true, ..watch::get() });
    let x = leaf(&[1.0]);
    let (y, z) = (x.exp().unwrap(), x.exp().unwrap());
    let line = |x: &Tensor| x.grad_fn().unwrap().origin().unwrap().line();
    assert_eq!((line(&y), line(&z)), ("place 1".to_owned(), "place 2".to_owned()));
}

#[test]
fn an_overwritten_value_is_told_with_both_lines() {
    let _turn = turn();
    let _guard = watch::enter(Watch { origins: true, ..watch::get() });
    let y = leaf(&[1.0]).exp().unwrap();
    {
        let _guard = no_grad();
        ops::negative(&y, Place::First).unwrap();
    }
    let message = message(y.backward());
    let story = "It was saved by ExpBackward0 (place 1) and overwritten by neg_ (place 2).";
    assert!(message.contains(story), "{message}");
    assert!(!message.contains("ask the witness"), "{message}");
}

#[test]
fn without_lines_the_message_says_how_to_have_them() {
    let _turn = turn();
    let y = leaf(&[1.0]).exp().unwrap();
    y.backward().unwrap();
    let message = message(y.backward());
    assert!(message.contains("ask the witness"), "{message}");
}

#[test]
fn a_pass_fails_at_the_first_nan() {
    let _turn = turn();
    let _guard = watch::enter(Watch { anomalies: true, ..watch::get() });
    let y = leaf(&[0.0]).sqrt().unwrap().mul(0.0).unwrap();
    let message = message(y.backward());
    assert_eq!(message, "Function 'SqrtBackward0' returned nan values in its 0th output.");
    assert_eq!(*HEARD.lock().unwrap(), ["SqrtBackward0"]);
}

#[test]
fn the_first_nonfinite_value_is_found_with_its_inputs_ranges() {
    let _turn = turn();
    let _guard = watch::enter(Watch { ranges: true, ..watch::get() });
    let y = leaf(&[2.0, -1.0]).mul(3.0).unwrap().log().unwrap().exp().unwrap();
    let loss = ops::sum(&y, None, false, None).unwrap();
    let found = graph::first_nonfinite(&loss).unwrap();
    assert_eq!((found.node.name(), &found.index[..]), ("LogBackward0", &[1][..]));
    assert_eq!(found.inputs, [Some(Range { least: -3.0, greatest: 6.0, nonfinite: None })]);
    assert!(found.suspects.is_empty());
}

#[test]
fn living_nodes_are_counted_until_they_go() {
    let _turn = turn();
    let guard = watch::enter(Watch { lives: true, ..watch::get() });
    let mark = graph::mark();
    let x = Tensor::ones(&[8], DType::F32).unwrap().requires_grad_(true).unwrap();
    let ys: Vec<Tensor> = (0..5).map(|_| x.exp().unwrap()).collect();
    drop(guard);
    let unnoticed = x.exp().unwrap();
    let lives = graph::lives_since(mark);
    assert_eq!(lives.len(), 1);
    assert_eq!((&*lives[0].name, lives[0].count, lives[0].saved_bytes), ("ExpBackward0", 5, 160));
    drop((ys, unnoticed));
    assert!(graph::lives_since(mark).is_empty());
}

#[test]
fn a_recorded_gradient_knows_in_whose_derivative_it_was_made() {
    let _turn = turn();
    let _guard = watch::enter(Watch { origins: true, ..watch::get() });
    let x = leaf(&[1.0]);
    let y = x.exp().unwrap();
    let options = Options { create_graph: true, retain_graph: true, ..Default::default() };
    let root = engine::root(&y, 0, None).unwrap();
    let grads = engine::grad(vec![root], &[x], options).unwrap();
    let parent = grads[0].as_ref().unwrap().grad_fn().unwrap().parent().unwrap();
    assert!(parent.is(&y.grad_fn().unwrap()));
}
