//! The model's randomness: a seeded generator, so that the same calls give the same names.

/// `SplitMix64`: small, and good enough for names.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// The letters of generated names: no vowels, so that no words appear.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A UUID, version 4.
    pub(crate) fn uid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }

    /// The tail of a generated name.
    pub(crate) fn suffix(&mut self) -> String {
        let mut tail = String::with_capacity(5);
        for _ in 0..5 {
            let at = usize::try_from(self.next() % 27).unwrap_or(0);
            tail.push(char::from(ALPHABET.get(at).copied().unwrap_or(b'b')));
        }
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_names() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        assert_eq!((one.uid(), one.suffix()), (other.uid(), other.suffix()));
        assert_ne!(one.uid(), Random::new(8).uid());
    }
}
