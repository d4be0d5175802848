//! Token files: documents brought into another order, and the rows of the table that says where each is.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use arrow_array::{Array, Int64Array, LargeStringArray};

use crate::{Error, Result};

/// The bytes starts[i] ... starts[i] + lengths[i] - 1 of `data` for each i, one after the other.
pub fn gather(data: &[u8], starts: &Int64Array, lengths: &Int64Array) -> Result<Vec<u8>> {
    if starts.len() != lengths.len() {
        return Err(Error::invalid(format!(
            "expected as many lengths as starts, found {} of {}",
            lengths.len(),
            starts.len()
        )));
    }
    let total: i64 = lengths.values().iter().sum();
    let mut out = Vec::with_capacity(usize::try_from(total).unwrap_or(0).min(data.len()));
    for (start, length) in starts.values().iter().zip(lengths.values()) {
        let range = usize::try_from(*start).ok().zip(usize::try_from(*length).ok());
        let part = range.and_then(|(start, length)| data.get(start..start.checked_add(length)?));
        let part = part.ok_or_else(|| {
            Error::invalid(format!("expected a range within {} bytes, found {length} from {start}", data.len()))
        })?;
        out.extend_from_slice(part);
    }
    Ok(out)
}

/// Bytes starts[i] ... starts[i] + lengths[i] - 1 of `data`, to byte places[i] of the file at `path`, which must be there.
pub fn scatter(path: &Path, data: &[u8], starts: &Int64Array, lengths: &Int64Array, places: &Int64Array) -> Result<()> {
    if starts.len() != lengths.len() || starts.len() != places.len() {
        return Err(Error::invalid(format!(
            "expected as many lengths and places as starts, found {} and {} of {}",
            lengths.len(),
            places.len(),
            starts.len()
        )));
    }
    let file = File::options().write(true).open(path).map_err(|e| Error::io(path, e))?;
    // What follows on what was just written costs no call of the system.
    let mut file = BufWriter::with_capacity(1 << 16, file);
    let mut at = 0;
    for ((start, length), place) in starts.values().iter().zip(lengths.values()).zip(places.values()) {
        let range = usize::try_from(*start).ok().zip(usize::try_from(*length).ok());
        let part = range.and_then(|(start, length)| data.get(start..start.checked_add(length)?));
        let (Some(part), Ok(place)) = (part, u64::try_from(*place)) else {
            return Err(Error::invalid(format!(
                "expected a range within {} bytes and a place in a file, found {length} from {start} to {place}",
                data.len()
            )));
        };
        if place != at {
            file.seek(SeekFrom::Start(place)).map_err(|e| Error::io(path, e))?;
        }
        file.write_all(part).map_err(|e| Error::io(path, e))?;
        at = place + part.len() as u64;
    }
    file.flush().map_err(|e| Error::io(path, e))
}

/// Columns of the table of a token file, one row for each document.
pub struct Rows<'a> {
    /// Tokens of the file before and after the document.
    pub starts: &'a Int64Array,
    pub ends: &'a Int64Array,
    pub ids: &'a LargeStringArray,
    /// The file it is from, an index into `labels`, and its line there.
    pub files: &'a Int64Array,
    pub labels: &'a [String],
    pub lines: &'a Int64Array,
}

/// Appends `start,end,id,src,loc` as CSV: quoted where it must be, `\n` at the end of a row.
pub fn push_rows(rows: &Rows<'_>, out: &mut Vec<u8>) -> Result<()> {
    let count = rows.ids.len();
    for column in [rows.starts, rows.ends, rows.files, rows.lines] {
        if column.len() != count || column.null_count() > 0 {
            return Err(Error::invalid(format!("expected {count} rows without nulls, found {}", column.len())));
        }
    }
    let labels: Vec<Vec<u8>> = rows.labels.iter().map(|l| quoted(l)).collect();
    for (i, id) in rows.ids.iter().enumerate() {
        let file = usize::try_from(rows.files.value(i)).ok().and_then(|f| labels.get(f));
        let file = file.ok_or_else(|| {
            Error::invalid(format!("expected a file below {}, found {}", labels.len(), rows.files.value(i)))
        })?;
        // Writing into a Vec cannot fail.
        let _ = write!(out, "{},{},", rows.starts.value(i), rows.ends.value(i));
        push_field(id.unwrap_or_default(), out);
        out.push(b',');
        out.extend_from_slice(file);
        let _ = writeln!(out, ",{}", rows.lines.value(i));
    }
    Ok(())
}

