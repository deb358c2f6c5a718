//! The steps of a move, in an order in which the program may die after each of them.

use std::time::Instant;

use tokio_postgres::types::Type;

use super::{
    super::Place, Copied, DROP_SCHEMA, MoveError, Mover, Step, Whereabouts, copy, session::Session,
    wait, whereabouts,
};
use crate::{
    domain::ids::OrganizationId,
    postgres::{Pool, Query, rows::column},
    store::StoreError,
};

const SELF_OUT: Query =
    Query::new(include_str!("../../sql/statements/places/move_self_out.sql"), &[Type::UUID]);
const SELF_IN: Query = Query::new(
    include_str!("../../sql/statements/places/move_self_in.sql"),
    &[Type::UUID, Type::TEXT],
);
const ROWS_HERE: Query =
    Query::new(include_str!("../../sql/statements/places/rows_here.sql"), &[Type::UUID]);
const DELIST: Query =
    Query::new(include_str!("../../sql/statements/places/delist.sql"), &[Type::UUID]);
const SCHEMA_IS_THERE: Query =
    Query::new(include_str!("../../sql/statements/places/schema_is_there.sql"), &[]);

/// The two ends of a move.
struct Ends {
    from: Session,
    to: Session,
}

impl Mover {
    /// Moves the organization, or resumes a move that has begun. Returns what was copied; `None` if the organization is
    /// there already and nothing was copied.
    ///
    /// # Errors
    /// See [`MoveError`]. Unless the error says otherwise, the organization is where it was. Calling this again resumes
    /// the move.
    pub async fn move_to(
        &self,
        id: OrganizationId,
        to: &Place,
    ) -> Result<Option<Copied>, MoveError> {
        self.schema(id, to)?;
        let (main, mut whereabouts) = self.begin(id, Some(to)).await?;
        self.clean_up(&main, &mut whereabouts).await?;
        match &whereabouts.moving_to {
            Some(other) if other != to => return Err(MoveError::OtherMove(other.clone())),
            None if whereabouts.place == *to => return Ok(None),
            Some(_) | None => whereabouts.moving_to = Some(to.clone()),
        }
        whereabouts::set(&main, &whereabouts).await?;
        self.tell(Step::Preparing);
        self.prepare(id, to).await?;
        let ends = Ends {
            from: self.session(id, &whereabouts.place).await?,
            to: self.session(id, to).await?,
        };
        let copied = self.carry(&main, &ends, &mut whereabouts, to).await?;
        // Both sessions end here, because the removal needs their locks.
        drop(ends);
        self.clean_up(&main, &mut whereabouts).await?;
        Ok(Some(copied))
    }

    /// Undoes a move that has begun and not ended: calls go on in the old place, and the copied rows are removed.
    ///
    /// # Errors
    /// See [`MoveError`]. If only the new place is unavailable, calls go on all the same.
    pub async fn abort(&self, id: OrganizationId) -> Result<(), MoveError> {
        let (main, mut whereabouts) = self.begin(id, None).await?;
        if whereabouts.moved_from.is_some() {
            return Err(MoveError::Moved);
        }
        let to = whereabouts.moving_to.clone().ok_or(MoveError::NotMoving)?;
        let from = self.session(id, &whereabouts.place).await?;
        self.let_go(&main, &from, &mut whereabouts).await?;
        self.tell(Step::Removing);
        drop(from);
        self.remove(id, &to).await?;
        Ok(whereabouts::set(&main, &Whereabouts::at(whereabouts.place)).await?)
    }

    async fn begin(
        &self,
        id: OrganizationId,
        to: Option<&Place>,
    ) -> Result<(Session, Whereabouts), MoveError> {
        let before = Session::open(self.places.pool(), id).await?;
        let Whereabouts { place, moving_to, moved_from, .. } =
            whereabouts::in_directory(&before).await?;
        let others = [moving_to, moved_from, to.cloned()].into_iter().flatten();
        let places: Vec<_> = std::iter::once(place).chain(others).collect();
        let main = self.directory(id, &places).await?;
        let whereabouts = whereabouts::in_directory(&main).await?;
        Ok((main, whereabouts))
    }

