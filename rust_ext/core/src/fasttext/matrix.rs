//! The two weight matrices: dense float32, or product-quantised.
//!
//! A quantised row is a norm times a concatenation of centroids, one per slice of the row. Rebuilding a row costs a
//! lookup per slice; a table of rebuilt rows costs 4 bytes per weight and makes adding a row one vector addition. Models
//! up to [`REBUILD`] bytes are rebuilt at load (lid.176.ftz: 0.9 MB on disk, 3.2 MB rebuilt); larger ones stay as they are.

use std::io::BufRead;

use super::source::Source;
use crate::Result;

/// Bytes up to which a quantised matrix is rebuilt in memory.
const REBUILD: u64 = 64 << 20;
/// Centroids of a slice: a code is one byte.
const CENTROIDS: u64 = 256;

#[derive(Debug)]
pub(super) struct Matrix {
    rows: u64,
    width: usize,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Dense(Vec<f32>),
    Quantised { codes: Vec<u8>, norms: Option<Vec<f32>>, codebook: Codebook },
}

/// Centroids of the slices of a row, `slice` wide but for the last one.
#[derive(Debug)]
struct Codebook {
    slices: usize,
    slice: usize,
    last: usize,
    centroids: Vec<f32>,
}

impl Codebook {
    fn read<R: BufRead>(source: &mut Source<R>, width: u32, what: &str) -> Result<Self> {
        let found = source.bounded("the width of a codebook", 1..=i32::MAX)?;
        let slices = source.bounded("the slices of a codebook", 1..=i32::MAX)?;
        let slice = source.bounded("the width of a slice", 1..=i32::MAX)?;
        let last = source.bounded("the width of the last slice", 1..=i32::MAX)?;
        let covered = u64::from(slices - 1) * u64::from(slice) + u64::from(last);
        if found != width || covered != u64::from(width) || last > slice {
            return Err(source.wrong(format!(
                "expected the codebook of {what} to cover {width} columns, \
                 found {found} in {slices} slices of {slice}, the last of {last}"
            )));
        }
        let centroids = source.floats(u64::from(width) * CENTROIDS, what)?;
        Ok(Codebook { slices: slices as usize, slice: slice as usize, last: last as usize, centroids })
    }

    /// Calls `each` with the columns of a row and the centroid that stands for them.
    #[inline]
    fn decode(&self, codes: &[u8], mut each: impl FnMut(usize, &[f32])) {
        for (m, &code) in codes.iter().enumerate() {
            let width = if m + 1 == self.slices { self.last } else { self.slice };
            let start = m * CENTROIDS as usize * self.slice + usize::from(code) * width;
            if let Some(centroid) = self.centroids.get(start..start + width) {
                each(m * self.slice, centroid);
            }
        }
    }
}

impl Matrix {
    /// A matrix of `width` columns, quantised or not, called `what` in errors.
    pub fn read<R: BufRead>(source: &mut Source<R>, quantised: bool, width: u32, what: &str) -> Result<Self> {
        let has_norms = quantised && source.bool("the quantised norms")?;
        let (rows, columns) = (source.i64("the rows of a matrix")?, source.i64("the columns of a matrix")?);
        let rows = match u64::try_from(rows) {
            Ok(rows) if columns == i64::from(width) => rows,
            _ => {
                return Err(source.wrong(format!(
                    "expected {what} to have {width} columns, found {rows} rows and {columns} columns"
                )))
            }
        };
        source.room(rows, 1, what)?;
        let weights = if quantised {
            Self::read_quantised(source, rows, width, has_norms, what)?
        } else {
            Weights::Dense(source.floats(rows.saturating_mul(u64::from(width)), what)?)
        };
        let mut matrix = Matrix { rows, width: width as usize, weights };
        if quantised && rows.saturating_mul(4 * u64::from(width)) <= REBUILD {
            matrix.rebuild();
        }
        Ok(matrix)
    }

    fn read_quantised<R: BufRead>(
        source: &mut Source<R>,
        rows: u64,
        width: u32,
        has_norms: bool,
        what: &str,
    ) -> Result<Weights> {
        let size = source.bounded("the number of codes", 0..=i32::MAX)?;
        let codes = source.bytes(u64::from(size), what)?;
        let codebook = Codebook::read(source, width, what)?;
        if rows.checked_mul(codebook.slices as u64) != Some(codes.len() as u64) {
            return Err(source.wrong(format!(
                "expected {rows} x {} codes for {what}, found {}",
                codebook.slices,
                codes.len()
            )));
        }
        let norms = if has_norms {
            let codes = source.bytes(rows, what)?;
            let book = Codebook::read(source, 1, "the norms")?;
            Some(codes.iter().map(|&c| book.centroids.get(usize::from(c)).copied().unwrap_or(1.0)).collect())
        } else {
            None
        };
        Ok(Weights::Quantised { codes, norms, codebook })
    }

