//! From the scalar products with the output matrix to the probability of a label.
//!
//! fastText reports exp(log(p + 1e-5)): scores are 1e-5 too high, and a certain label has 1.00001. Kept, since filters'
//! thresholds were chosen on such scores.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::matrix::Matrix;
use super::tree::Tree;

/// How a model was trained, so how its scores are read.
#[derive(Debug)]
pub(super) enum Loss {
    /// Hierarchical softmax.
    Tree(Tree),
    Softmax,
    /// One-vs-all and negative sampling: each label by itself, through fastText's table of the sigmoid.
    Sigmoid(Vec<f32>),
}

/// The logarithm of fastText's scores, computed in double precision and kept in single.
#[inline]
pub(super) fn log(probability: f32) -> f32 {
    (f64::from(probability) + 1e-5).ln() as f32
}

/// Samples of the sigmoid between -8 and 8. A score moves in steps of up to 1/128 between them.
pub(super) fn sigmoid_table() -> Vec<f32> {
    (0..=512u16)
        .map(|i| {
            let x = f32::from(i * 16) / 512.0 - 8.0;
            (1.0 / (1.0 + f64::from((-x).exp()))) as f32
        })
        .collect()
}

fn sigmoid(table: &[f32], x: f32) -> f32 {
    if x < -8.0 {
        0.0
    } else if x > 8.0 {
        1.0
    } else {
        let at = (x + 8.0) * 512.0 / 8.0 / 2.0;
        table.get(at as usize).copied().unwrap_or(1.0)
    }
}

impl Loss {
    /// Fills `best` with the labels of the text whose average row is `hidden`.
    pub fn predict(&self, output: &Matrix, hidden: &[f32], best: &mut Best, probabilities: &mut Vec<f32>) {
        if let Loss::Tree(tree) = self {
            return tree.predict(output, hidden, best);
        }
        self.probabilities(output, hidden, probabilities);
        for (label, &p) in probabilities.iter().enumerate() {
            if p >= best.threshold {
                best.offer(log(p), label as u32);
            }
        }
    }

    /// Scores of `labels`, each what `predict` with all labels and no threshold gives it, none where it gives none.
    pub fn scores(
        &self,
        output: &Matrix,
        hidden: &[f32],
        labels: &[u32],
        probabilities: &mut Vec<f32>,
        scores: &mut Vec<Option<f32>>,
    ) {
        scores.clear();
        match self {
            Loss::Tree(tree) => scores.extend(labels.iter().map(|&l| tree.score(output, hidden, l).map(f32::exp))),
            Loss::Softmax => {
                self.probabilities(output, hidden, probabilities);
                scores.extend(labels.iter().map(|&l| probabilities.get(l as usize).map(|&p| log(p).exp())));
            }
            Loss::Sigmoid(table) => {
                scores.extend(labels.iter().map(|&l| Some(log(sigmoid(table, output.dot(l, hidden))).exp())));
            }
        }
    }

    fn probabilities(&self, output: &Matrix, hidden: &[f32], out: &mut Vec<f32>) {
        out.clear();
        out.extend((0..output.rows()).map(|row| output.dot(row as u32, hidden)));
        match self {
            Loss::Sigmoid(table) => out.iter_mut().for_each(|x| *x = sigmoid(table, *x)),
            Loss::Softmax | Loss::Tree(_) => {
                let max = out.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for x in out.iter_mut() {
                    *x = (*x - max).exp();
                    sum += *x;
                }
                out.iter_mut().for_each(|x| *x /= sum);
            }
        }
    }
}

/// A label with the logarithm of its score; among equal scores the label offered last is the better one, which is the
/// one that fastText returns for k = 1.
#[derive(Debug, PartialEq)]
struct Candidate {
    log: f32,
    turn: usize,
    label: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.log.total_cmp(&other.log).then(self.turn.cmp(&other.turn))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The k best labels so far, of those over a threshold.
#[derive(Debug, Default)]
pub(super) struct Best {
    heap: BinaryHeap<Reverse<Candidate>>,
    k: usize,
    turns: usize,
    /// A label of a lower probability is left out.
    pub threshold: f32,
}

impl Best {
    pub fn reset(&mut self, k: usize, threshold: f32) {
        self.heap.clear();
        self.k = k;
        self.turns = 0;
        self.threshold = threshold;
    }

    /// Whether a label of this score would be among the best.
    #[inline]
    pub fn wants(&self, log: f32) -> bool {
        self.heap.len() < self.k || self.heap.peek().is_some_and(|worst| log >= worst.0.log)
    }

    #[inline]
    pub fn offer(&mut self, log: f32, label: u32) {
        if self.wants(log) {
            if self.heap.len() >= self.k {
                self.heap.pop();
            }
            self.heap.push(Reverse(Candidate { log, turn: self.turns, label }));
        }
        self.turns += 1;
    }

    /// Appends (label, score), best first, and empties itself.
    pub fn drain(&mut self, out: &mut Vec<(u32, f32)>) {
        let start = out.len();
        while let Some(Reverse(worst)) = self.heap.pop() {
            out.push((worst.label, worst.log.exp()));
        }
        if let Some(added) = out.get_mut(start..) {
            added.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_keeps_k_and_breaks_ties_by_the_last() {
        let mut best = Best::default();
        let mut out = Vec::new();
        best.reset(3, 0.0);
        for (label, p) in [0.1f32, 0.3, 0.1, 0.05, 0.1].iter().enumerate() {
            best.offer(p.ln(), label as u32);
        }
        best.drain(&mut out);
        assert_eq!(out.iter().map(|x| x.0).collect::<Vec<_>>(), [1, 4, 2]);
    }

    #[test]
    fn the_sigmoid_saturates_and_steps() {
        let table = sigmoid_table();
        let at = |x| sigmoid(&table, x);
        assert_eq!([at(-8.1), at(0.0), at(0.03), at(8.1)], [0.0, 0.5, 0.5, 1.0]);
        assert!(at(8.0) < 1.0 && at(0.04) > 0.5);
    }
}
