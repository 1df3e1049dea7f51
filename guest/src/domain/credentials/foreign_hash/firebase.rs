//! What Firebase makes of scrypt (<https://github.com/firebase/scrypt>): the key of the
//! project, encrypted by AES-256 in counter mode under what scrypt made of the password.
//!
//! Who knows the key of the project knows from the hash what it was encrypted with. That
//! stands for the hash here, so that the key need not be kept.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

use crate::ports::ScryptParameters;

const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;

/// The cost of the key of AES, for a hash of this cost.
pub fn key_parameters(of_hash: ScryptParameters) -> ScryptParameters {
    ScryptParameters {
        output_length: KEY_BYTES as u32,
        ..of_hash
    }
}

/// The first bytes that AES-256 in counter mode encrypts with; the counter begins with 0.
/// Without a key of 32 bytes there are none, which are no hash.
pub fn keystream(key: &[u8], bytes: u32) -> Vec<u8> {
    let Ok(cipher) = Aes256::new_from_slice(key) else {
        return Vec::new();
    };
    let bytes = bytes as usize;
    let mut stream = Vec::with_capacity(bytes.next_multiple_of(BLOCK_BYTES));
    for counter in 0..bytes.div_ceil(BLOCK_BYTES) as u128 {
        let mut block = Array::from(counter.to_be_bytes());
        cipher.encrypt_block(&mut block);
        stream.extend_from_slice(&block);
    }
    stream.truncate(bytes);
    stream
}

#[cfg(test)]
mod tests {
    use super::keystream;

    #[test]
    fn the_stream_is_that_of_aes_256_over_a_counter_from_0() {
        // NIST, AESAVS appendix B.1 has the key of zeros over the block of zeros.
        let stream = keystream(&[0; 32], 20);
        assert_eq!(
            base16ct::lower::encode_string(&stream[..16]),
            "dc95c078a2408989ad48a21492842087"
        );
        assert_eq!(stream.len(), 20);
        assert_eq!(keystream(&[0; 31], 20), [0; 0]);
    }
}
