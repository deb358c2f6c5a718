//! The command as its users run it: as a process, with its line of JSON, its ports and its signals. Also runs the
//! commands of the README.

mod budgets;
mod dev;
mod examples;
mod kit;
mod limits;
mod operate;
mod readme;
mod seals;
mod serve;
mod switches;
mod upstream;

use crate::{logs, program};
