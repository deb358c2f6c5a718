//! Static SQL with the types of its parameters, and parameters that no log line shows.

use std::{error::Error, fmt};

use tokio_postgres::types::{Format, IsNull, ToSql, Type, private::BytesMut};

/// The text of one SQL statement, which is part of the program, and the types of `$1…`.
///
/// ```
/// use tollgate::postgres::Query;
/// use tokio_postgres::types::Type;
///
/// const DOUBLE: Query = Query::new("select $1 * 2", &[Type::INT8]);
/// assert_eq!(DOUBLE.sql(), "select $1 * 2");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Query {
    sql: &'static str,
    types: &'static [Type],
}

impl Query {
    /// A query. Its text is one SQL statement that neither begins nor ends a transaction.
    pub const fn new(sql: &'static str, types: &'static [Type]) -> Self {
        Self { sql, types }
    }

    /// Its text.
    pub const fn sql(&self) -> &'static str {
        self.sql
    }

    /// The types of its parameters.
    pub const fn types(&self) -> &'static [Type] {
        self.types
    }
}

/// A parameter, as `tokio-postgres` takes it.
pub type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A parameter whose `Debug` shows nothing: the driver writes parameters to its debug log, and
/// they hold claims and prompts.
#[derive(Clone, Copy)]
pub(super) struct Quiet<'a>(pub(super) Parameter<'a>);

impl fmt::Debug for Quiet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Quiet<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql_checked(ty, out)
    }

    fn accepts(_: &Type) -> bool {
        // `to_sql_checked` asks the parameter itself, when it is written.
        true
    }

    fn to_sql_checked(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.to_sql_checked(ty, out)
    }

    fn encode_format(&self, ty: &Type) -> Format {
        self.0.encode_format(ty)
    }
}
