//! Portions of users, of which each is imported by one call.

/// Users of one call: as many as `import_users` takes.
const MAX_USERS: usize = 100;
/// Bytes of one call, of which each takes the component time.
const MAX_CHUNK_BYTES: usize = 256 * 1024;
/// What one call is for.
#[derive(Default)]
pub(super) struct Chunk {
    /// The number of its first line, empty and bad ones included.
    pub(super) first_line: u64,
    /// The number of its last line.
    pub(super) last_line: u64,
    /// The numbers of its lines that are JSON.
    pub(super) lines: Vec<u64>,
    /// Those lines, with commas between them.
    pub(super) users: String,
    /// What is wrong with others.
    pub(super) problems: Vec<Problem>,
    /// The size of all.
    pub(super) bytes: u64,
}

/// Why a line was refused.
pub(super) struct Problem {
    /// Its number, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) text: String,
}

/// Why nothing more is read.
pub(super) enum Stop {
    /// There is no use for more.
    Unwanted,
    /// It cannot be read.
    Broken(String),
}

/// Puts users together to portions, in their order.
pub(super) struct Portions<'a> {
    from: u64,
    chunk: Chunk,
    /// False: there is no use for more.
    send: &'a mut dyn FnMut(Chunk) -> bool,
}

impl<'a> Portions<'a> {
    pub(super) fn new(from: u64, send: &'a mut dyn FnMut(Chunk) -> bool) -> Portions<'a> {
        Portions {
            from,
            chunk: Chunk::default(),
            send,
        }
    }

    /// Takes a user, nothing, or why there is none, with the bytes read for it; what is
    /// before the place to begin with is left out.
    pub(super) fn push(
        &mut self,
        number: u64,
        bytes: u64,
        user: Result<&str, String>,
    ) -> Result<(), Stop> {
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

    /// Sends what there is.
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
