//! What the bytes of a string are, a block at a time, told by SIMD comparisons. Whoever calls makes a number of it at once:
//! vectors that live across branches are taken apart byte by byte by the compiler.

use fearless_simd::{Simd, mask8x64, prelude::*, u8x64};

/// Bytes looked at together.
pub(super) const BLOCK: usize = 64;

/// Bytes before a block that tell of its first ones.
pub(super) const BEHIND: usize = 2;

/// A block and the bytes before it.
pub(super) type Window = [u8; BEHIND + BLOCK];

/// The block at `at`, where the text does not fill its window.
#[cold]
pub(super) fn padded(text: &[u8], at: usize) -> Window {
    let mut window = [b' '; BEHIND + BLOCK];
    let from = at.saturating_sub(BEHIND);
    let bytes = text.get(from..text.len().min(at + BLOCK)).unwrap_or_default();
    let begin = BEHIND + from - at;
    window[begin..begin + bytes.len()].copy_from_slice(bytes);
    window
}

/// The bytes of the block, each replaced by the one that stands so many before it.
#[inline(always)]
fn bytes<S: Simd>(simd: S, window: &Window, before: usize) -> u8x64<S> {
    let start = BEHIND - before;
    u8x64::from_slice(simd, &window[start..start + BLOCK])
}

/// A bit for each byte at which a walk through plain content stops: a quote, a control character, and what a backslash is
/// in front of; but not at an escaped quote or line's end, the most frequent escapes. Of backslashes in a row it stops at
/// the second.
#[inline(always)]
pub(super) fn stops<S: Simd>(simd: S, window: &Window) -> mask8x64<S> {
    let block = bytes(simd, window, 0);
    let is_behind = bytes(simd, window, 1).simd_eq(b'\\');
    (block.simd_eq(b'"') ^ is_behind) & !block.simd_eq(b'n') | block.simd_le(0x1f)
}

/// A bit for each byte that is more than ASCII.
#[inline(always)]
pub(super) fn high<S: Simd>(simd: S, window: &Window) -> mask8x64<S> {
    bytes(simd, window, 0).simd_ge(0x80)
}

/// A bit for each byte that is no UTF-8 after those before it, or of a character that is seldom: of four bytes, or beginning
/// with E0 or ED, behind which not every byte may follow (RFC 3629, section 4).
#[inline(always)]
pub(super) fn odd_utf8<S: Simd>(simd: S, window: &Window) -> mask8x64<S> {
    let block = bytes(simd, window, 0);
    let follows = (block & 0xc0).simd_eq(0x80);
    let must_follow = bytes(simd, window, 1).simd_ge(0xc0) | bytes(simd, window, 2).simd_ge(0xe0);
    let is_seldom: mask8x64<S> =
        (block & 0xfe).simd_eq(0xc0) | block.simd_eq(0xe0) | block.simd_eq(0xed) | block.simd_ge(0xf0);
    (follows ^ must_follow) | is_seldom
}

/// A bit for each byte of a block, by what it is.
pub(super) struct Marks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    pub(super) controls: u64,
}

impl Marks {
    #[inline(always)]
    pub(super) fn of<S: Simd>(simd: S, window: &Window) -> Marks {
        let block = bytes(simd, window, 0);
        Marks {
            quotes: block.simd_eq(b'"').to_bitmask(),
            backslashes: block.simd_eq(b'\\').to_bitmask(),
            controls: block.simd_le(0x1f).to_bitmask(),
        }
    }
}
