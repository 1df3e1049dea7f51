//! Reads lines of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Splits a stream into lines without ever holding more than the limit.
pub(super) struct Lines<R> {
    input: R,
    limit: usize,
}

/// A result of [`Lines::next`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its line feed.
    Whole(Vec<u8>),
    /// A line over the limit, read to its end and discarded.
    TooLong,
    /// The end of the input.
    End,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self { input, limit }
    }

    pub(super) async fn next(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let available = self.input.fill_buf().await?;
            if available.is_empty() {
                return Ok(match (too_long, line.is_empty()) {
                    (true, _) => Line::TooLong,
                    (false, true) => Line::End,
                    (false, false) => Line::Whole(line),
                });
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            if line.len() + part.len() > self.limit {
                too_long = true;
                line = Vec::new();
            }
            if !too_long {
                line.extend_from_slice(part);
            }
            let consumed = part.len() + usize::from(end.is_some());
            self.input.consume(consumed);
            match (end, too_long) {
                (None, _) => {}
                (Some(_), true) => return Ok(Line::TooLong),
                (Some(_), false) => return Ok(Line::Whole(line)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_over_the_limit_costs_only_itself() {
        let input = tokio::io::BufReader::with_capacity(3, &b"ab\n\n0123456789\ncdefg\nhi"[..]);
        let mut lines = Lines::new(input, 5);
        for expected in [
            Line::Whole(b"ab".to_vec()),
            Line::Whole(b"".to_vec()),
            Line::TooLong,
            Line::Whole(b"cdefg".to_vec()),
            Line::Whole(b"hi".to_vec()),
            Line::End,
        ] {
            assert_eq!(lines.next().await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_line_over_the_limit_may_be_the_last() {
        let mut lines = Lines::new(&b"0123456789"[..], 5);
        assert_eq!(lines.next().await.unwrap(), Line::TooLong);
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }
}
