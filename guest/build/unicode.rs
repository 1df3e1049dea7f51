//! What the component has to know of Unicode, asked of the libraries that know it. Packed,
//! it is a twentieth of what their tables and code were in the component.

mod decompositions;
#[path = "../src/unicode/format.rs"]
mod format;
mod properties;

pub use decompositions::decompositions;
pub use properties::properties;

/// Numbers in LEB128: seven bits a byte, the lowest first.
#[derive(Default)]
struct Numbers(Vec<u8>);

impl Numbers {
    fn push(&mut self, mut number: u32) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// How far it is from one number to the next, back or forth: small either way.
    fn push_step(&mut self, from: u32, to: u32) {
        let step = to.wrapping_sub(from).cast_signed();
        self.push(((step << 1) ^ (step >> 31)).cast_unsigned());
    }
}
