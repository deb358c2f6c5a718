//! Error messages of the command: why an operation was not carried out, and which options to change.

use super::Failure;
use crate::{
    admin::problem::{Problem, ScopeFault},
    domain::ids::OrganizationId,
    gateway::DatabaseError,
    store::admin::MoveError,
};

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let words = match problem {
            Problem::Input(input) => return input.into(),
            Problem::Scope(fault) => return fault.into(),
            Problem::Move(id, error) => return of_move(id, error),
            Problem::PriceFile(error) => return error.into(),
            Problem::DoesNotAddUp(error) => return error.into(),
            Problem::Store(error) => return DatabaseError::from(error).into(),
            Problem::UnknownOrganization(id) => {
                format!("there is no organization {id} in this database")
            }
            Problem::OrganizationExists(id) => format!("there is an organization {id} already"),
            Problem::OtherAmount => "this reference stands for a grant of another amount".into(),
            Problem::BalanceTooLarge => {
                "the balance would be larger than 9.2 billion dollars".into()
            }
            Problem::NoPolicyObject => {
                "not a policy: expected a JSON object such as {\"rates\": {\"requests_per_minute\": 60}}"
                    .into()
            }
            Problem::NotAPolicy(error) => format!("not a policy: {error}"),
            Problem::TooManySwitches => {
                "too many of its kill switches are on: suspend a team or the whole organization instead".into()
            }
            Problem::NothingLimited => {
                "nothing would be limited: use `tollgate limits remove`".into()
            }
            Problem::UnknownModel(pattern) => format!(
                "no model with a price is named `{pattern}`: this limit would count nothing"
            ),
            Problem::NoSuchLimit => {
                "there is no such limit; `tollgate limits show` lists them".into()
            }
            Problem::NothingCapped => "nothing would be capped: use `tollgate budgets remove`".into(),
            Problem::NoSuchBudget => {
                "there is no such budget; `tollgate budgets show` lists them".into()
            }
            Problem::Past => {
                "--effective-from is past: calls have been settled by other prices since".into()
            }
            Problem::SameMoment => {
                "another price or mark-up begins at exactly that moment: choose another moment with --effective-from"
                    .into()
            }
            Problem::NoPrice(model) => format!("{model} has no price: calls for it are refused"),
            Problem::Price(faults) => {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                format!("nothing was agreed on: {}", faults.join("; "))
            }
            Problem::EmptyWindow => {
                "the window is empty: --to must be later than --from, for example the day after the last one".into()
            }
        };
        Self::new(words)
    }
}

fn of_move(id: OrganizationId, error: MoveError) -> Failure {
    if let MoveError::UnknownTimeZone(zone) = &error {
        return Failure::new(format!(
            "{zone} is not a time zone that this Postgres knows: use a name such as Europe/Berlin"
        ));
    }
    if let MoveError::OtherMove(place) = &error {
        return Failure::new(format!(
            "{id} is being moved to {place}: finish that first (`tollgate org move {id} --to …`), or undo it with --abort"
        ));
    }
    error.into()
}

impl From<ScopeFault> for Failure {
    fn from(fault: ScopeFault) -> Self {
        Self::new(match fault {
            ScopeFault::OrganizationHasNoId => {
                "--scope organization takes neither --id nor --each: --org names the organization"
                    .to_owned()
            }
            ScopeFault::Unnamed(scope) => {
                format!("no {scope} is named: pass its id with --id, or use --each")
            }
            ScopeFault::Reserved(scope) => {
                format!("this id is reserved: to name every {scope}, use --each")
            }
            ScopeFault::NotAUuid(scope, id) => {
                format!("`{id}` is not the id of a {scope}: expected a UUID")
            }
        })
    }
}
