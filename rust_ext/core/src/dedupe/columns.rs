//! From verdicts back to documents: the attribute column of a shard, as many rows at a time as its reader wants.

use std::fs::File;
use std::io::Take;
use std::path::{Path, PathBuf};

use arrow_array::ArrayRef;

use super::verdicts::Verdicts;
use crate::keys::{KeyFile, Mode, Varints};
use crate::taggers::{Column, Kind};
use crate::{Error, Result};

/// The verdicts on one shard, read in step with its documents.
pub struct VerdictColumns {
    path: PathBuf,
    mode: Mode,
    threshold: f64,
    skipped: Option<f64>,
    items: Varints<Take<File>>,
    items_sum: u64,
    rows: u64,
    verdicts: Vec<Verdicts>,
}

impl VerdictColumns {
    /// `verdict_files` are those of all partitions, in order; `shard` is the place that `key_file` had among the key files
    /// they were reduced from. Of n-grams, `threshold` is the share seen before from which a paragraph is marked.
    pub fn open(key_file: &Path, verdict_files: &[PathBuf], shard: u64, threshold: f64) -> Result<Self> {
        let mut keys = KeyFile::open(key_file)?;
        if keys.partitions as usize != verdict_files.len() {
            let (expected, found) = (keys.partitions, verdict_files.len());
            return Err(Error::invalid(format!(
                "{}: expected the verdict files of {expected} partitions, found {found}",
                key_file.display()
            )));
        }
        let verdicts = verdict_files
            .iter()
            .zip(0..)
            .map(|(path, partition)| Verdicts::read(path, &mut keys, partition, shard))
            .collect::<Result<Vec<_>>>()?;
        let (mode, rows) = (keys.mode, keys.totals.rows);
        let (items, items_sum) = keys.into_items()?;
        Ok(VerdictColumns {
            path: key_file.to_path_buf(),
            mode,
            threshold,
            skipped: None,
            items,
            items_sum,
            rows,
            verdicts,
        })
    }

    /// Gives documents that took no part (empty, short, without a key) this score instead of null.
    pub fn with_skipped(mut self, score: f64) -> Self {
        self.skipped = Some(score);
        self
    }

    /// Rows not yet taken.
    pub fn rows_left(&self) -> u64 {
        self.rows
    }

    /// The column of the next `rows` documents: of whole documents 1.0 or null, else `[start, end, score]` spans.
    pub fn next_rows(&mut self, rows: usize) -> Result<ArrayRef> {
        if rows as u64 > self.rows {
            let left = self.rows;
            return Err(self.bad(format!("expected {rows} more documents, found {left}: not the keys of this shard")));
        }
        let kind = if self.mode == Mode::Documents { Kind::Document } else { Kind::Spans };
        let mut column = Column::new(kind, rows);
        for _ in 0..rows {
            match self.mode {
                Mode::Documents => self.document(&mut column)?,
                Mode::Paragraphs | Mode::Ngrams => self.spans(&mut column)?,
            }
            column.finish_row();
        }
        self.rows -= rows as u64;
        if self.rows == 0 {
            self.check_end()?;
        }
        Ok(column.finish())
    }

    fn document(&mut self, column: &mut Column) -> Result<()> {
        let score = match self.number()?.checked_sub(1) {
            Some(partition) => self.verdict(partition)?.then_some(1.0),
            None => self.skipped,
        };
        if let Some(score) = score {
            column.set(score);
        }
        Ok(())
    }

    fn spans(&mut self, column: &mut Column) -> Result<()> {
        let mut at = 0u64;
        for _ in 0..self.number()? {
            let (gap, length) = (self.number()?, self.number()?);
            let start = at.checked_add(gap);
            let end = start.and_then(|s| s.checked_add(length)).filter(|e| i64::try_from(*e).is_ok());
            let (Some(start), Some(end)) = (start, end) else {
                return Err(self.damaged());
            };
            if let Some(score) = self.score()? {
                column.span(start as usize, end as usize, score);
            }
            at = end;
        }
        Ok(())
    }

    /// The score of the next paragraph, where it is a duplicate.
    fn score(&mut self) -> Result<Option<f64>> {
        if self.mode == Mode::Paragraphs {
            let partition = self.number()?;
            return Ok(self.verdict(partition)?.then_some(1.0));
        }
        let shape = self.number()?;
        let (ngrams, whole) = (shape / 2, shape % 2 == 1);
        let mut duplicates = 0u64;
        for _ in 0..ngrams {
            let partition = self.number()?;
            duplicates += u64::from(self.verdict(partition)?);
        }
        let score = if whole {
            let partition = self.number()?;
            f64::from(u8::from(self.verdict(partition)?))
        } else {
            duplicates as f64 / ngrams as f64
        };
        Ok((score >= self.threshold).then_some(score))
    }

    fn number(&mut self) -> Result<u64> {
        match self.items.next_number() {
            Ok(Some(number)) => Ok(number),
            Ok(None) => Err(self.damaged()),
            Err(error) => Err(Error::io(&self.path, error)),
        }
    }

    fn verdict(&mut self, partition: u64) -> Result<bool> {
        let verdicts = usize::try_from(partition).ok().and_then(|p| self.verdicts.get_mut(p));
        verdicts.and_then(Iterator::next).ok_or_else(|| self.damaged())
    }

    /// The table was read to its end and is whole, and every verdict had its item.
    fn check_end(&mut self) -> Result<()> {
        let sum = self.items.end().map_err(|e| Error::io(&self.path, e))?;
        if sum != Some(self.items_sum) || !self.verdicts.iter().all(Verdicts::all_used) {
            return Err(self.damaged());
        }
        Ok(())
    }

    fn damaged(&self) -> Error {
        self.bad("the item table is damaged: it does not match its checksum or its keys")
    }

    fn bad(&self, reason: impl Into<String>) -> Error {
        Error::data(&self.path, reason)
    }
}
