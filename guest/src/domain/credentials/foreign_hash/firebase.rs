//! Firebase's variant of scrypt (<https://github.com/firebase/scrypt>): the key of the
//! project, encrypted by AES-256 in counter mode under the scrypt output of the password.
//!
//! The key of the project and the hash together determine the keystream. The keystream
//! replaces the hash here, so that the key need not be stored.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

use crate::ports::ScryptParameters;

const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;

/// Returns the scrypt parameters that derive the AES key for a hash with these parameters.
pub fn key_parameters(of_hash: ScryptParameters) -> ScryptParameters {
    ScryptParameters {
        output_length: KEY_BYTES as u32,
        ..of_hash
    }
}

/// Returns the first bytes of the AES-256 keystream in counter mode, with a counter that
/// begins at 0. Returns no bytes, which match no hash, unless the key has 32 bytes.
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
    fn the_keystream_is_aes_256_in_counter_mode_starting_at_0() {
        // NIST AESAVS appendix B.1: the zero key over the zero block.
        let stream = keystream(&[0; 32], 20);
        assert_eq!(
            base16ct::lower::encode_string(&stream[..16]),
            "dc95c078a2408989ad48a21492842087"
        );
        assert_eq!(stream.len(), 20);
        assert_eq!(keystream(&[0; 31], 20), [0; 0]);
    }
}