fn quoted(field: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    push_field(field, &mut out);
    out
}

fn push_field(field: &str, out: &mut Vec<u8>) {
    if !field.bytes().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        return out.extend_from_slice(field.as_bytes());
    }
    out.push(b'"');
    for byte in field.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_in_another_order() {
        let starts = Int64Array::from(vec![4, 0, 2, 6]);
        let lengths = Int64Array::from(vec![2, 2, 0, 1]);
        assert_eq!(gather(b"abcdefg", &starts, &lengths).unwrap(), b"efabg");
        let long = Int64Array::from(vec![2, 2, 0, 2]);
        let error = gather(b"abcdefg", &starts, &long).unwrap_err();
        assert_eq!(error.to_string(), "expected a range within 7 bytes, found 2 from 6");
        let negative = Int64Array::from(vec![-1]);
        assert!(gather(b"abc", &negative, &Int64Array::from(vec![1])).is_err());
        assert!(gather(b"abc", &starts, &negative).is_err());
    }

    #[test]
    fn documents_to_their_places_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8).unwrap();
        let columns = |s: [i64; 3], l: [i64; 3], p: [i64; 3]| {
            (Int64Array::from(s.to_vec()), Int64Array::from(l.to_vec()), Int64Array::from(p.to_vec()))
        };
        let (starts, lengths, places) = columns([4, 0, 2], [2, 2, 1], [1, 3, 7]);
        scatter(file.path(), b"abcdefg", &starts, &lengths, &places).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"\0efab\0\0c");
        let (starts, lengths, places) = columns([4, 0, 2], [2, 2, 1], [1, 3, -7]);
        let error = scatter(file.path(), b"abcdefg", &starts, &lengths, &places).unwrap_err();
        assert_eq!(error.to_string(), "expected a range within 7 bytes and a place in a file, found 1 from 2 to -7");
        assert!(scatter(file.path(), b"abcde", &starts, &lengths, &places).is_err());
        assert!(scatter(Path::new("/no/such/file"), b"", &starts, &lengths, &places).is_err());
        assert!(scatter(file.path(), b"abcdefg", &starts, &lengths, &Int64Array::from(vec![0])).is_err());
    }

    #[test]
    fn rows_are_quoted_where_they_must_be() {
        let ids = LargeStringArray::from(vec!["a", "b,\"c\"", "d\re\n", "", "ü"]);
        let numbers = Int64Array::from(vec![0, 1, 2, 3, 4]);
        let files = Int64Array::from(vec![0, 0, 1, 1, 0]);
        let labels = vec!["s/x".to_owned(), "t,y".to_owned()];
        let rows =
            Rows { starts: &numbers, ends: &numbers, ids: &ids, files: &files, labels: &labels, lines: &numbers };
        let mut out = vec![];
        push_rows(&rows, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "0,0,a,s/x,0\n1,1,\"b,\"\"c\"\"\",s/x,1\n2,2,\"d\re\n\",\"t,y\",2\n3,3,,\"t,y\",3\n4,4,ü,s/x,4\n"
        );
    }

    #[test]
    fn columns_that_do_not_fit_each_other() {
        let ids = LargeStringArray::from(vec!["a"]);
        let (one, two) = (Int64Array::from(vec![1]), Int64Array::from(vec![1, 2]));
        let labels = vec!["s".to_owned()];
        let rows = Rows { starts: &two, ends: &one, ids: &ids, files: &one, labels: &labels, lines: &one };
        assert_eq!(push_rows(&rows, &mut vec![]).unwrap_err().to_string(), "expected 1 rows without nulls, found 2");
        let rows = Rows { starts: &one, ..rows };
        assert_eq!(push_rows(&rows, &mut vec![]).unwrap_err().to_string(), "expected a file below 1, found 1");
    }
}
