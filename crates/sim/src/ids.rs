//! Identifiers that look like the real APIs', the same for the same seed.

/// Makes identifiers.
pub(crate) struct Ids(fastrand::Rng);

const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8] = b"0123456789abcdef";

impl Ids {
    pub(crate) fn new(seed: u64) -> Ids {
        Ids(fastrand::Rng::with_seed(seed))
    }

    /// `prefix` and `len` letters and digits.
    pub(crate) fn alnum(&mut self, prefix: &str, len: usize) -> String {
        self.make(prefix, len, ALNUM)
    }

    /// `prefix` and `len` hexadecimal digits.
    pub(crate) fn hex(&mut self, prefix: &str, len: usize) -> String {
        self.make(prefix, len, HEX)
    }

    fn make(&mut self, prefix: &str, len: usize, alphabet: &[u8]) -> String {
        let mut id = String::with_capacity(prefix.len() + len);
        id.push_str(prefix);
        for _ in 0..len {
            id.push(char::from(alphabet[self.0.usize(..alphabet.len())]));
        }
        id
    }
}