    fn rebuild(&mut self) {
        let mut dense = vec![0.0; self.rows as usize * self.width];
        for (row, out) in dense.chunks_exact_mut(self.width).enumerate() {
            self.add_rows(&[row as u32], out);
        }
        self.weights = Weights::Dense(dense);
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the given rows to `sum` one after the other, in float32: the order fastText adds them in, so that the
    /// rounding errors of a long text are its errors too.
    #[inline]
    pub fn add_rows(&self, rows: &[u32], sum: &mut [f32]) {
        match (&self.weights, self.width) {
            (Weights::Dense(weights), 16) => add_fixed::<16>(weights, rows, sum),
            (Weights::Dense(weights), width) => {
                for &row in rows {
                    let start = row as usize * width;
                    if let Some(row) = weights.get(start..start + width) {
                        sum.iter_mut().zip(row).for_each(|(s, w)| *s += w);
                    }
                }
            }
            (Weights::Quantised { codes, norms, codebook }, _) => {
                for &row in rows {
                    let norm = scale(norms, row);
                    codebook.decode(row_codes(codes, codebook, row), |at, centroid| {
                        sum.iter_mut().skip(at).zip(centroid).for_each(|(s, c)| *s += norm * c);
                    });
                }
            }
        }
    }

    /// The scalar product of a row with `vector`.
    #[inline]
    pub fn dot(&self, row: u32, vector: &[f32]) -> f32 {
        match &self.weights {
            Weights::Dense(weights) => {
                let start = row as usize * self.width;
                weights.get(start..start + self.width).map_or(0.0, |row| dot(row, vector))
            }
            Weights::Quantised { codes, norms, codebook } => {
                let mut sum = 0.0;
                codebook.decode(row_codes(codes, codebook, row), |at, centroid| {
                    sum += vector.iter().skip(at).zip(centroid).map(|(v, c)| v * c).sum::<f32>();
                });
                sum * scale(norms, row)
            }
        }
    }
}

fn row_codes<'a>(codes: &'a [u8], codebook: &Codebook, row: u32) -> &'a [u8] {
    let start = row as usize * codebook.slices;
    codes.get(start..start + codebook.slices).unwrap_or_default()
}

fn scale(norms: &Option<Vec<f32>>, row: u32) -> f32 {
    norms.as_ref().and_then(|n| n.get(row as usize)).copied().unwrap_or(1.0)
}

/// Rows of a width known at compile time: the sum stays in registers.
#[inline]
fn add_fixed<const N: usize>(weights: &[f32], rows: &[u32], sum: &mut [f32]) {
    let Some(sum) = sum.first_chunk_mut::<N>() else { return };
    let (table, _) = weights.as_chunks::<N>();
    let mut total = *sum;
    for &row in rows {
        if let Some(row) = table.get(row as usize) {
            for (t, w) in total.iter_mut().zip(row) {
                *t += w;
            }
        }
    }
    *sum = total;
}

/// Eight partial sums in a fixed order: vectorisable, and the same on every machine.
#[inline]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a8, a), (b8, b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0f32; 8];
    for (x, y) in a8.iter().zip(b8) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    let [l0, l1, l2, l3, l4, l5, l6, l7] = lanes;
    let tail: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)) + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_covers_the_tail() {
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), (0..19).map(|i| (i * i) as f32).sum::<f32>());
    }

    #[test]
    fn a_narrow_last_slice_keeps_its_place() {
        let mut centroids = vec![0.0; 3 * 256];
        centroids.splice(2 * 7..2 * 7 + 2, [1.0, 2.0]);
        centroids.splice(512 + 9..512 + 10, [4.0]);
        let codebook = Codebook { slices: 2, slice: 2, last: 1, centroids };
        let weights = Weights::Quantised { codes: vec![0, 0, 7, 9], norms: Some(vec![1.0, 0.5]), codebook };
        let mut matrix = Matrix { rows: 2, width: 3, weights };
        let read = |m: &Matrix| {
            let mut row = [0.0; 3];
            m.add_rows(&[1], &mut row);
            (row, m.dot(1, &[1.0, 1.0, 1.0]))
        };
        assert_eq!(read(&matrix), ([0.5, 1.0, 2.0], 3.5));
        matrix.rebuild();
        assert_eq!(read(&matrix), ([0.5, 1.0, 2.0], 3.5));
    }
}
