//! The file format: a header, the records in blocks, and an end that counts them.
//!
//! ```text
//! "USER-AUTH-BACKUP"  version: u32  length: u32  header (JSON)  SHA-256 of all this
//! length: u32  records  seal        as often as it takes
//! 0: u32  records altogether: u64  seal
//! ```
//!
//! Numbers are big-endian. A record is the length of its key (u16), the key, its expiry
//! time (i64, `i64::MAX` for never), the length of its value (u32) and the value. A
//! seal is HMAC-SHA256 over the hash of the header, the number of the block and its
//! content, so that no block can be changed, left out, moved, or taken from another
//! backup. A block is verified before anything in it is used.

use std::io::{self, Read, Write};

use hmac::{Hmac, KeyInit, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{BackupError, Extent};
use crate::keys::master_key::MasterKey;
use crate::keys::records::{KEY_CHECK, Lock, READY, ROOT_KEY};
use crate::keys::store_keys::StoreKeys;
use crate::store::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Record, SNAPSHOT_PAGE_BYTES, Store};
use crate::time;

const MAGIC: &[u8; 16] = b"USER-AUTH-BACKUP";
/// Version of the format. Raise it with every change.
pub(super) const VERSION: u32 = 1;
/// The label of the key that seals blocks.
const LABEL: &str = "host/backup";
const SEAL_BYTES: usize = 32;
/// Maximum size of a header, so that a damaged length is not trusted.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Maximum size of a block: a page of a snapshot, one more large record, and the fields
/// before each key and value.
const MAX_BLOCK_BYTES: usize = SNAPSHOT_PAGE_BYTES + MAX_VALUE_BYTES + MAX_KEY_BYTES + 64 * 1024;

/// The header at the start of the file, in plain text.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    /// Distinguishes this backup from all others.
    id: String,
    created_at: String,
    /// The program that wrote it.
    program: String,
    /// The kind of the store.
    store: String,
    key_check: String,
    root_key: Option<String>,
}

impl Header {
    /// Returns the header of a backup of this store that begins now.
    pub(super) async fn of(store: &dyn Store) -> Result<Header, BackupError> {
        let lock = Lock::read(store).await?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Header {
            id: base16ct::lower::encode_string(&id),
            created_at: time::now(),
            program: concat!("user-auth ", env!("CARGO_PKG_VERSION")).to_owned(),
            store: store.kind().to_owned(),
            key_check: text(lock.check),
            root_key: lock.root.map(text),
        })
    }

    /// Returns the key check of the store.
    pub(super) fn check(&self) -> &[u8] {
        self.key_check.as_bytes()
    }

    fn lock(&self) -> Lock {
        Lock {
            check: self.key_check.clone().into_bytes(),
            root: self.root_key.clone().map(String::into_bytes),
        }
    }
}

/// Seals blocks one after the other.
struct Sealer {
    key: Zeroizing<[u8; 32]>,
    header_hash: [u8; 32],
    block: u64,
}

impl Sealer {
    fn new(keys: &StoreKeys, header_hash: [u8; 32]) -> Sealer {
        Sealer {
            key: Zeroizing::new(keys.derive(LABEL)),
            header_hash,
            block: 0,
        }
    }

    /// Returns the seal of the next block.
    fn next(&mut self, is_end: bool, content: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC accepts keys of any length")]
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.key).expect("any length");
        mac.update(&self.header_hash);
        mac.update(&self.block.to_be_bytes());
        mac.update(&[u8::from(is_end)]);
        mac.update(content);
        self.block += 1;
        mac
    }
}

/// Writes a backup.
pub(super) struct Writer<W> {
    out: W,
    sealer: Sealer,
    extent: Extent,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(mut out: W, header: &Header, keys: &StoreKeys) -> io::Result<Self> {
        let json = serde_json::to_vec(header)?;
        let mut start = MAGIC.to_vec();
        start.extend(VERSION.to_be_bytes());
        start.extend(length(json.len())?);
        start.extend(json);
        let hash: [u8; 32] = Sha256::digest(&start).into();
        start.extend(hash);
        out.write_all(&start)?;
        Ok(Self {
            out,
            sealer: Sealer::new(keys, hash),
            extent: Extent {
                records: 0,
                bytes: start.len() as u64,
            },
        })
    }

    /// Writes a page of records. The host's records are in the header.
    pub(super) fn page(&mut self, records: &[Record]) -> io::Result<()> {
        let records = records.iter().filter(|record| !is_of_the_host(&record.key));
        let mut block = Vec::with_capacity(SNAPSHOT_PAGE_BYTES);
        let mut count = 0;
        for record in records {
            encode(record, &mut block)?;
            count += 1;
        }
        if block.is_empty() {
            return Ok(());
        }
        self.extent.records += count;
        let seal = self.sealer.next(false, &block).finalize().into_bytes();
        self.write(&length(block.len())?)?;
        self.write(&block)?;
        self.write(&seal)
    }

    /// Writes the end.
    pub(super) fn finish(mut self) -> io::Result<(W, Extent)> {
        let count = self.extent.records.to_be_bytes();
        let seal = self.sealer.next(true, &count).finalize().into_bytes();
        self.write(&[0; 4])?;
        self.write(&count)?;
        self.write(&seal)?;
        self.out.flush()?;
        Ok((self.out, self.extent))
    }

