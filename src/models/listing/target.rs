//! What a request to the listing asks for.

use crate::domain::{dialect::Dialect, percent};

/// All models, or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    All(Page),
    One(String),
}

/// The requested part of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: Option<usize>,
    pub(super) after_id: Option<String>,
    pub(super) before_id: Option<String>,
}

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 1000;

impl Target {
    /// Reads the path after `/models`, and the paging if the dialect has one.
    pub(super) fn read(path: &str, query: Option<&str>, dialect: Dialect) -> Option<Self> {
        let (_, rest) = path.split_once("/models")?;
        match rest.strip_prefix('/') {
            None if rest.is_empty() => Some(Self::All(Page::read(query, dialect))),
            Some("") => Some(Self::All(Page::read(query, dialect))),
            Some(id) => Some(Self::One(percent_decoded(id))),
            None => None,
        }
    }
}

impl Page {
    fn read(query: Option<&str>, dialect: Dialect) -> Self {
        let mut page = Self::default();
        if dialect == Dialect::OpenAi {
            return page;
        }
        page.limit = Some(LIMIT_DEFAULT);
        for (name, value) in query.unwrap_or("").split('&').filter_map(|pair| pair.split_once('='))
        {
            match name {
                "limit" => {
                    let limit = value.parse().ok().map(|limit: usize| limit.clamp(1, LIMIT_MAX));
                    page.limit = limit.or(page.limit);
                }
                "after_id" => page.after_id = Some(percent_decoded(value)),
                "before_id" => page.before_id = Some(percent_decoded(value)),
                _ => {}
            }
        }
        page
    }

    /// Cuts the page out of a sorted list. The flag says whether there are more items in the requested direction.
    pub(super) fn cut<T>(&self, mut sorted: Vec<T>, id: impl Fn(&T) -> &str) -> (Vec<T>, bool) {
        if let Some(after) = &self.after_id {
            sorted.retain(|one| id(one) > after.as_str());
        }
        if let Some(before) = &self.before_id {
            sorted.retain(|one| id(one) < before.as_str());
        }
        let surplus = self.limit.map_or(0, |limit| sorted.len().saturating_sub(limit));
        if self.before_id.is_some() {
            // Backwards: the page ends at the cursor.
            sorted.drain(..surplus);
        } else {
            sorted.truncate(sorted.len().saturating_sub(surplus));
        }
        (sorted, surplus > 0)
    }
}

/// The text with percent-encoding (such as `%2F`) decoded.
fn percent_decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent::decoded(text)).into_owned()
}
