//! Which texts of a group go, and in favour of which text that stays.

use std::sync::Arc;

use arrow_array::builder::Float64Builder;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use super::large::Finder;
use super::lists::TokenRows;
use super::sets::{Bitmap, Ngrams, Overlap};
use super::shingles::whole;
use crate::{Error, Result};

/// When a text goes in favour of one that is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The Jaccard similarity of their distinct n-grams is at least this.
    Jaccard(f64),
    /// The kept text has as many tokens or more, and all distinct n-grams of the other.
    ///
    /// Where fewer than 0.9 of the n-grams of one of the two are distinct, n-grams say little: the kept text must have
    /// all tokens of the other in a row. A text of fewer than n tokens goes only in favour of one of the same tokens.
    Contained,
}

impl Rule {
    pub fn named(name: &str, threshold: f64) -> Result<Rule> {
        match name {
            "jaccard" if threshold > 0.0 && threshold <= 1.0 => Ok(Rule::Jaccard(threshold)),
            "jaccard" => Err(Error::invalid(format!("expected a threshold above 0 and at most 1, found {threshold}"))),
            "contained" => Ok(Rule::Contained),
            _ => Err(Error::invalid(format!("expected rule `jaccard` or `contained`, found `{name}`"))),
        }
    }
}

pub struct Resolved {
    /// `kept` (the row that stays for each row: itself, or another), `similarity`, `containment` (null where itself).
    pub rows: RecordBatch,
    /// Pairs whose sets of n-grams were compared; the others were told apart by less.
    pub comparisons: u64,
}

/// A text with what it is compared by.
struct Member<'a> {
    row: usize,
    tokens: &'a [u64],
    ngrams: Ngrams,
    bitmap: Bitmap,
}

#[derive(Clone, Copy)]
struct Verdict {
    kept: usize,
    overlap: Option<Overlap>,
}

struct Resolver<'a> {
    tokens: &'a TokenRows<'a>,
    rule: Rule,
    ngram: usize,
    large: usize,
    /// Whether bitmaps may tell pairs apart; false in tests alone.
    bitmaps: bool,
    comparisons: u64,
}

/// Decides on rows that are sorted by group, and within a group by which of two is to be kept.
///
/// In each group, row by row: a row goes in favour of the first of the rows kept so far that satisfies the rule, else it
/// is kept. A row without tokens is kept. In a group of `large` rows or more only some of the kept rows are looked at: see
/// [`Finder`].
pub fn resolve(
    tokens: &TokenRows<'_>,
    groups: &Int64Array,
    rule: Rule,
    ngram: usize,
    large: usize,
) -> Result<Resolved> {
    resolve_with(tokens, groups, rule, ngram, large, true)
}

