//! Sequences of tokens that repeat.

/// Tokens `start..end`, the last `times` repetitions of one period or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub start: usize,
    pub end: usize,
    pub times: usize,
}

/// The longest stretches in which each token equals the one `period` before it, for each period up to `longest`, if they
/// hold three periods at least: by period, then from left to right. `longest` comparisons a token.
pub fn sequences(ids: &[u32], longest: usize) -> Vec<Sequence> {
    let mut found = Vec::new();
    for period in 1..=longest.min(ids.len() / 3) {
        let mut start = 0;
        let mut close = |start: usize, end: usize| {
            if end - start >= 2 * period {
                found.push(Sequence { start, end: end + period, times: (end - start) / period + 1 });
            }
        };
        let pairs = ids.iter().zip(&ids[period..]);
        for (at, _) in pairs.enumerate().filter(|(_, (token, again))| token != again) {
            close(start, at);
            start = at + 1;
        }
        close(start, ids.len() - period);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ids: &[u32], longest: usize) -> Vec<(usize, usize, usize)> {
        sequences(ids, longest).iter().map(|s| (s.start, s.end, s.times)).collect()
    }

    #[test]
    fn three_times_by_period_and_partly_at_the_end() {
        assert_eq!(found(&[], 13), []);
        assert_eq!(found(&[5, 5, 5], 13), [(0, 3, 3)]);
        assert_eq!(found(&[1, 5, 5, 5, 5, 5, 5, 2], 13), [(1, 7, 6), (1, 7, 3)]);
        assert_eq!(found(&[9, 1, 2, 1, 2, 1, 2, 1, 3], 13), [(1, 8, 3)]);
        assert_eq!(found(&[1, 2, 1, 2, 1, 9], 13), []);
        assert_eq!(found(&[1, 2, 3, 1, 2, 3, 1, 2, 3], 2), []);
    }
}
