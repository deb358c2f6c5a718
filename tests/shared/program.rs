//! Which program the suites start.

use std::path::PathBuf;

/// The one that was built with them; or the one that `TOLLGATE_BIN` names, as CI does with the `dist` build.
pub(crate) fn tollgate() -> PathBuf {
    std::env::var_os("TOLLGATE_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_tollgate").into(), PathBuf::from)
}