fn resolve_with(
    tokens: &TokenRows<'_>,
    groups: &Int64Array,
    rule: Rule,
    ngram: usize,
    large: usize,
    bitmaps: bool,
) -> Result<Resolved> {
    let rows = tokens.len();
    if ngram == 0 {
        return Err(Error::invalid("expected an ngram of at least 1 token, found 0"));
    }
    if groups.null_count() > 0 {
        return Err(Error::invalid("expected the group of each row, found a null"));
    }
    let groups = groups.values();
    if groups.len() != rows || u32::try_from(rows).is_err() {
        let message = format!("expected one group for each of fewer than 2^32 rows, found {} for {rows}", groups.len());
        return Err(Error::invalid(message));
    }
    if let Some(at) = groups.windows(2).position(|pair| pair[0] > pair[1]) {
        let found = format!("{} before {} in row {}", groups[at], groups[at + 1], at + 1);
        return Err(Error::invalid(format!("expected rows sorted by group, found {found}")));
    }
    let mut resolver = Resolver { tokens, rule, ngram, large, bitmaps, comparisons: 0 };
    let mut verdicts = Vec::with_capacity(rows);
    for group in groups.chunk_by(|a, b| a == b) {
        resolver.group(group.len(), &mut verdicts);
    }
    let mut similarity = Float64Builder::with_capacity(rows);
    let mut containment = Float64Builder::with_capacity(rows);
    for verdict in &verdicts {
        similarity.append_option(verdict.overlap.map(|overlap| overlap.jaccard()));
        containment.append_option(verdict.overlap.map(|overlap| overlap.containment()));
    }
    let kept = Int64Array::from_iter_values(verdicts.iter().map(|verdict| verdict.kept as i64));
    let schema = Schema::new(vec![
        Field::new("kept", DataType::Int64, false),
        Field::new("similarity", DataType::Float64, true),
        Field::new("containment", DataType::Float64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![Arc::new(kept), Arc::new(similarity.finish()), Arc::new(containment.finish())];
    let rows = RecordBatch::try_new(Arc::new(schema), columns).map_err(|e| Error::invalid(e.to_string()))?;
    Ok(Resolved { rows, comparisons: resolver.comparisons })
}

impl<'a> Resolver<'a> {
    /// Appends the verdicts on the next `size` rows.
    fn group(&mut self, size: usize, verdicts: &mut Vec<Verdict>) {
        let start = verdicts.len();
        if size == 1 {
            verdicts.push(Verdict { kept: start, overlap: None });
            return;
        }
        let texts: Vec<&'a [u64]> = (start..start + size).map(|row| self.tokens.row(row)).collect();
        let first = first_of_equals(&texts);
        // Those that have tokens, and not those of a row before.
        let members: Vec<usize> = (0..size).filter(|at| first[*at] == *at && !texts[*at].is_empty()).collect();
        let mut finder = (size >= self.large).then(|| {
            let texts: Vec<&[u64]> = members.iter().map(|at| texts[*at]).collect();
            Finder::new(self.rule, &texts, self.ngram)
        });
        let mut number = 0;
        let mut kept: Vec<Member<'a>> = Vec::new();
        let mut candidates = Vec::new();
        for at in 0..size {
            let row = start + at;
            let mut verdict = Verdict { kept: row, overlap: None };
            if texts[at].is_empty() {
                // Nothing is known of it: it stays.
            } else if first[at] != at {
                // What holds of a text holds of one with the same tokens.
                let before = verdicts[start + first[at]];
                let all = Ngrams::of(texts[at], self.ngram).distinct.len();
                let equal = Overlap { shared: all, left: all, right: all };
                verdict = Verdict { overlap: before.overlap.or(Some(equal)), ..before };
            } else {
                let ngrams = Ngrams::of(texts[at], self.ngram);
                let bitmap = Bitmap::of(&ngrams);
                let member = Member { row, tokens: texts[at], ngrams, bitmap };
                let found = match &finder {
                    None => kept.iter().find_map(|kept| Some((kept.row, self.goes(&member, kept)?))),
                    Some(finder) => {
                        finder.candidates(number, &mut candidates);
                        let mut candidates = candidates.iter().filter_map(|place| kept.get(*place as usize));
                        candidates.find_map(|kept| Some((kept.row, self.goes(&member, kept)?)))
                    }
                };
                if let Some((kept, overlap)) = found {
                    verdict = Verdict { kept, overlap: Some(overlap) };
                } else {
                    if let Some(finder) = &mut finder {
                        finder.keep(number, &member.ngrams, kept.len() as u32);
                    }
                    kept.push(member);
                }
                number += 1;
            }
            verdicts.push(verdict);
        }
    }

    /// What the two have in common, if `text` goes in favour of `kept`.
    fn goes(&mut self, text: &Member<'_>, kept: &Member<'_>) -> Option<Overlap> {
        let (left, right) = (text.ngrams.distinct.len(), kept.ngrams.distinct.len());
        match self.rule {
            Rule::Jaccard(threshold) => {
                if self.bitmaps {
                    let shared = text.bitmap.most_shared(&kept.bitmap, left, right);
                    if (Overlap { shared, left, right }).jaccard() < threshold {
                        return None;
                    }
                }
                self.comparisons += 1;
                Some(Overlap::of(&text.ngrams, &kept.ngrams)).filter(|overlap| overlap.jaccard() >= threshold)
            }
            Rule::Contained => {
                if text.tokens.len() > kept.tokens.len() {
                    return None;
                }
                if text.tokens.len() < self.ngram {
                    return (text.tokens == kept.tokens).then_some(Overlap { shared: left, left, right });
                }
                if self.bitmaps && !text.bitmap.may_be_within(&kept.bitmap) {
                    return None;
                }
                self.comparisons += 1;
                let overlap = Some(Overlap::of(&text.ngrams, &kept.ngrams)).filter(|found| found.shared == left)?;
                let told = !(repetitive(&text.ngrams) || repetitive(&kept.ngrams));
                (told || has_run(kept.tokens, text.tokens)).then_some(overlap)
            }
        }
    }
}

/// For each text the number of the first one with the same tokens.
fn first_of_equals(texts: &[&[u64]]) -> Vec<usize> {
    let mut order: Vec<(u64, usize)> = texts.iter().enumerate().map(|(at, text)| (whole(text), at)).collect();
    order.sort_unstable();
    let mut first: Vec<usize> = (0..texts.len()).collect();
    for equals in order.chunk_by(|a, b| a.0 == b.0) {
        for (_, at) in &equals[1..] {
            let before = equals[0].1;
            if texts[before] == texts[*at] {
                first[*at] = before;
            }
        }
    }
    first
}

/// Whether fewer than 0.9 of the n-grams are distinct.
fn repetitive(ngrams: &Ngrams) -> bool {
    ngrams.distinct.len() * 10 < ngrams.all * 9
}

/// Whether `tokens` has all of `run` in a row; linear in both (Knuth, Morris, Pratt).
fn has_run(tokens: &[u64], run: &[u64]) -> bool {
    // For each beginning of the run the length of the longest shorter one that it ends with.
    let mut shorter = vec![0; run.len()];
    let mut length = 0;
    for at in 1..run.len() {
        while length > 0 && run[at] != run[length] {
            length = shorter[length - 1];
        }
        length += usize::from(run[at] == run[length]);
        shorter[at] = length;
    }
    length = 0;
    for token in tokens {
        if length == run.len() {
            break;
        }
        while length > 0 && *token != run[length] {
            length = shorter[length - 1];
        }
        length += usize::from(*token == run[length]);
    }
    length == run.len()
}

#[cfg(test)]
mod tests;
