//! An error with its causes.

use std::error::Error;

/// The error and its causes in one line. A cause whose text is already included is left out.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Said {
        text: &'static str,
        source: Box<dyn Error + Send + Sync>,
    }

    fn said(text: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Said {
        Said { text, source: source.into() }
    }

    #[test]
    fn an_error_is_named_with_all_its_causes() {
        let error = said("no answer", said("no connection", io::Error::other("refused")));
        assert_eq!(causes(&error), "no answer: no connection: refused");
    }

    #[test]
    fn a_cause_that_is_named_already_is_not_repeated() {
        let error = said("no connection: refused", said("refused", io::Error::other("by a wall")));
        assert_eq!(causes(&error), "no connection: refused: by a wall");
    }
}
