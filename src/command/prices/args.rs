//! The arguments of `tollgate prices`.

use std::{path::PathBuf, str::FromStr};

use clap::{ArgGroup, Args, Subcommand};

use crate::{
    command::operator::Operator,
    domain::{
        ids::OrganizationId,
        instant::{Moment, ParseMomentError},
        price::MARKUP_BPS_MAX,
        price_file::{DecimalError, Format, usd},
    },
    store::admin::OtherPrices,
};

#[derive(Debug, Args)]
pub(in crate::command) struct PricesArgs {
    #[command(subcommand)]
    pub(in crate::command) command: PricesCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::command) enum PricesCommand {
    /// Puts the list prices of a file in force: all of them, or none if any looks like a mistake
    Import(ImportArgs),
    /// Shows prices: current ones, scheduled ones, and what an organization pays
    Show(ShowArgs),
    /// Sets an organization's own prices, which replace list prices and get no mark-up
    SetOverride(SetOverrideArgs),
    /// Ends an organization's own price of a model: from then on it pays the list price
    EndOverride(EndOverrideArgs),
    /// Sets an organization's mark-up on list prices
    Markup(MarkupArgs),
    /// Recomputes the costs of calls and compares them with the charges; exit status 0 only if all are equal
    Rebill(RebillArgs),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "one a flag")]
pub(in crate::command) struct ImportArgs {
    /// The price file; docs/prices.md has both formats
    #[arg(required_unless_present = "built_in", conflicts_with = "built_in")]
    pub(super) file: Option<PathBuf>,
    /// The prices that come with this version, instead of a file
    #[arg(long)]
    pub(super) built_in: bool,
    /// The file's format: litellm or tollgate. Default: detected from the file
    #[arg(long, value_name = "FORMAT")]
    pub(super) from: Option<Format>,
    /// When the prices come into force: a day in UTC, or a moment. Default: now
    #[arg(long, value_name = "TIME")]
    pub(super) effective_from: Option<Moment>,
    /// The file is only a part of the list: models that it does not name keep their prices, in use or not
    #[arg(long)]
    pub(super) partial: bool,
    /// Accepts prices that change more than tenfold, or are implausible
    #[arg(long)]
    pub(super) accept_jumps: bool,
    /// Shows what would change, and changes nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
pub(in crate::command) struct ShowArgs {
    /// Only this model. Default: all models
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,
    /// Shows what this organization pays
    #[arg(long, value_name = "ID")]
    pub(super) org: Option<OrganizationId>,
    /// Shows the prices in force at this time: a day in UTC, or a moment. Default: now
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<Moment>,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["file", "model"]))]
pub(in crate::command) struct SetOverrideArgs {
    /// Which organization
    #[arg(long, value_name = "ID")]
    pub(super) org: OrganizationId,
    /// Prices from a file in tollgate's own format
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// The price of one model
    #[arg(long, value_name = "NAME", requires = "input")]
    pub(super) model: Option<String>,
    #[command(flatten)]
    pub(super) rates: RateArgs,
    /// Accepts prices of zero
    #[arg(long, requires = "model", conflicts_with = "file")]
    pub(super) free: bool,
    /// Accepts a model that has no list price
    #[arg(long)]
    pub(super) unlisted: bool,
    /// Accepts a price more than ten times above or below the one in force
    #[arg(long)]
    pub(super) accept_jumps: bool,
    /// When it comes into force: a day in the organization's time zone, or a moment. Default: now
    #[arg(long, value_name = "TIME")]
    pub(super) effective_from: Option<Moment>,
    #[command(flatten)]
    pub(super) operator: Operator,
}

/// Dollars per million tokens, and per request.
#[derive(Debug, Args)]
pub(in crate::command) struct RateArgs {
    /// Plain input, in dollars per million tokens
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) input: Option<i64>,
    /// Input read from the provider's cache. Default: as plain input
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) cached_read: Option<i64>,
    /// Input written to the five-minute cache. Default: as plain input
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) cache_write_5m: Option<i64>,
    /// Input written to the one-hour cache. Default: as to the five-minute cache
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) cache_write_1h: Option<i64>,
    /// Output
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) output: Option<i64>,
    /// Reasoning. Default: as output
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) reasoning: Option<i64>,
    /// Per request, in dollars
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) per_request: Option<i64>,
}

#[derive(Debug, Args)]
pub(in crate::command) struct EndOverrideArgs {
    /// Which organization
    #[arg(long, value_name = "ID")]
    pub(super) org: OrganizationId,
    /// For which model
    #[arg(long, value_name = "NAME")]
    pub(super) model: String,
    /// When it comes into force: a day in the organization's time zone, or a moment. Default: now
    #[arg(long, value_name = "TIME")]
    pub(super) effective_from: Option<Moment>,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
pub(in crate::command) struct MarkupArgs {
    /// For which organization
    #[arg(long, value_name = "ID")]
    pub(super) org: OrganizationId,
    /// Basis points (hundredths of a percent) of the list price: 2500 is a quarter
    #[arg(long, value_name = "BPS", value_parser = clap::value_parser!(u32).range(..=i64::from(MARKUP_BPS_MAX)))]
    pub(super) bps: u32,
    /// When it comes into force: a day in the organization's time zone, or a moment. Default: now
    #[arg(long, value_name = "TIME")]
    pub(super) effective_from: Option<Moment>,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["org", "all"]))]
pub(in crate::command) struct RebillArgs {
    /// Only this organization
    #[arg(long, value_name = "ID")]
    pub(super) org: Option<OrganizationId>,
    /// All organizations
    #[arg(long)]
    pub(super) all: bool,
    /// Only calls that arrived at this time or later: a day in the organization's time zone, or a moment
    #[arg(long, value_name = "DATE")]
    pub(super) from: Moment,
    /// Only calls that arrived before this time: the day after the last one, or a moment. Default: now
    #[arg(long, value_name = "DATE")]
    pub(super) to: Option<Moment>,
    /// Also computes the costs by other prices: `current`, or those in force at a moment
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<At>,
    /// Writes a CSV table for other programs
    #[arg(long, conflicts_with = "json")]
    pub(super) csv: bool,
    #[command(flatten)]
    pub(super) operator: Operator,
}

/// Which other prices to compute by.
#[derive(Clone, Debug)]
pub(in crate::command) enum At {
    Current,
    Moment(Moment),
}

impl FromStr for At {
    type Err = ParseMomentError;

    fn from_str(text: &str) -> Result<Self, ParseMomentError> {
        if text == "current" { Ok(Self::Current) } else { text.parse().map(Self::Moment) }
    }
}

impl From<Option<At>> for OtherPrices {
    fn from(at: Option<At>) -> Self {
        match at {
            None => Self::None,
            Some(At::Current) => Self::Current,
            Some(At::Moment(moment)) => Self::At(moment),
        }
    }
}

fn dollars(text: &str) -> Result<i64, DecimalError> {
    usd(text)
}
