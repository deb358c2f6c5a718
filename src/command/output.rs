//! Writes results and failures.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
};

use serde::Serialize;

use crate::causes::causes;

/// Why a command failed: one sentence, with the causes.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with this text, which also says what to do, if anything can be done.
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: Error> From<E> for Failure {
    /// The error and its causes.
    fn from(error: E) -> Self {
        Self(causes(&error))
    }
}

/// A table on standard output, as CSV (RFC 4180), written row by row.
pub(super) struct Table(csv::Writer<io::BufWriter<io::Stdout>>);

impl Table {
    pub(super) fn new(header: &[&str]) -> io::Result<Self> {
        let out = io::BufWriter::new(io::stdout());
        let table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        let mut table = Self(table);
        table.row(header)?;
        Ok(table)
    }

    pub(super) fn row(&mut self, row: &[impl AsRef<[u8]>]) -> io::Result<()> {
        self.0.write_record(row).map_err(io::Error::from)
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A cell with untrusted text. Text that a spreadsheet would take for a formula gets a leading apostrophe.
pub(super) fn cell(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Whether standard output is still being read. A closed pipe is no error, as in `tollgate org show … | head -1`.
pub(super) fn read_on(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
    }
}

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Writes a result: `text` for people, or `value` as one line of JSON.
    pub(super) fn result(
        self,
        text: impl fmt::Display,
        value: &impl Serialize,
    ) -> Result<(), Failure> {
        let line = if self.json { serde_json::to_string(value)? } else { text.to_string() };
        let mut out = io::stdout().lock();
        read_on(writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush())).map(drop)
    }
}
