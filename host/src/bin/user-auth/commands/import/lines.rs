//! Reads the lines of a file in chunks, one for each call.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use same_file::Handle;
use serde_json::Value;
use tokio::sync::mpsc;

use super::export::Export;
use super::portions::{Chunk, Portions, Stop};
use crate::failure::Failure;
use crate::json;

/// Maximum size of a line in bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Maximum number of opening brackets in a line: JSON parsers limit the depth of nesting.
const MAX_BRACKETS: usize = 64;
/// The problem of a line in another format.
const NO_OBJECT: &str = "is not a JSON object";
/// Number of chunks that are read ahead.
const AHEAD: usize = 4;

/// The file that is imported.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    /// The identity of the file, independent of its name.
    pub(super) identity: Handle,
    /// Its size, if it is known.
    pub(super) bytes: Option<u64>,
}

/// The chunks, or the reason why there are no more.
pub(super) type Chunks = mpsc::Receiver<Result<Chunk, Failure>>;

/// Opens a file; `-` is standard input.
pub(super) fn open(path: &Path) -> Result<Input, Failure> {
    let unreadable = |error| {
        Failure::usage(format!(
            "the file {} cannot be read: {error}",
            path.display()
        ))
    };
    if path == Path::new("-") {
        return Ok(Input {
            reader: Box::new(io::stdin()),
            identity: Handle::stdin().map_err(unreadable)?,
            bytes: None,
        });
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(io::ErrorKind::IsADirectory.into()));
    }
    let again = file.try_clone().map_err(unreadable)?;
    Ok(Input {
        reader: Box::new(file),
        identity: Handle::from_file(again).map_err(unreadable)?,
        bytes: metadata.is_file().then_some(metadata.len()),
    })
}

/// Reads lines, or the export of another system, on its own thread. The program does not
/// wait for that thread, because a read of standard input cannot be interrupted.
pub(super) fn read(
    input: Input,
    export: Option<Export>,
    from_line: u64,
) -> Result<Chunks, Failure> {
    let (sender, chunks) = mpsc::channel(AHEAD);
    let noun = if export.is_some() { "user" } else { "line" };
    thread::Builder::new()
        .name("import-lines".to_owned())
        .spawn(move || {
            let mut send = |chunk| sender.blocking_send(Ok(chunk)).is_ok();
            let mut portions = Portions::new(from_line, &mut send);
            let read = match export {
                None => read_lines(input.reader, &mut portions),
                Some(export) => export.read(input.reader, &mut portions),
            };
            // Users that were read before a failure are imported all the same.
            let flushed = portions.flush();
            let failure = match (read, flushed) {
                (Err(Stop::Broken(reason)), Ok(())) => Some(Failure::start(reason)),
                (Ok(()), Ok(())) => portions
                    .end_before_start()
                    .map(|count| too_short(from_line, count, noun)),
                _ => None,
            };
            if let Some(failure) = failure {
                // The import may have ended in the meantime.
                let _ = sender.blocking_send(Err(failure));
            }
        })
        .map_err(|error| Failure::start(format!("a thread cannot be started: {error}")))?;
    Ok(chunks)
}

/// Returns the failure for a file that ends before the line to begin with.
fn too_short(from: u64, count: u64, noun: &str) -> Failure {
    let plural = if count == 1 { "" } else { "s" };
    Failure::usage(format!(
        "`--from-line {from}` is beyond the end of the file, which has {count} {noun}{plural}"
    ))
}

/// Reads one user per line.
fn read_lines(reader: impl Read, portions: &mut Portions) -> Result<(), Stop> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    for number in 1.. {
        let bytes = next_line(&mut reader, &mut line)
            .map_err(|error| Stop::Broken(format!("line {number} cannot be read: {error}")))?;
        if bytes == 0 {
            break;
        }
        portions.push(
            number,
            bytes,
            check(&line).map_err(|problem| advised(number, problem)),
        )?;
    }
    Ok(())
}

/// Returns a problem of a line. If the first line is no user, the file probably has another
/// format.
fn advised(number: u64, problem: &str) -> String {
    if number > 1 || problem != NO_OBJECT {
        return problem.to_owned();
    }
    format!("{problem}; if the file is the export of another system, name the system with `--from`")
}

/// Reads a line, and returns its size, which is 0 at the end of the file. Only the
/// beginning of a line that is too long is kept.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let most = MAX_LINE_BYTES as u64 + 1;
    let mut bytes = reader.by_ref().take(most).read_until(b'\n', line)?;
    if bytes > MAX_LINE_BYTES && line.last() != Some(&b'\n') {
        bytes += reader.skip_until(b'\n')?;
    }
    Ok(bytes as u64)
}

