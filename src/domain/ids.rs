//! The identifiers that are the same in every service, table, header and log line.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this value. Nothing is mapped: the same value stands in every store.
            pub const fn new(value: Uuid) -> Self {
                Self(value)
            }

            /// The value itself, for a store with a UUID type.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// The tenant. One UUID, the same in every service, claim, table, header and log line.
    OrganizationId
}
uuid_id! {
    /// A team inside an organization; the same rule as for [`OrganizationId`].
    TeamId
}
uuid_id! {
    /// A key of a program inside an organization. A token names the key that it was issued for.
    KeyId
}
uuid_id! {
    /// One call. Together with the organization, it is the key that makes every write about the call idempotent.
    ///
    /// A UUIDv7 made by the gateway, so it also carries the millisecond in which the call arrived.
    RequestId
}
uuid_id! {
    /// One row of the price table. A settlement names the row that it was priced by.
    PriceId
}

impl RequestId {
    /// A new id for a call that arrives now.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id with this value, as a store returns it.
    pub const fn from_uuid(value: Uuid) -> Self {
        Self(value)
    }

    /// When the call arrived, in milliseconds since the Unix epoch; 0 if the id is not a UUIDv7.
    pub fn arrived_ms(self) -> i64 {
        let Some(timestamp) = self.0.get_timestamp() else { return 0 };
        let (seconds, nanos) = timestamp.to_unix();
        let millis = u64::from(nanos / 1_000_000);
        i64::try_from(seconds.saturating_mul(1000).saturating_add(millis)).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_says_the_millisecond_of_its_arrival() {
        let of = |text: &str| RequestId::new(Uuid::parse_str(text).unwrap()).arrived_ms();
        // 1,700,000,000.123 s after the epoch.
        assert_eq!(of("018bcfe5-687b-7000-8000-000000000000"), 1_700_000_000_123);
        assert_eq!(of("00000000-0000-4000-8000-000000000000"), 0);
    }
}
