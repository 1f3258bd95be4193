//! The way of the canonical form into BLAKE3: a buffer before the hasher, in which unordered collections are sorted.

use super::FORMAT_VERSION;
use super::canonical::Refusal;
use super::digest::CacheKey;
use super::tag;

/// What most keys fit into. They then cost one small allocation and one call of the hasher.
const FIRST: usize = 512;

/// What the hasher is fed with. Token by token it is several times slower, since BLAKE3 works on many chunks of 1 KiB
/// side by side, and does so best when every piece but the last is a power of two.
const PIECE: usize = 32 * 1024;

/// Collects tokens and hashes them.
pub(super) struct Stream {
    /// Of what the buffer did not hold. It is large, and most keys do without.
    hasher: Option<Box<blake3::Hasher>>,
    buffer: Vec<u8>,
    /// How many unordered collections are open. Their parts must stay in the buffer until they are sorted.
    open: usize,
    /// The first refusal of a value or a part of one. It stays even if a `Serialize` that met it went on as if nothing had happened,
    /// since half a part is in the stream by then.
    refusal: Option<Refusal>,
}

impl Stream {
    /// A stream that holds the format's version.
    pub(super) fn new() -> Self {
        let mut buffer = Vec::with_capacity(FIRST);
        buffer.push(FORMAT_VERSION);
        Self {
            hasher: None,
            buffer,
            open: 0,
            refusal: None,
        }
    }

    /// Writes bytes that need no length: a tag, or what follows one.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if self.buffer.capacity().wrapping_sub(self.buffer.len()) < bytes.len() {
            self.put_beyond(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Writes a tag and a text, whose length goes before it.
    #[inline]
    pub(super) fn put_text(&mut self, tag: u8, text: &str) {
        self.put_bytes(tag, text.as_bytes());
    }

    /// Writes a tag and bytes, whose length goes before them.
    #[inline]
    pub(super) fn put_bytes(&mut self, tag: u8, bytes: &[u8]) {
        match u8::try_from(bytes.len()) {
            Ok(length @ 0..0x80) => self.put(&[tag, length]),
            _ => self.put_length(tag, bytes.len()),
        }
        self.put(bytes);
    }

    /// Writes a length of more than seven bits: seven in each byte, the lowest first, and the top bit where more follow.
    #[cold]
    fn put_length(&mut self, tag: u8, length: usize) {
        self.put(&[tag]);
        let mut rest = length;
        while rest >= 0x80 {
            self.put(&[(rest & 0x7f) as u8 | 0x80]);
            rest >>= 7;
        }
        self.put(&[rest as u8]);
    }

    /// Writes what does not fit into the buffer.
    #[cold]
    #[inline(never)]
    fn put_beyond(&mut self, bytes: &[u8]) {
        if self.open > 0 {
            self.buffer.extend_from_slice(bytes);
            return;
        }
        let room = PIECE.saturating_sub(self.buffer.len());
        self.buffer.reserve_exact(room);
        if bytes.len() < room {
            self.buffer.extend_from_slice(bytes);
            return;
        }
        let (head, tail) = bytes.split_at(room);
        self.buffer.extend_from_slice(head);
        let hasher = self.hasher.get_or_insert_default();
        hasher.update(&self.buffer);
        self.buffer.clear();
        let (pieces, rest) = tail.split_at(tail.len() - tail.len() % PIECE);
        hasher.update(pieces);
        self.buffer.extend_from_slice(rest);
    }

    /// Opens a collection whose parts have no order.
    pub(super) fn open_unordered(&mut self, tag: u8) -> Unordered {
        self.put(&[tag]);
        self.open += 1;
        Unordered {
            start: self.buffer.len(),
            ends: Vec::new(),
        }
    }

    /// Ends one part of the innermost open collection.
    pub(super) fn end_part(&self, unordered: &mut Unordered) {
        unordered.ends.push(self.buffer.len());
    }

    /// Sorts the parts of a collection by what was written of them, and closes it.
    pub(super) fn close_unordered(&mut self, unordered: &Unordered) {
        let starts = std::iter::once(&unordered.start).chain(&unordered.ends);
        let ranges = starts.zip(&unordered.ends);
        let mut parts: Vec<(u64, &[u8])> = ranges
            .filter_map(|(start, end)| self.buffer.get(*start..*end))
            .map(|part| (beginning(part), part))
            .collect();
        self.open = self.open.saturating_sub(1);
        if !parts.is_sorted() {
            parts.sort_unstable();
            let mut sorted = Vec::with_capacity(self.buffer.len().saturating_sub(unordered.start));
            parts.iter().for_each(|(_, part)| sorted.extend_from_slice(part));
            self.buffer.truncate(unordered.start);
            self.put(&sorted);
        }
        self.put(&[tag::END]);
        if self.open == 0 && self.buffer.len() > PIECE {
            self.hasher.get_or_insert_default().update(&self.buffer);
            self.buffer = Vec::with_capacity(PIECE);
        }
    }

    /// Remembers that a value refused to be serialized.
    #[cold]
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.refusal.get_or_insert_with(|| refusal.clone());
    }

    /// The first refusal so far.
    pub(super) const fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    /// The digest of everything that was written.
    pub(super) fn finish(self) -> CacheKey {
        let digest = match self.hasher {
            None => blake3::hash(&self.buffer),
            Some(mut hasher) => hasher.update(&self.buffer).finalize(),
        };
        CacheKey::from_bytes(digest.into())
    }
}

/// An open collection: where its parts lie in the buffer.
pub(super) struct Unordered {
    start: usize,
    ends: Vec<usize>,
}

/// The first bytes of a part as a number, so that most comparisons need not look the part up. Parts of fewer than eight bytes
/// come first, which is as good an order as any; like every order of parts it belongs to the format.
fn beginning(part: &[u8]) -> u64 {
    part.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
