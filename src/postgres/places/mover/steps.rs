//! The steps of a move, in an order in which the program may die after each of them.

use std::time::Instant;

use tokio_postgres::types::Type;

use super::{
    super::Place, Copied, DROP_SCHEMA, MoveError, Mover, Standing, Step, copy, session::Session,
    standing, wait,
};
use crate::{
    domain::ids::OrganizationId,
    postgres::{Pool, Statement, store::column},
    store::StoreError,
};

const SELF_OUT: Statement =
    Statement::new(include_str!("../../sql/statements/places/move_self_out.sql"), &[Type::UUID]);
const SELF_IN: Statement = Statement::new(
    include_str!("../../sql/statements/places/move_self_in.sql"),
    &[Type::UUID, Type::TEXT],
);
const ROWS_HERE: Statement =
    Statement::new(include_str!("../../sql/statements/places/rows_here.sql"), &[Type::UUID]);
const DELIST: Statement =
    Statement::new(include_str!("../../sql/statements/places/delist.sql"), &[Type::UUID]);
const SCHEMA_IS_THERE: Statement =
    Statement::new(include_str!("../../sql/statements/places/schema_is_there.sql"), &[]);

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
        self.store(id, to)?;
        let (main, mut standing) = self.begin(id, Some(to)).await?;
        self.clean_up(&main, &mut standing).await?;
        match &standing.moving_to {
            Some(other) if other != to => return Err(MoveError::OtherMove(other.clone())),
            None if standing.place == *to => return Ok(None),
            Some(_) | None => standing.moving_to = Some(to.clone()),
        }
        standing::set(&main, &standing).await?;
        self.tell(Step::Preparing);
        self.prepare(id, to).await?;
        let ends = Ends {
            from: self.session(id, &standing.place).await?,
            to: self.session(id, to).await?,
        };
        let copied = self.carry(&main, &ends, &mut standing, to).await?;
        // Both sessions end here, because the removal needs their locks.
        drop(ends);
        self.clean_up(&main, &mut standing).await?;
        Ok(Some(copied))
    }

    /// Undoes a move that has begun and not ended: calls go on in the old place, and the copied rows are removed.
    ///
    /// # Errors
    /// See [`MoveError`]. If only the new place is unavailable, calls go on all the same.
    pub async fn abort(&self, id: OrganizationId) -> Result<(), MoveError> {
        let (main, mut standing) = self.begin(id, None).await?;
        if standing.moved_from.is_some() {
            return Err(MoveError::Moved);
        }
        let to = standing.moving_to.clone().ok_or(MoveError::NotMoving)?;
        let from = self.session(id, &standing.place).await?;
        self.let_go(&main, &from, &mut standing).await?;
        self.tell(Step::Removing);
        drop(from);
        self.remove(id, &to).await?;
        Ok(standing::set(&main, &Standing::at(standing.place)).await?)
    }

    async fn begin(
        &self,
        id: OrganizationId,
        to: Option<&Place>,
    ) -> Result<(Session, Standing), MoveError> {
        let before = Session::open(self.places.main().pool(), id).await?;
        let Standing { place, moving_to, moved_from, .. } = standing::in_directory(&before).await?;
        let others = [moving_to, moved_from, to.cloned()].into_iter().flatten();
        let places: Vec<_> = std::iter::once(place).chain(others).collect();
        let main = self.directory(id, &places).await?;
        let standing = standing::in_directory(&main).await?;
        Ok((main, standing))
    }

    async fn carry(
        &self,
        main: &Session,
        ends: &Ends,
        standing: &mut Standing,
        target: &Place,
    ) -> Result<Copied, MoveError> {
        let Ends { from, to } = ends;
        if *target != Place::Row {
            // An earlier attempt may have marked it as in use there, just before it could change the directory.
            standing::set_elsewhere(to).await?;
        }
        // A program that died while calls were held up has left them held up.
        self.let_go(main, from, standing).await?;
        take_over_self(from, to).await?;
        self.tell(Step::Copying);
        let tables = copy::tables(from, to).await?;
        let mut copy = copy::Copy::new(from, to, &tables);
        copy.ahead().await?;

        let begun = Instant::now();
        let copied = async {
            hold_up(main, from, standing, target).await?;
            self.tell(Step::HeldUp);
            wait::for_writers(from).await?;
            take_over_self(from, to).await?;
            let copied = copy.rest().await?;
            if *target != Place::Row {
                standing::set_here(to, None).await?;
            }
            if standing.place != Place::Row {
                // Before the directory is changed: otherwise, if this program died here, gateways that still use the
                // old place would read outdated rows there until the move is run again.
                standing::set_elsewhere(from).await?;
            }
            Ok(copied)
        };
        let mut copied = match copied.await {
            Ok(copied) => copied,
            Err(error) => {
                self.let_go(main, from, standing).await?;
                return Err(error);
            }
        };
        let moved =
            Standing { moved_from: Some(standing.place.clone()), ..Standing::at(target.clone()) };
        // From here on calls never go on in the old place: even after an error, the directory may name the new one.
        standing::set(main, &moved).await.map_err(MoveError::Unsure)?;
        *standing = moved;
        copied.held_up = begun.elapsed();
        self.tell(Step::Moved);
        Ok(copied)
    }

    /// Lets calls go on in the old place.
    async fn let_go(
        &self,
        main: &Session,
        from: &Session,
        standing: &mut Standing,
    ) -> Result<(), MoveError> {
        let was_held_up = standing.held_up;
        let let_go = async {
            if standing.place != Place::Row {
                standing::set_here(from, None).await?;
            }
            standing.held_up = false;
            standing::set(main, standing).await
        };
        let_go.await.map_err(MoveError::Unsure)?;
        if was_held_up {
            self.tell(Step::LetGo);
        }
        Ok(())
    }

    /// Removes the rows that the last move has left in the old place.
    async fn clean_up(&self, main: &Session, standing: &mut Standing) -> Result<(), MoveError> {
        let Some(old) = standing.moved_from.take() else { return Ok(()) };
        self.tell(Step::Removing);
        self.remove(main.id(), &old).await?;
        Ok(standing::set(main, standing).await?)
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
            standing::set_elsewhere(&session).await?;
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
    standing: &mut Standing,
    target: &Place,
) -> Result<(), StoreError> {
    // If the old place is not in the directory's schema, this only shows the state. So it is set there first, and
    // reset there last.
    standing.held_up = true;
    standing::set(main, standing).await?;
    if standing.place == Place::Row {
        return Ok(());
    }
    standing::set_here(from, Some(target)).await
}

/// Copies the organization's own row: inserts it in `to`, or updates it there.
async fn take_over_self(from: &Session, to: &Session) -> Result<(), StoreError> {
    let id = from.id().as_uuid();
    let rows = from.run(&SELF_OUT, &[&id]).await?;
    let own: Option<&str> = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
    to.run(&SELF_IN, &[&id, &own]).await.map(drop)
}
