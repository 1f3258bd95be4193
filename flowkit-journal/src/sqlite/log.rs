//! Whether the log of a database is whole. SQLite takes a frame that does not verify for its end, and says nothing of those behind it: after a crash that is right, and
//! of a log that was damaged or cut short it loses what had been written.
//!
//! The format is that of <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::end::End;
use super::files::{LOG, beside, length};

/// How long the header is, and that of each frame.
pub(super) const HEADER: usize = 32;
const FRAME: usize = 24;
/// The first word, but for its last bit: whether the words of checksums are read with the largest byte first.
const MAGIC: u32 = 0x377f_0682;
/// The largest page.
const MOST: usize = 65_536;

/// Whether the log of a database lacks something that was committed. One that is not there, or has nothing in it, is whole.
///
/// Where it was noted how far this round of the log went, that much must be there. What lies behind is of a commit that nobody was told of, and of those there
/// may be pieces: of one that a death cut off and the next life wrote over in part, and after a power failure pages in any order. Without a note, pieces that
/// lie behind something that does not verify are taken for a loss.
pub(super) fn is_broken(file: &Path) -> io::Result<bool> {
    let log = beside(file, LOG);
    if length(&log) == 0 {
        return Ok(false);
    }
    let Some((end, has_pieces)) = read(&log)? else {
        return Ok(true);
    };
    Ok(match End::noted(file) {
        Some(noted) => noted.salts == end.salts && noted.frames > end.frames,
        None => has_pieces,
    })
}

/// How far a log goes, and whether there are more frames of this round of it behind one that does not verify; `None` when not even its header verifies.
fn read(log: &Path) -> io::Result<Option<(End, bool)>> {
    let mut log = BufReader::new(File::open(log)?);
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let word = |bytes: &[u8], index: usize| {
        let bytes = bytes.get(4 * index..4 * index + 4).unwrap_or_default();
        bytes.try_into().map_or(0, u32::from_be_bytes)
    };
    let magic = word(&header, 0);
    let page = word(&header, 2) as usize;
    let mut sum = Checksum {
        largest_first: magic & 1 == 1,
        sums: (0, 0),
    };
    sum.add(header.get(..24).unwrap_or_default());
    if magic & !1 != MAGIC || page > MOST || sum.sums != (word(&header, 6), word(&header, 7)) {
        return Ok(None);
    }
    let mut frames = 0;
    let salts = (word(&header, 4), word(&header, 5));
    let mut frame = vec![0; FRAME + page];
    let (mut ended, mut has_pieces) = (false, false);
    while fill(&mut log, &mut frame)? {
        // What an earlier round of the log left behind has other salts.
        if (word(&frame, 2), word(&frame, 3)) != salts {
            ended = true;
            continue;
        }
        if ended {
            has_pieces = true;
            break;
        }
        sum.add(frame.get(..8).unwrap_or_default());
        sum.add(frame.get(FRAME..).unwrap_or_default());
        ended = sum.sums != (word(&frame, 4), word(&frame, 5));
        frames += u32::from(!ended);
    }
    Ok(salts_of(&header).map(|salts| (End { salts, frames }, has_pieces)))
}

/// The salts in the header of a log, as they lie there: what tells this round of it from those before.
pub(super) fn salts_of(header: &[u8; HEADER]) -> Option<[u8; 8]> {
    header.get(16..24)?.try_into().ok()
}

/// Reads as much as there is room for; false at the end of the file.
fn fill(file: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(into) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// The checksum that runs through the log.
struct Checksum {
    largest_first: bool,
    sums: (u32, u32),
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let words = bytes.chunks_exact(4).map(|word| {
            let word = word.try_into().unwrap_or_default();
            match self.largest_first {
                true => u32::from_be_bytes(word),
                false => u32::from_le_bytes(word),
            }
        });
        let (mut first, mut second) = self.sums;
        for (index, word) in words.enumerate() {
            if index % 2 == 0 {
                first = first.wrapping_add(word).wrapping_add(second);
            } else {
                second = second.wrapping_add(word).wrapping_add(first);
            }
        }
        self.sums = (first, second);
    }
}
