//! The Huffman tree of hierarchical softmax, rebuilt from the counts of the labels as fastText does when it loads.

use super::loss::{log, Best};
use super::matrix::Matrix;

/// Stands for the count of a node that does not exist yet.
const UNBUILT: i64 = 1_000_000_000_000_000;

/// Nodes `0..labels` are the leaves, the others inner nodes, the last one the root.
#[derive(Debug)]
pub(super) struct Tree {
    labels: usize,
    /// Children of the inner nodes, node `labels` first.
    children: Vec<(u32, u32)>,
    /// (parent, whether it is its right child) of each node but the root.
    parents: Vec<(u32, bool)>,
}

impl Tree {
    /// Joins the two rarest nodes until one is left; leaves from the last label (the rarest) on.
    ///
    /// The error says what is wrong with `counts`: they must be positive and below 1e15 together, or the tree would
    /// not be one.
    pub fn new(counts: &[i64]) -> Result<Self, String> {
        let total = counts.iter().try_fold(0i64, |sum, &c| sum.checked_add(c).filter(|_| c >= 0));
        if counts.is_empty() || total.is_none_or(|t| t >= UNBUILT) {
            return Err(format!("expected label counts of 0 and more with a sum below {UNBUILT}, found sum {total:?}"));
        }
        let labels = counts.len();
        let mut made: Vec<i64> = Vec::with_capacity(labels);
        let mut children = Vec::with_capacity(labels);
        let mut parents = vec![(0, false); (2 * labels).saturating_sub(2)];
        let (mut leaf, mut inner) = (labels, 0);
        for parent in labels..2 * labels - 1 {
            let mut pick = || {
                let of_leaf = leaf.checked_sub(1).and_then(|l| counts.get(l)).copied();
                let of_inner = made.get(inner).copied().unwrap_or(UNBUILT);
                match of_leaf {
                    Some(count) if count < of_inner => {
                        leaf -= 1;
                        (leaf, count)
                    }
                    _ => {
                        inner += 1;
                        (labels + inner - 1, of_inner)
                    }
                }
            };
            let ((left, left_count), (right, right_count)) = (pick(), pick());
            for (child, is_right) in [(left, false), (right, true)] {
                if let Some(entry) = parents.get_mut(child) {
                    *entry = (parent as u32, is_right);
                }
            }
            children.push((left as u32, right as u32));
            made.push(left_count.saturating_add(right_count));
        }
        Ok(Tree { labels, children, parents })
    }

    /// (log score of going left, of going right) at an inner node, whose row of `output` is `row`.
    #[inline]
    fn turn(output: &Matrix, hidden: &[f32], row: u32) -> (f32, f32) {
        let dot = output.dot(row, hidden);
        let right = (1.0 / (1.0 + f64::from((-dot).exp()))) as f32;
        let left = (1.0 - f64::from(right)) as f32;
        (log(left), log(right))
    }

    /// Walks the tree depth first, left before right, past no node whose score is below the threshold or not among the
    /// k best: what is below it is no better, up to 1e-5.
    pub fn predict(&self, output: &Matrix, hidden: &[f32], best: &mut Best) {
        let floor = log(best.threshold);
        let mut stack = vec![(self.root(), 0.0f32)];
        while let Some((node, score)) = stack.pop() {
            if score < floor || !best.wants(score) {
                continue;
            }
            let inner = (node as usize).checked_sub(self.labels);
            match inner.and_then(|row| Some((row, self.children.get(row)?))) {
                Some((row, &(left, right))) => {
                    let (to_left, to_right) = Self::turn(output, hidden, row as u32);
                    stack.push((right, score + to_right));
                    stack.push((left, score + to_left));
                }
                None => best.offer(score, node),
            }
        }
    }

    /// The log score of one label: the path to it only. None where `predict` without a threshold would not get there.
    pub fn score(&self, output: &Matrix, hidden: &[f32], label: u32) -> Option<f32> {
        let mut path = Vec::new();
        let mut node = label;
        while let Some(&(parent, is_right)) = self.parents.get(node as usize) {
            path.push((parent - self.labels as u32, is_right));
            node = parent;
        }
        let floor = log(0.0);
        path.iter().rev().try_fold(0.0f32, |score, &(row, is_right)| {
            let (to_left, to_right) = Self::turn(output, hidden, row);
            let score = score + if is_right { to_right } else { to_left };
            (score >= floor).then_some(score)
        })
    }

    fn root(&self) -> u32 {
        (2 * self.labels - 2) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_are_joined_first() {
        let tree = Tree::new(&[5, 2, 1, 1]).unwrap();
        assert_eq!(tree.children, [(3, 2), (4, 1), (5, 0)]);
        assert_eq!(tree.parents, [(6, true), (5, true), (4, true), (4, false), (5, false), (6, false)]);
    }

    #[test]
    fn a_single_label_is_its_own_tree() {
        assert_eq!(Tree::new(&[3]).unwrap().root(), 0);
    }

    #[test]
    fn counts_that_make_no_tree_are_refused() {
        let error = Tree::new(&[UNBUILT, 1]).unwrap_err();
        assert!(
            error.starts_with("expected label counts of 0 and more with a sum below 1000000000000000, found sum Some")
        );
        assert!(Tree::new(&[3, -1]).is_err() && Tree::new(&[i64::MAX, i64::MAX]).is_err());
    }
}
