use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::Array;

use super::*;

const GOOD: &str = "{\"id\":\"good\",\"text\":\"kept\"}\n";

/// (ids, bad lines, damage) of a file of these bytes.
fn read(name: &str, bytes: &[u8], max_line_bytes: usize) -> (Vec<String>, Vec<BadLine>, Option<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let options = Options { max_line_bytes, keep_raw: true, ..Options::default() };
    let mut reader = DocumentReader::open(&path, options).unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        let column = batch.column(0).as_string::<i64>();
        ids.extend((0..column.len()).map(|i| column.value(i).to_owned()));
    }
    (ids, reader.take_bad(), reader.damage().map(str::to_owned))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn of_a_bad_line_the_beginning_is_kept_and_its_length() {
    // Two bytes each behind one of one byte: byte 4096 is in the middle of a character.
    let line = format!("x{}", "é".repeat(5000));
    let (ids, bad, damage) = read("a.jsonl", format!("{GOOD}{line}\n{GOOD}").as_bytes(), 1 << 20);
    assert_eq!((ids.len(), damage), (2, None));
    let reason = format!("expected a JSON object, found `x{}…`", "é".repeat(39));
    let (at, raw) = (Position { line: 2, offset: GOOD.len() as u64 }, line.as_bytes()[..4095].to_vec());
    assert_eq!(bad, [BadLine { line: at.line, offset: at.offset, reason, raw, length: 10_001 }]);

    let bytes = [b"\xff".repeat(5000), b"\n".to_vec()].concat();
    let (_, bad, _) = read("a.jsonl", &bytes, 1 << 20);
    assert_eq!((bad[0].raw.len(), bad[0].length), (4096, 5000));
    assert_eq!(bad[0].reason, "invalid UTF-8 at byte 0 of the line");
}

#[test]
fn a_file_that_breaks_off_in_a_line_over_the_limit_is_damaged() {
    // The first bytes alone would be a document.
    let mut text = GOOD.repeat(3).into_bytes();
    text.extend_from_slice(GOOD.trim_end().as_bytes());
    text.resize(9 << 20, b' ');
    text.extend_from_slice(GOOD.as_bytes());
    let whole = gzip(&text);
    let (ids, bad, damage) = read("a.jsonl.gz", &whole, 1 << 20);
    let length = (9 << 20) - 3 * GOOD.len() as u64 + GOOD.len() as u64 - 1;
    assert_eq!((ids.len(), bad.len(), damage), (3, 1, None));
    assert_eq!((bad[0].length, bad[0].raw.len()), (length, 4096));
    assert_eq!(bad[0].reason, format!("a line of {length} bytes, over the limit of 1048576"));

    let (ids, bad, damage) = read("a.jsonl.gz", &whole[..whole.len() - 1000], 1 << 20);
    let damage = damage.unwrap();
    assert_eq!((ids.len(), bad.len()), (3, 1));
    let after = bad[0].offset + bad[0].length;
    let said = format!("the file is truncated or corrupt after byte {after} of its text: incomplete gzip stream");
    assert_eq!(bad[0].reason, said);
    let size = whole.len() - 1000;
    assert_eq!(damage, format!("{said}; the file ends at byte {size}, and how much is missing is not known"));
    assert!(bad[0].length > 5 << 20);
}

#[test]
fn a_blank_rest_before_damage_is_no_line() {
    let packed = gzip(format!("{GOOD}\n  ").as_bytes());
    let (ids, bad, damage) = read("a.jsonl.gz", &[&packed[..], b"rest"].concat(), 1 << 20);
    assert_eq!((ids.len(), bad), (1, vec![]));
    let said = format!(
        "the file is truncated or corrupt after byte 31 of its text: bytes that are not gzip follow the last gzip member; \
         3 of the {} bytes of the file are not read",
        packed.len() + 4
    );
    assert_eq!(damage, Some(said));
}

#[test]
fn bytes_behind_damage_are_counted_as_they_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl.gz");
    let (first, second) = (gzip(GOOD.as_bytes()), gzip(GOOD.repeat(900).as_bytes()));
    let mut bytes = [&first[..], &second[..]].concat();
    let unread = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let mut reader = DocumentReader::open(&path, Options::default()).unwrap();
        while reader.next_batch().unwrap().is_some() {}
        (reader.unread_bytes(), reader.damage().map(str::to_owned))
    };
    assert_eq!(unread(&bytes), (0, None));
    let end = bytes.len();
    bytes[end - 8] ^= 1;
    let said = "the text of a gzip member does not have the CRC that the file gives";
    let (left, damage) = unread(&bytes);
    assert_eq!(left, 0);
    assert!(damage.unwrap().ends_with(&format!("{said}; all {end} bytes of the file were read")));
    bytes[first.len() + 3] = 0xff;
    let (left, damage) = unread(&bytes);
    // The header of the second member has been read.
    assert_eq!(left, second.len() as u64 - 10);
    assert!(damage.unwrap().ends_with(&format!("{left} of the {end} bytes of the file are not read")));
}

#[test]
fn what_zstd_cannot_read_is_not_called_corrupt() {
    let mut long = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    long.set_parameter(zstd::zstd_safe::CParameter::WindowLog(28)).unwrap();
    long.write_all(GOOD.as_bytes()).unwrap();
    let mut packed = long.finish().unwrap();
    assert_eq!(read("a.zst", &packed, 99), (vec!["good".to_owned()], vec![], None));
    packed[5] = 22 << 3;
    let damage = read("a.zst", &packed, 99).2.unwrap();
    let said = "the file cannot be read after byte 0 of its text: the zstd frame has a window over 2 GiB";
    assert!(damage.starts_with(said), "{damage}");
}

#[test]
fn nesting_has_no_limit() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!("{{\"id\":\"a\",\"text\":\"b\",\"metadata\":{{\"x\":{deep}}}}}\n{deep}\n{GOOD}");
    let (ids, bad, _) = read("a.jsonl", text.as_bytes(), 1 << 20);
    assert_eq!(ids, ["a", "good"]);
    assert_eq!((bad.len(), bad[0].line, bad[0].length), (1, 2, 200_000));
}

#[test]
fn what_the_system_refuses_is_an_error() {
    // Readable, and every read of its first page fails with EIO.
    let mut reader = match DocumentReader::open(Path::new("/proc/self/mem"), Options::default()) {
        Ok(reader) => reader,
        Err(error) => return assert!(matches!(error, Error::Io { .. }), "{error}"),
    };
    assert!(matches!(reader.next_batch(), Err(Error::Io { .. })));
}
