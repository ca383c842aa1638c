//! What a row's text says by name, settled at compile time: which argument a name stands for, what a node is called.

use super::{OUTPUT_BIT, Takes};

impl Takes {
    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::Grad => 0,
            Self::Input(i) => 1 << i,
            Self::Output => OUTPUT_BIT,
        }
    }

    /// What a name in a derivative's list stands for.
    pub const fn named(name: &str, inputs: &[&str], output: &str) -> Self {
        if same(name, "g") {
            return Self::Grad;
        }
        if same(name, output) {
            return Self::Output;
        }
        Self::Input(input_named(name, inputs))
    }
}

/// What of a formula's arguments is kept, one bit each.
pub const fn needed(takes: &[Takes]) -> u8 {
    let (mut mask, mut i) = (0, 0);
    while i < takes.len() {
        mask |= takes[i].bit();
        i += 1;
    }
    mask
}

/// The number of an input.
pub const fn input_named(name: &str, inputs: &[&str]) -> u8 {
    let mut i = 0;
    while i < inputs.len() {
        if same(name, inputs[i]) {
            return i as u8;
        }
        i += 1;
    }
    panic!("a derivative names something that is neither g, an input, nor the output");
}

/// The input that a derivative's name (`dx`) names.
pub const fn differentiated(derivative: &str, inputs: &[&str]) -> u8 {
    let (d, name) = derivative.split_at(1);
    assert!(same(d, "d"), "a derivative is named d and its input");
    input_named(name, inputs)
}

/// String equality at compile time.
pub const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A node's name, made at compile time.
#[derive(Clone, Copy)]
pub struct NodeName {
    bytes: [u8; 56],
    len: usize,
}

impl NodeName {
    /// As given.
    pub const fn given(name: &str) -> Self {
        let mut result = Self { bytes: [0; 56], len: 0 };
        result.push(name.as_bytes());
        result
    }

    /// The op's name in camel case, with `Backward0`.
    pub const fn of_op(op: &str) -> Self {
        let mut result = Self { bytes: [0; 56], len: 0 };
        let op = op.as_bytes();
        let (mut i, mut upper) = (0, true);
        while i < op.len() {
            if op[i] == b'_' {
                upper = true;
            } else {
                result.bytes[result.len] = if upper { op[i].to_ascii_uppercase() } else { op[i] };
                result.len += 1;
                upper = false;
            }
            i += 1;
        }
        result.push(b"Backward0");
        result
    }

    const fn push(&mut self, text: &[u8]) {
        let mut i = 0;
        while i < text.len() {
            self.bytes[self.len] = text[i];
            self.len += 1;
            i += 1;
        }
    }

    /// The name.
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(name) => name,
            Err(_) => panic!("an op's name is text"),
        }
    }
}
