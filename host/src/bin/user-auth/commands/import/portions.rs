//! Chunks of users, each of which is imported by one call.

/// Maximum number of users in a call: as many as `import_users` accepts.
const MAX_USERS: usize = 100;
/// Number of bytes from which a chunk is full, which bounds the time of a call.
const MAX_CHUNK_BYTES: usize = 256 * 1024;

/// The users of one call.
#[derive(Default)]
pub(super) struct Chunk {
    /// The number of its first line, empty and bad ones included.
    pub(super) first_line: u64,
    /// The number of its last line.
    pub(super) last_line: u64,
    /// The numbers of its lines that are JSON.
    pub(super) lines: Vec<u64>,
    /// Those lines, separated by commas.
    pub(super) users: String,
    /// The problems of the other lines.
    pub(super) problems: Vec<Problem>,
    /// The size of all lines.
    pub(super) bytes: u64,
}

/// Why a line was refused.
pub(super) struct Problem {
    /// Its number, from 1.
    pub(super) line: u64,
    /// The reason.
    pub(super) text: String,
}

/// Why reading stops.
pub(super) enum Stop {
    /// The import has ended.
    Unwanted,
    /// The file cannot be read.
    Broken(String),
}

/// Collects users into chunks, in their order.
pub(super) struct Portions<'a> {
    from: u64,
    /// The number of the last user, from 1.
    last: u64,
    chunk: Chunk,
    /// Sends a chunk. Returns `false` once the import has ended.
    send: &'a mut dyn FnMut(Chunk) -> bool,
}

impl<'a> Portions<'a> {
    pub(super) fn new(from: u64, send: &'a mut dyn FnMut(Chunk) -> bool) -> Portions<'a> {
        Portions {
            from,
            last: 0,
            chunk: Chunk::default(),
            send,
        }
    }

    /// Adds a user, which is empty for an empty line, or a problem, with the bytes read for
    /// it. Lines before the one to begin with are skipped.
    pub(super) fn push(
        &mut self,
        number: u64,
        bytes: u64,
        user: Result<&str, String>,
    ) -> Result<(), Stop> {
        self.last = number;
        let chunk = &mut self.chunk;
        chunk.bytes += bytes;
        if number < self.from {
            return Ok(());
        }
        if chunk.first_line == 0 {
            chunk.first_line = number;
        }
        chunk.last_line = number;
        match user {
            Ok("") => {}
            Ok(user) => chunk.add(number, user),
            Err(text) => chunk.problems.push(Problem { line: number, text }),
        }
        let is_full = chunk.lines.len() + chunk.problems.len() >= MAX_USERS
            || chunk.users.len() >= MAX_CHUNK_BYTES;
        if is_full { self.flush() } else { Ok(()) }
    }

    /// Returns how many users there are if the one to begin with is beyond them. It may be
    /// the one after the last: an import that was stopped at the end names that one.
    pub(super) fn end_before_start(&self) -> Option<u64> {
        (self.from > self.last + 1).then_some(self.last)
    }

    /// Sends the chunk that has been collected.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.first_line == 0 || (self.send)(chunk) {
            Ok(())
        } else {
            Err(Stop::Unwanted)
        }
    }
}

impl Chunk {
    fn add(&mut self, number: u64, user: &str) {
        if !self.users.is_empty() {
            self.users.push(',');
        }
        self.users += user;
        self.lines.push(number);
    }
}
