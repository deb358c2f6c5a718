//! The whole gateway under failures around it: clients that leave, providers that fail, a database that stops. After
//! every case, the books are compared with the provider's own count.

mod bodies;
mod clients;
mod completions;
mod death;
mod encodings;
mod endless;
mod http2;
mod outage;
mod prices;
mod providers;
mod races;
mod rates;
mod record;
mod shutdown;
mod slow;
mod switch;
mod tenants;

use crate::harness;