/// Returns a line that can become an element of an array, or an empty line.
fn check(line: &[u8]) -> Result<&str, &'static str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.len() > MAX_LINE_BYTES {
        return Err("is longer than 64 KiB");
    }
    let line = str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    // Some editors put a byte order mark before the first line.
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.is_empty() {
        return Ok(line);
    }
    let brackets = line.bytes().filter(|byte| b"[{".contains(byte));
    if brackets.count() > MAX_BRACKETS {
        return Err("is nested too deeply");
    }
    match json::parse(line) {
        Ok(Value::Object(_)) => Ok(line),
        Err(error) if error.is_data() => Err("has two fields with the same name"),
        _ => Err(NO_OBJECT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(text: &[u8], from_line: u64) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut send = |chunk| {
            chunks.push(chunk);
            true
        };
        let mut portions = Portions::new(from_line, &mut send);
        assert!(read_lines(text, &mut portions).is_ok());
        assert!(portions.flush().is_ok());
        chunks
    }

    #[test]
    fn lines_keep_their_numbers_whatever_is_between_them() {
        let text = b"\xef\xbb\xbf{}\r\n\n  \n{\"a\":1}\n{},{}\n[]\n\xff\n{}";
        let [chunk] = &chunks(text, 1)[..] else {
            panic!("one call is enough");
        };
        assert_eq!(chunk.lines, [1, 4, 8]);
        assert_eq!(chunk.users, r#"{},{"a":1},{}"#);
        assert_eq!(chunk.bytes, text.len() as u64);
        let problems: Vec<_> = chunk.problems.iter().map(|it| it.line).collect();
        assert_eq!(problems, [5, 6, 7]);
        assert_eq!(chunks(text, 5)[0].lines, [8]);
        assert_eq!(chunks(text, 5)[0].first_line, 5);
        assert!(chunks(text, 9).is_empty() && chunks(b"", 1).is_empty());
    }

    #[test]
    fn a_file_of_another_format_gets_advice_once() {
        let chunk = &chunks(b"[\n[\n]\n", 1)[0];
        let texts: Vec<_> = chunk.problems.iter().map(|it| it.text.as_str()).collect();
        assert!(texts[0].starts_with("is not a JSON object; "), "{texts:?}");
        assert!(texts[0].contains("`--from`"), "{texts:?}");
        assert_eq!(texts[1..], ["is not a JSON object"; 2]);
    }

    #[test]
    fn an_import_cannot_begin_beyond_the_end_of_the_file() {
        let count = |from_line| {
            let mut send = |_: Chunk| true;
            let mut portions = Portions::new(from_line, &mut send);
            assert!(read_lines(&b"{}\n{}\n"[..], &mut portions).is_ok());
            portions.end_before_start()
        };
        assert_eq!([1, 2, 3].map(count), [None; 3]);
        assert_eq!(count(4), Some(2));
        let failure = too_short(4, 2, "line");
        assert_eq!(failure.code, 2);
        assert!(failure.message.ends_with("which has 2 lines"), "{failure}");
    }

    #[test]
    fn a_line_that_the_component_cannot_read_is_a_problem_of_that_line_alone() {
        let text = r#"{"a":1}
{"a":1,"a":2}
{"a":{"b":1,"b":1}}
{"a":"\ud800"}
{"a":1e999}
{"a":2}"#;
        let chunk = &chunks(text.as_bytes(), 1)[0];
        assert_eq!(chunk.lines, [1, 6]);
        let problems: Vec<_> = chunk.problems.iter().map(|it| it.line).collect();
        assert_eq!(problems, [2, 3, 4, 5]);
    }

    #[test]
    fn a_line_that_is_too_long_or_too_deep_is_one_problem() {
        let at = |padding: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(padding));
        let longest = at(MAX_LINE_BYTES - 8);
        let too_long = at(1_000_000);
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let deep = format!("{{\"a\":{deep}}}");
        let text = format!("{longest}\n{too_long}\n{deep}\n{{}}\n");
        let chunk = &chunks(text.as_bytes(), 1)[0];
        assert_eq!(chunk.lines, [1, 4]);
        assert_eq!(chunk.problems.len(), 2);
        assert_eq!(chunk.bytes, text.len() as u64);
    }

    #[test]
    fn a_chunk_has_no_more_users_or_bytes_than_one_call_accepts() {
        let many = "{}\n".repeat(250);
        let lengths: Vec<_> = chunks(many.as_bytes(), 1)
            .iter()
            .map(|chunk| (chunk.lines.len(), chunk.first_line, chunk.last_line))
            .collect();
        assert_eq!(lengths, [(100, 1, 100), (100, 101, 200), (50, 201, 250)]);
        let large = format!("{{\"a\":\"{}\"}}\n", "x".repeat(60_000)).repeat(9);
        assert_eq!(chunks(large.as_bytes(), 1).len(), 2);
    }
}