    async fn carry(
        &self,
        main: &Session,
        ends: &Ends,
        whereabouts: &mut Whereabouts,
        target: &Place,
    ) -> Result<Copied, MoveError> {
        let Ends { from, to } = ends;
        if *target != Place::Row {
            // An earlier attempt may have marked it as in use there, just before it could change the directory.
            whereabouts::set_elsewhere(to).await?;
        }
        // A program that died while calls were held up has left them held up.
        self.let_go(main, from, whereabouts).await?;
        take_over_self(from, to).await?;
        self.tell(Step::Copying);
        let tables = copy::tables(from, to).await?;
        let mut copy = copy::Copy::new(from, to, &tables);
        copy.ahead().await?;

        let begun = Instant::now();
        let copied = async {
            hold_up(main, from, whereabouts, target).await?;
            self.tell(Step::HeldUp);
            wait::for_writers(from).await?;
            take_over_self(from, to).await?;
            let copied = copy.rest().await?;
            if *target != Place::Row {
                whereabouts::set_here(to, None).await?;
            }
            if whereabouts.place != Place::Row {
                // Before the directory is changed: otherwise, if this program died here, gateways that still use the
                // old place would read outdated rows there until the move is run again.
                whereabouts::set_elsewhere(from).await?;
            }
            Ok(copied)
        };
        let mut copied = match copied.await {
            Ok(copied) => copied,
            Err(error) => {
                self.let_go(main, from, whereabouts).await?;
                return Err(error);
            }
        };
        let moved = Whereabouts {
            moved_from: Some(whereabouts.place.clone()),
            ..Whereabouts::at(target.clone())
        };
        // From here on calls never go on in the old place: even after an error, the directory may name the new one.
        whereabouts::set(main, &moved).await.map_err(MoveError::Unsure)?;
        *whereabouts = moved;
        copied.held_up = begun.elapsed();
        self.tell(Step::Moved);
        Ok(copied)
    }

    /// Lets calls go on in the old place.
    async fn let_go(
        &self,
        main: &Session,
        from: &Session,
        whereabouts: &mut Whereabouts,
    ) -> Result<(), MoveError> {
        let was_held_up = whereabouts.held_up;
        let let_go = async {
            if whereabouts.place != Place::Row {
                whereabouts::set_here(from, None).await?;
            }
            whereabouts.held_up = false;
            whereabouts::set(main, whereabouts).await
        };
        let_go.await.map_err(MoveError::Unsure)?;
        if was_held_up {
            self.tell(Step::LetGo);
        }
        Ok(())
    }

    /// Removes the rows that the last move has left in the old place.
    async fn clean_up(
        &self,
        main: &Session,
        whereabouts: &mut Whereabouts,
    ) -> Result<(), MoveError> {
        let Some(old) = whereabouts.moved_from.take() else { return Ok(()) };
        self.tell(Step::Removing);
        self.remove(main.id(), &old).await?;
        Ok(whereabouts::set(main, whereabouts).await?)
    }

    /// Removes all rows of the organization from a place where it is not in use.
    async fn remove(&self, id: OrganizationId, place: &Place) -> Result<(), MoveError> {
        let session = self.session(id, place).await?;
        if *place == Place::Schema {
            let there = session.plain(&SCHEMA_IS_THERE, &[]).await?;
            let there = there.first().map(|row| column(row, 0)).transpose()?;
            if there != Some(true) {
                return Ok(());
            }
        }
        if *place != Place::Row {
            whereabouts::set_elsewhere(&session).await?;
        }
        copy::empty(&session).await?;
        if let Some(row) = session.run(&ROWS_HERE, &[&id.as_uuid()]).await?.first() {
            return Err(MoveError::Left { table: column(row, 0)?, rows: column(row, 1)? });
        }
        if *place != Place::Row {
            session.run(&DELIST, &[&id.as_uuid()]).await?;
        }
        if *place == Place::Schema {
            session.execute(DROP_SCHEMA).await?;
        }
        Ok(())
    }
}

/// The tables of the pool's schema in which the organization has rows, and how many. Its own row is not counted.
pub(in super::super) async fn rows_left(
    pool: &Pool,
    id: OrganizationId,
) -> Result<Vec<(String, i64)>, StoreError> {
    let session = match Session::open(pool, id).await {
        Ok(session) => session,
        Err(MoveError::Store(error)) => return Err(error),
        Err(other) => return Err(StoreError::Refused(other.into())),
    };
    let rows = session.run(&ROWS_HERE, &[&id.as_uuid()]).await?;
    rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
}

/// Holds up calls: when this has returned, a transaction that begins to write in the old place is refused.
async fn hold_up(
    main: &Session,
    from: &Session,
    whereabouts: &mut Whereabouts,
    target: &Place,
) -> Result<(), StoreError> {
    // If the old place is not in the directory's schema, this only shows the state. So it is set there first, and
    // reset there last.
    whereabouts.held_up = true;
    whereabouts::set(main, whereabouts).await?;
    if whereabouts.place == Place::Row {
        return Ok(());
    }
    whereabouts::set_here(from, Some(target)).await
}

/// Copies the organization's own row: inserts it in `to`, or updates it there.
async fn take_over_self(from: &Session, to: &Session) -> Result<(), StoreError> {
    let id = from.id().as_uuid();
    let rows = from.run(&SELF_OUT, &[&id]).await?;
    let own: Option<&str> = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
    to.run(&SELF_IN, &[&id, &own]).await.map(drop)
}
