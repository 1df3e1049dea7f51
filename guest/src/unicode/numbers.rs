//! The numbers that a table consists of.

/// Numbers in LEB128, as the build script writes them. After the last one comes nothing
/// but zeros.
pub struct Numbers<'a> {
    bytes: std::slice::Iter<'a, u8>,
    /// What the last step led to.
    at: u32,
}

impl Numbers<'_> {
    /// Of a whole table.
    pub fn new(table: &[u8]) -> Numbers<'_> {
        Numbers {
            bytes: table.iter(),
            at: 0,
        }
    }

    /// The next number.
    pub fn next(&mut self) -> u32 {
        let mut number = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.bytes.next().copied().unwrap_or_default();
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    /// The next number, a count: no more than there can be.
    pub fn next_count(&mut self) -> usize {
        let most = self.bytes.len();
        most.min(self.next() as usize)
    }

    /// Begins a row of steps, from zero.
    pub fn begin_steps(&mut self) {
        self.at = 0;
    }

    /// Where the next step leads, back or forth.
    pub fn step(&mut self) -> char {
        let step = self.next();
        self.at = self
            .at
            .wrapping_add((step >> 1) ^ (step & 1).wrapping_neg());
        char::from_u32(self.at).unwrap_or_default()
    }
}
