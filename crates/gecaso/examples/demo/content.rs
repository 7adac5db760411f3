//! THE COSTLY FUNCTION of the demo: reads a file, and digests and counts what is in it.
//!
//! Streams, so that a file of any size takes 64 KiB. Knows nothing of directories or tables.

use crate::kept;
use crate::walk::changed;
use gecaso::{MemoryStorage, cached};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

/// What one reading of a file found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
    /// FNV-1a over all bytes, 64 bits: tells contents apart, and is no defence against forgery.
    pub(crate) digest: u64,
    /// Whether it is all UTF-8. If not, words are told apart by ASCII white space all the same.
    pub(crate) is_text: bool,
}

/// The most files that stay in memory: one entry each.
const MOST: usize = 1 << 20;

/// How often the costly body has run.
pub(crate) static BODIES: AtomicU64 = AtomicU64::new(0);

/// What is asked: in front of the folder, results are kept in memory.
#[cached(MemoryStorage::bounded(MOST))]
pub(crate) fn content_of(path: &Path, length: u64, changed: SystemTime) -> io::Result<Content> {
    read_through(path, length, changed)
}

/// THE COSTLY FUNCTION. A file that changes gets another length or time, and so another key.
#[cached(kept::files(), name = "demo/read_through")]
pub(crate) fn read_through(path: &Path, length: u64, listed: SystemTime) -> io::Result<Content> {
    BODIES.fetch_add(1, Relaxed);
    let mut file = File::open(path)?;
    let mut tally = Tally::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => tally.add(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let content = tally.finish();
    // A file that changed meanwhile is an error, and errors are not stored.
    let now = file.metadata()?;
    if content.bytes != length || now.len() != length || changed(&now)? != listed {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok(content)
}

/// Counts a content that comes in pieces.
struct Tally {
    content: Content,
    in_word: bool,
    ends_line: bool,
    /// The beginning of a character that the next piece goes on with.
    cut: Vec<u8>,
}

impl Tally {
    fn new() -> Self {
        let digest = 0xcbf2_9ce4_8422_2325;
        let content = Content { bytes: 0, lines: 0, words: 0, digest, is_text: true };
        Tally { content, in_word: false, ends_line: true, cut: Vec::new() }
    }

    fn add(&mut self, piece: &[u8]) {
        let Content { bytes, lines, words, digest, .. } = &mut self.content;
        *bytes += piece.len() as u64;
        for &byte in piece {
            *digest = (*digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            *lines += u64::from(byte == b'\n');
            let is_space = byte.is_ascii_whitespace() || byte == 0x0b;
            *words += u64::from(!is_space && !self.in_word);
            self.in_word = !is_space;
        }
        self.ends_line = piece.last() == Some(&b'\n');
        if self.content.is_text {
            self.content.is_text = self.is_text(piece);
        }
    }

    /// Whether `piece`, behind what was cut, is text so far; keeps what is cut at its end.
    fn is_text(&mut self, mut piece: &[u8]) -> bool {
        while !self.cut.is_empty() {
            let Some((&next, rest)) = piece.split_first() else { return true };
            self.cut.push(next);
            piece = rest;
            match std::str::from_utf8(&self.cut) {
                Ok(_) => self.cut.clear(),
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) => {
                self.cut.extend_from_slice(&piece[error.valid_up_to()..]);
                error.error_len().is_none()
            }
        }
    }

    fn finish(mut self) -> Content {
        // A last line without its end is a line.
        self.content.lines += u64::from(!self.ends_line);
        self.content.is_text &= self.cut.is_empty();
        self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `wc` and a digest over all at once say, however the content is cut into pieces.
    #[test]
    fn pieces_do_not_matter() {
        let text = "one two\u{e9}\n  three\u{20ac}\u{1f600} four\n\nfive".as_bytes();
        for size in 1..=text.len() {
            let mut tally = Tally::new();
            text.chunks(size).for_each(|piece| tally.add(piece));
            let content = tally.finish();
            assert_eq!((content.bytes, content.lines, content.words), (text.len() as u64, 4, 5));
            assert!(content.is_text, "in pieces of {size}");
        }
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        let digest = |content: &[u8]| {
            let mut tally = Tally::new();
            tally.add(content);
            tally.finish().digest
        };
        // From the authors' test vectors.
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_is_not_text_is_told_wherever_it_is_cut() {
        for bad in [&b"ab\xff\xfe"[..], b"ab\xe2\x82", b"\xe2\x82ab", b"\xc0\x80"] {
            for size in 1..=bad.len() {
                let mut tally = Tally::new();
                bad.chunks(size).for_each(|piece| tally.add(piece));
                assert!(!tally.finish().is_text, "{bad:?} in pieces of {size}");
            }
        }
    }
}
