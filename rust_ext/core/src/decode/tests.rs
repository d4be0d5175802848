use std::io::Write;

use super::*;

/// What is read, and what is said at its end.
fn read(mut reader: impl Read) -> (Vec<u8>, Option<String>) {
    let mut text = Vec::new();
    let error = reader.read_to_end(&mut text).err();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "nothing comes after the end");
    (text, error.map(|e| e.to_string()))
}

fn ungzip(packed: &[u8]) -> (Vec<u8>, Option<String>) {
    let small = read(GzipReader::new(io::BufReader::with_capacity(7, packed)));
    assert_eq!(read(GzipReader::new(packed)), small);
    small
}

fn unzstd(packed: &[u8]) -> (Vec<u8>, Option<String>) {
    let small = read(ZstdReader::new(io::BufReader::with_capacity(7, packed)).unwrap());
    assert_eq!(read(ZstdReader::new(packed).unwrap()), small);
    small
}

fn member(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().filename("a").comment("b").extra(vec![1, 2, 3]);
    encoder = encoder.mtime(7);
    let mut encoder = encoder.write(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn numbers(count: u32) -> Vec<u8> {
    (0..count).flat_map(|i| format!("{}\n", u64::from(i) * 2_654_435_761).into_bytes()).collect()
}

#[test]
fn gzip_members_and_the_zeros_between_and_after_them() {
    let all = [member(b"one"), vec![0; 1000], member(b""), member(b"two"), vec![0; 512]].concat();
    assert_eq!(ungzip(&all), (b"onetwo".to_vec(), None));
    assert_eq!(ungzip(&member(b"one")), (b"one".to_vec(), None));
    let text = numbers(100_000);
    assert_eq!(ungzip(&member(&text)), (text, None));
}

#[test]
fn what_follows_gzip_is_told_and_takes_nothing_along() {
    for rest in [&b"rest"[..], b"\x1f", b"\0\0x", b"\x1fx"] {
        let all = [member(b"one"), rest.to_vec()].concat();
        let said = "bytes that are not gzip follow the last gzip member".to_owned();
        assert_eq!(ungzip(&all), (b"one".to_vec(), Some(said)), "{rest:?}");
    }
    let half = [member(b"one"), member(b"two")[..9].to_vec()].concat();
    assert_eq!(ungzip(&half), (b"one".to_vec(), Some("incomplete gzip stream".to_owned())));
}

#[test]
fn damaged_gzip_gives_all_that_can_be_decoded() {
    let text = numbers(100_000);
    let whole = member(&text);
    let (found, error) = ungzip(&whole[..whole.len() - 100]);
    assert!(text.starts_with(&found) && found.len() > text.len() - 500, "{} of {}", found.len(), text.len());
    assert_eq!(error.as_deref(), Some("incomplete gzip stream"));

    let mut wrong = whole.clone();
    let n = wrong.len();
    wrong[n - 8] ^= 1;
    let said = "the text of a gzip member does not have the CRC that the file gives";
    assert_eq!(ungzip(&wrong), (text.clone(), Some(said.to_owned())));
    let mut wrong = whole.clone();
    wrong[n - 1] ^= 1;
    let said = "the text of a gzip member does not have the length that the file gives";
    assert_eq!(ungzip(&wrong), (text.clone(), Some(said.to_owned())));

    // A block of an unknown type in the middle of a member: what was decoded before it is there.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&text).unwrap();
    encoder.flush().unwrap();
    let packed = encoder.get_ref().clone();
    assert_eq!(ungzip(&[packed, vec![0xff; 50]].concat()), (text, Some("corrupt deflate stream".to_owned())));
}

#[test]
fn zstd_frames_and_skippable_ones() {
    let text = numbers(100_000);
    let frame = zstd::encode_all(&text[..], 3).unwrap();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let empty = zstd::encode_all(&b""[..], 3).unwrap();
    let all = [&skippable[..], &frame, &empty, &skippable, &frame].concat();
    assert_eq!(unzstd(&all), ([text.clone(), text].concat(), None));
}

#[test]
fn damaged_zstd_gives_all_the_blocks_before_it() {
    let text = numbers(100_000);
    let frame = zstd::encode_all(&text[..], 3).unwrap();
    let (found, error) = unzstd(&frame[..frame.len() - 1]);
    assert!(text.starts_with(&found) && found.len() >= text.len() / (128 << 10) * (128 << 10), "{}", found.len());
    assert_eq!(error.as_deref(), Some("incomplete zstd frame"));
    let (found, error) = unzstd(&[&frame[..], b"rest"].concat());
    assert_eq!(found, text);
    assert_eq!(error.as_deref(), Some("bytes that are not zstd follow the last zstd frame"));

    // A block of the reserved type behind the first seven.
    let mut writer = zstd::stream::raw::Encoder::new(3).unwrap();
    let mut packed = vec![0; text.len()];
    let mut out = OutBuffer::around(&mut packed[..]);
    let mut input = InBuffer::around(&text[..]);
    writer.run(&mut input, &mut out).unwrap();
    while writer.flush(&mut out).unwrap() > 0 {}
    let size = out.pos();
    packed.truncate(size);
    packed.extend([0xff; 20]);
    let (found, error) = unzstd(&packed);
    assert_eq!(found.len(), text.len());
    assert_eq!((found, error.as_deref()), (text, Some("Data corruption detected")));
}

#[test]
fn what_zstd_needs_is_named() {
    let text = numbers(2000);
    let samples: Vec<Vec<u8>> = text.chunks(100).map(<[u8]>::to_vec).collect();
    let dictionary = zstd::dict::from_samples(&samples, 1000).unwrap();
    let mut encoder = zstd::stream::write::Encoder::with_dictionary(Vec::new(), 3, &dictionary).unwrap();
    encoder.write_all(&text).unwrap();
    let packed = encoder.finish().unwrap();
    let id = zstd::zstd_safe::get_dict_id_from_frame(&packed).unwrap();
    let said = format!("the zstd frame needs the dictionary {id}; decompress it with `zstd -d -D DICTIONARY`");
    assert_eq!(read(ZstdReader::new(&packed[..]).unwrap()), (Vec::new(), Some(said)));

    let mut long = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    long.set_parameter(zstd::zstd_safe::CParameter::WindowLog(30)).unwrap();
    long.write_all(&text).unwrap();
    let mut packed = long.finish().unwrap();
    assert_eq!(unzstd(&packed), (text, None));
    // Byte 5 is the window descriptor: (log - 10) << 3.
    assert_eq!(packed[5], 20 << 3);
    packed[5] = 22 << 3;
    let error = read(ZstdReader::new(&packed[..]).unwrap()).1.unwrap();
    assert!(error.starts_with("the zstd frame has a window over 2 GiB, the greatest that zstd reads;"), "{error}");
}