    /// Returns how much was written.
    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extent.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// Reads a backup.
pub(super) struct Reader<R> {
    input: Counted<R>,
    lock: Lock,
    sealer: Sealer,
    records: u64,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header, and checks the master key against that of the backup.
    pub(super) fn open(input: R, master: &MasterKey) -> Result<Self, BackupError> {
        let mut input = Counted { input, bytes: 0 };
        let magic = input.take(MAGIC.len());
        match magic {
            Ok(magic) if magic == MAGIC => {}
            Ok(_) | Err(BackupError::Truncated(_)) => return Err(BackupError::Foreign),
            Err(error) => return Err(error),
        }
        let version = input.number()?;
        if version > VERSION {
            return Err(BackupError::Newer(version));
        }
        let length = input.number()?;
        if version == 0 || length as usize > MAX_HEADER_BYTES {
            return Err(input.damaged());
        }
        let json = input.take(length as usize)?;
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        hash.update(version.to_be_bytes());
        hash.update(length.to_be_bytes());
        hash.update(&json);
        let hash: [u8; 32] = hash.finalize().into();
        if input.take(hash.len())? != hash {
            return Err(input.damaged());
        }
        let header: Header = serde_json::from_slice(&json).map_err(|_| input.damaged())?;
        let lock = header.lock();
        let keys = master.open(&lock)?;
        Ok(Self {
            input,
            lock,
            sealer: Sealer::new(&keys, hash),
            records: 0,
            is_over: false,
        })
    }

    /// Returns the lock of the store that was backed up.
    pub(super) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Returns the next records. An empty page is the end, after everything has been
    /// verified.
    pub(super) fn page(&mut self) -> Result<Vec<Record>, BackupError> {
        if self.is_over {
            return Ok(Vec::new());
        }
        let length = self.input.number()? as usize;
        if length == 0 {
            return self.end();
        }
        if length > MAX_BLOCK_BYTES {
            return Err(self.input.damaged());
        }
        let block = self.input.take(length)?;
        self.verify(false, &block)?;
        let records = decode(&block).ok_or_else(|| self.input.damaged())?;
        self.records += records.len() as u64;
        Ok(records)
    }

    fn end(&mut self) -> Result<Vec<Record>, BackupError> {
        let count = self.input.take(8)?;
        self.verify(true, &count)?;
        if count != self.records.to_be_bytes() || !self.input.is_at_end()? {
            return Err(self.input.damaged());
        }
        self.is_over = true;
        Ok(Vec::new())
    }

    fn verify(&mut self, is_end: bool, content: &[u8]) -> Result<(), BackupError> {
        let seal = self.input.take(SEAL_BYTES)?;
        let expected = self.sealer.next(is_end, content);
        expected
            .verify_slice(&seal)
            .map_err(|_| self.input.damaged())
    }

    /// Returns how much was read.
    pub(super) fn extent(&self) -> Extent {
        Extent {
            records: self.records,
            bytes: self.input.bytes,
        }
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    input: R,
    bytes: u64,
}

impl<R: Read> Counted<R> {
    fn take(&mut self, length: usize) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::with_capacity(length.min(SNAPSHOT_PAGE_BYTES));
        (&mut self.input)
            .take(length as u64)
            .read_to_end(&mut bytes)?;
        self.bytes += bytes.len() as u64;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(BackupError::Truncated(self.bytes))
        }
    }

    fn number(&mut self) -> Result<u32, BackupError> {
        let bytes = self.take(4)?;
        let bytes = bytes.try_into().map_err(|_| self.damaged())?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn is_at_end(&mut self) -> Result<bool, BackupError> {
        Ok(self.input.read(&mut [0])? == 0)
    }

    fn damaged(&self) -> BackupError {
        BackupError::Damaged(self.bytes)
    }
}

/// Returns whether a record is one of the host's, which say how the store is opened and
/// whether it can be.
pub(super) fn is_of_the_host(key: &str) -> bool {
    [KEY_CHECK, ROOT_KEY, READY].contains(&key)
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    let length = u32::try_from(bytes).map_err(io::Error::other)?;
    Ok(length.to_be_bytes())
}

fn encode(record: &Record, block: &mut Vec<u8>) -> io::Result<()> {
    let key = u16::try_from(record.key.len()).map_err(io::Error::other)?;
    block.extend(key.to_be_bytes());
    block.extend(record.key.as_bytes());
    block.extend(record.expires_at_ms.unwrap_or(i64::MAX).to_be_bytes());
    block.extend(length(record.value.len())?);
    block.extend(&record.value);
    Ok(())
}

/// Decodes a block, or returns `None` if it is not a list of records.
fn decode(mut block: &[u8]) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    while !block.is_empty() {
        let length = u16::from_be_bytes(*take_array(&mut block)?);
        let key = String::from_utf8(take(&mut block, length.into())?.to_vec()).ok()?;
        let expires_at_ms = i64::from_be_bytes(*take_array(&mut block)?);
        let length = u32::from_be_bytes(*take_array(&mut block)?);
        records.push(Record {
            key,
            expires_at_ms: (expires_at_ms != i64::MAX).then_some(expires_at_ms),
            value: take(&mut block, length as usize)?.to_vec(),
        });
    }
    Some(records)
}

fn take<'a>(block: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some(taken)
}

fn take_array<'a, const N: usize>(block: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = block.split_first_chunk()?;
    *block = rest;
    Some(taken)
}
