//! How large a blocked Bloom filter has to be: the exact rate of false positives, and its inverse.
//!
//! With n keys in B blocks of 512 bits a block holds j keys with the Poisson weight of load n / B; k probes of each throw
//! k j balls into 512 bins, of which X are then occupied. A new key is a false positive with
//!
//! ```text
//! rate(load, k) = sum over j of Poisson(j; load) * E[(X(k j) / 512)^k]
//! ```
//!
//! The textbook `(1 - exp(-k n / m))^k` takes both j and X for their means and promises, at one in a million, a tenth of
//! what a blocked filter delivers. Only + - * / are used, so that a plan is the same on every machine.

use crate::{Error, Result};

use super::BLOCK_BITS;

pub const MAX_PROBES: u32 = 32;
/// A block in which this many bits were set per bit it has is full but for 1e-17 of it.
const FULL: f64 = 40.0;
/// Poisson weights below this share of the greatest one change no digit of a rate worth asking for.
const NEGLIGIBLE: f64 = 1e-22;

/// How many probes a key gets, and how many keys a block can hold on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub probes: u32,
    pub load: f64,
}

impl Plan {
    /// The plan of fewest bits whose false-positive rate is at most `rate`.
    pub fn new(rate: f64) -> Result<Plan> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::invalid(format!("expected a false-positive rate between 0 and 1, found {rate}")));
        }
        let mut best = Plan { probes: 0, load: 0.0 };
        for probes in 1..=MAX_PROBES {
            let load = Curve::new(probes).load(rate);
            if load > best.load {
                best = Plan { probes, load };
            } else if probes > best.probes + 2 {
                break;
            }
        }
        if best.load < MIN_LOAD {
            return Err(Error::invalid(format!(
                "a false-positive rate of {rate:e} needs more than a block of {BLOCK_BITS} bits per key; \
                 leave `bloom` out for an exact set, or ask for 1e-15"
            )));
        }
        Ok(best)
    }

    /// Blocks for `keys` keys.
    pub fn blocks(&self, keys: u64) -> u64 {
        ((keys as f64 / self.load).ceil() as u64).max(1)
    }

    /// The most keys that `blocks` blocks hold at the rate planned for.
    pub fn capacity(&self, blocks: u64) -> u64 {
        (blocks as f64 * self.load) as u64
    }
}

const MIN_LOAD: f64 = 1.0;

/// The best number of probes for `keys` keys in `blocks` blocks.
pub fn best_probes(keys: u64, blocks: u64) -> u32 {
    let load = keys as f64 / blocks.max(1) as f64;
    let mut best = (1, f64::INFINITY);
    for probes in 1..=MAX_PROBES {
        let rate = Curve::new(probes).rate(load);
        if rate < best.1 {
            best = (probes, rate);
        } else if probes > best.0 + 2 {
            break;
        }
    }
    best.0
}

/// The expected rate of false positives of `keys` keys with `probes` probes each in `blocks` blocks.
pub fn expected_rate(keys: u64, blocks: u64, probes: u32) -> f64 {
    Curve::new(probes).rate(keys as f64 / blocks.max(1) as f64)
}

/// rate(load) for one number of probes.
struct Curve {
    probes: u32,
    /// (x / 512)^k for x = 0..=512.
    hit: Vec<f64>,
    /// Probability that x bits of a block are set, after the last key that `rates` knows.
    occupied: Vec<f64>,
    /// Rate of a block that holds j keys.
    rates: Vec<f64>,
}

impl Curve {
    fn new(probes: u32) -> Self {
        let bits = BLOCK_BITS as f64;
        let hit = (0..=BLOCK_BITS).map(|x| (0..probes).fold(1.0, |power, _| power * (x as f64 / bits))).collect();
        let mut occupied = vec![0.0; BLOCK_BITS + 1];
        if let Some(none) = occupied.first_mut() {
            *none = 1.0;
        }
        Curve { probes, hit, occupied, rates: vec![0.0] }
    }

