//! What can be typed behind `tollgate prices`.

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
    /// Puts the list prices of a file in force: all of them, or none where any looks like a mistake
    Import(ImportArgs),
    /// Shows prices: those in force, those to come, and what an organization pays
    Show(ShowArgs),
    /// Agrees on prices with an organization, in place of the list's and without a mark-up
    SetOverride(SetOverrideArgs),
    /// Ends what was agreed on for a model: from then on the list price holds
    EndOverride(EndOverrideArgs),
    /// Sets what is added to list prices for an organization
    Markup(MarkupArgs),
    /// Computes anew what calls cost, and holds it against what was charged; exit status 0 only if all is equal
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
    /// The file's format: litellm or tollgate; else as the file says
    #[arg(long, value_name = "FORMAT")]
    pub(super) from: Option<Format>,
    /// From when on: a day of UTC, or a moment; else from now on
    #[arg(long, value_name = "TIME")]
    pub(super) effective_from: Option<Moment>,
    /// The file is not the whole list: models that it does not name keep their prices, in use or not
    #[arg(long)]
    pub(super) partial: bool,
    /// Prices that change more than tenfold, or are beyond belief, are meant
    #[arg(long)]
    pub(super) accept_jumps: bool,
    /// Says what would change, and changes nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
pub(in crate::command) struct ShowArgs {
    /// Of one model; all of them without it
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,
    /// What this organization pays
    #[arg(long, value_name = "ID")]
    pub(super) org: Option<OrganizationId>,
    /// What is in force at a moment: a day of UTC, or an instant; else now
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<Moment>,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["file", "model"]))]
pub(in crate::command) struct SetOverrideArgs {
    /// With which organization
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
    /// Zero is meant, wherever it stands
    #[arg(long, requires = "model", conflicts_with = "file")]
    pub(super) free: bool,
    /// A model that has no list price is meant
    #[arg(long)]
    pub(super) unlisted: bool,
    /// A price more than ten times above or below the one in force is meant
    #[arg(long)]
    pub(super) accept_jumps: bool,
    /// From when on: a day of the organization's time zone, or a moment; else from now on
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
    /// Input read from the provider's cache; else as input
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) cached_read: Option<i64>,
    /// Input written to the five-minute cache; else as input
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) cache_write_5m: Option<i64>,
    /// Input written to the one-hour cache; else as to the five-minute cache
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) cache_write_1h: Option<i64>,
    /// Output
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) output: Option<i64>,
    /// Reasoning; else as output
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) reasoning: Option<i64>,
    /// Per request, in dollars
    #[arg(long, value_name = "DOLLARS", value_parser = dollars, requires = "model", conflicts_with = "file")]
    pub(super) per_request: Option<i64>,
}

#[derive(Debug, Args)]
pub(in crate::command) struct EndOverrideArgs {
    /// With which organization
    #[arg(long, value_name = "ID")]
    pub(super) org: OrganizationId,
    /// For which model
    #[arg(long, value_name = "NAME")]
    pub(super) model: String,
    /// From when on: a day of the organization's time zone, or a moment; else from now on
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
    /// Hundredths of a percent of the list price: 2500 is a quarter
    #[arg(long, value_name = "BPS", value_parser = clap::value_parser!(u32).range(..=i64::from(MARKUP_BPS_MAX)))]
    pub(super) bps: u32,
    /// From when on: a day of the organization's time zone, or a moment; else from now on
    #[arg(long, value_name = "TIME")]
    pub(super) effective_from: Option<Moment>,
    #[command(flatten)]
    pub(super) operator: Operator,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["org", "all"]))]
pub(in crate::command) struct RebillArgs {
    /// Of one organization
    #[arg(long, value_name = "ID")]
    pub(super) org: Option<OrganizationId>,
    /// Of every organization
    #[arg(long)]
    pub(super) all: bool,
    /// Calls that arrived from then on: a day of the organization's time zone, or a moment
    #[arg(long, value_name = "DATE")]
    pub(super) from: Moment,
    /// And before then: the day after the last one, or a moment; else until now
    #[arg(long, value_name = "DATE")]
    pub(super) to: Option<Moment>,
    /// Also by other prices: `current`, or those in force at a moment
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<At>,
    /// A table for other programs
    #[arg(long, conflicts_with = "json")]
    pub(super) csv: bool,
    #[command(flatten)]
    pub(super) operator: Operator,
}

/// By which other prices.
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
