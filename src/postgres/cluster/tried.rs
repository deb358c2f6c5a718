//! Notes what tests could not try on this machine, so that the end of a run can list it.
//!
//! Notes of all test programs of one `cargo test` go to one file: the one that [`NOTES_VARIABLE`] names, else
//! one in the temporary folder that is named after the process that started them. The last test program,
//! `tests/zz_not_tried.rs`, prints the list.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::process::parent_id,
    panic::Location,
    path::PathBuf,
};

/// Names the file of the notes, for a run that spans several commands. Notes are appended to it.
pub const NOTES_VARIABLE: &str = "TOLLGATE_TRIED";

/// Returns `there` and notes it, with the place in the code that asks. A test that gets `false` returns.
///
/// `what` says what the test needs, as the end of "not tried here, for want of …".
///
/// # Panics
/// The note cannot be written: a test would be skipped without a trace.
#[track_caller]
pub fn has(what: &str, there: bool) -> bool {
    let place = Location::caller();
    let outcome = if there { "tried" } else { "skipped" };
    let note = format!("{outcome}\t{}:{}\t{what}\n", place.file(), place.line());
    let written = fs::OpenOptions::new().create(true).append(true).open(notes());
    // One write, so that lines of several processes do not mix.
    let written = written.and_then(|mut file| file.write_all(note.as_bytes()));
    assert!(written.is_ok(), "a skipped test cannot be noted: {written:?}");
    there
}

/// The places in the code that were always skipped since the file was begun, and what each of them needs.
///
/// # Errors
/// The file exists and cannot be read.
pub fn never_tried() -> io::Result<Vec<(String, String)>> {
    match fs::read_to_string(notes()) {
        Ok(notes) => Ok(never(&notes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn never(notes: &str) -> Vec<(String, String)> {
    let fields = notes.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let (tried, skipped): (Vec<_>, Vec<_>) = fields.partition(|note| note.0 == "tried");
    let mut never: Vec<_> = skipped
        .into_iter()
        .map(|(_, place, what)| (place.to_owned(), what.to_owned()))
        .filter(|(place, what)| {
            !tried.iter().any(|other| (other.1, other.2) == (place.as_str(), what.as_str()))
        })
        .collect();
    never.sort();
    never.dedup();
    never
}

fn notes() -> PathBuf {
    env::var_os(NOTES_VARIABLE).map_or_else(
        || env::temp_dir().join(format!("tollgate-tried-{}", parent_id())),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_once_is_not_listed_and_what_never_was_is_listed_once() {
        let notes = "skipped\ta.rs:1\ta disk\nskipped\tb.rs:2\ta server\ntried\tb.rs:2\ta server\nskipped\ta.rs:1\ta disk\n";
        assert_eq!(never(notes), [("a.rs:1".to_owned(), "a disk".to_owned())]);
    }
}