    /// Rate of a block of `keys` keys, from the occupancy after `keys * probes` throws.
    fn block_rate(&mut self, keys: usize) -> f64 {
        while self.rates.len() <= keys {
            (0..self.probes).for_each(|_| self.throw());
            self.rates.push(self.occupied.iter().zip(&self.hit).map(|(weight, hit)| weight * hit).sum());
        }
        self.rates.get(keys).copied().unwrap_or(1.0)
    }

    /// One more bit: it hits one of the x set ones, or makes x + 1 of x.
    fn throw(&mut self) {
        let bits = BLOCK_BITS as f64;
        let mut from_below = 0.0;
        for (x, weight) in self.occupied.iter_mut().enumerate() {
            let old = *weight;
            *weight = old * (x as f64 / bits) + from_below;
            from_below = old * ((bits - x as f64) / bits);
        }
    }

    fn rate(&mut self, load: f64) -> f64 {
        if load * f64::from(self.probes) > FULL * BLOCK_BITS as f64 {
            return 1.0;
        }
        let mode = load as usize;
        let (mut weights, mut total) = (1.0, self.block_rate(mode));
        let mut weight = 1.0;
        for j in (1..=mode).rev() {
            weight *= j as f64 / load;
            if weight < NEGLIGIBLE {
                break;
            }
            weights += weight;
            total += weight * self.block_rate(j - 1);
        }
        weight = 1.0;
        for j in mode + 1.. {
            weight *= load / j as f64;
            if weight < NEGLIGIBLE {
                break;
            }
            weights += weight;
            total += weight * self.block_rate(j);
        }
        total / weights
    }

    /// The greatest load whose rate is at most `rate`.
    fn load(&mut self, rate: f64) -> f64 {
        let mut over = 1.0 / 64.0;
        while self.rate(over) <= rate {
            over *= 2.0;
        }
        let (mut low, mut high) = (0.0, over);
        for _ in 0..50 {
            let middle = (low + high) / 2.0;
            if self.rate(middle) <= rate {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (1 - (1 - 1/512)^(k j))^k is the rate of a block when its occupancy is taken for its mean.
    fn by_means(load: f64, k: i32) -> f64 {
        let mut weight = (-load).exp();
        let mut total = 0.0;
        for j in 0..2000 {
            total += weight * (1.0 - (1.0f64 - 1.0 / 512.0).powi(k * j)).powi(k);
            weight *= load / f64::from(j + 1);
        }
        total
    }

    #[test]
    fn one_probe_is_the_mean_itself() {
        for load in [0.5, 20.0, 300.0] {
            let (exact, means) = (Curve::new(1).rate(load), by_means(load, 1));
            assert!((exact / means - 1.0).abs() < 1e-9, "{load}: {exact} {means}");
        }
    }

    #[test]
    fn many_probes_suffer_from_the_spread_of_the_occupancy() {
        let ratio = Curve::new(14).rate(15.0) / by_means(15.0, 14);
        assert!(ratio > 1.02 && ratio < 1.5, "{ratio}");
    }

    #[test]
    fn a_plan_is_the_tightest() {
        for rate in [0.5, 0.1, 1e-2, 1e-4, 1e-6, 1e-9] {
            let plan = Plan::new(rate).unwrap();
            let blocks = plan.blocks(1_000_000);
            assert!(expected_rate(1_000_000, blocks, plan.probes) <= rate, "{rate}");
            assert!(expected_rate(1_000_000, blocks - 1, plan.probes) > rate, "{rate}");
            for probes in 1..=MAX_PROBES {
                assert!(expected_rate(1_000_000, blocks * 999 / 1000, probes) > rate, "{rate} with {probes}");
            }
            assert!(plan.capacity(blocks) >= 1_000_000);
            assert!(plan.capacity(blocks - 1) < 1_000_000);
        }
    }

    #[test]
    fn full_filters_are_certain() {
        assert_eq!(expected_rate(1_000_000_000, 1, 4), 1.0);
        assert_eq!(best_probes(1_000_000_000, 1), 1);
        assert_eq!(expected_rate(0, 1, 4), 0.0);
    }

    #[test]
    fn rates_that_no_filter_has_are_refused() {
        for rate in [0.0, 1.0, -1.0, f64::NAN, 1e-300] {
            assert!(Plan::new(rate).is_err(), "{rate}");
        }
    }
}
