//! The steps of a move, in the order that makes each of them safe to be the last.

use std::time::Instant;

use tokio_postgres::types::Type;

use super::{
    super::Place, Copied, DROP_SCHEMA, MoveError, Mover, Step, Whereabouts, copy, session::Session,
    wait, whereabouts,
};
use crate::{
    domain::ids::OrganizationId,
    postgres::{Pool, Statement, rows::column},
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
    /// Moves the organization, or goes on with a move that was begun. What was copied; `None` if it is there already
    /// and nothing of it was copied now.
    ///
    /// # Errors
    /// See [`MoveError`]. The organization is then where it was, and can be moved by calling this again.
    pub async fn move_to(
        &self,
        id: OrganizationId,
        to: &Place,
    ) -> Result<Option<Copied>, MoveError> {
        self.store(id, to)?;
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
        // Ended, so that nothing of it is in the way of what is removed.
        drop(ends);
        self.clean_up(&main, &mut whereabouts).await?;
        Ok(Some(copied))
    }

    /// Undoes a move that was begun and has not come to its end: calls go on where the organization is, and what was
    /// copied is removed.
    ///
    /// # Errors
    /// See [`MoveError`]. If only the new place is away, calls go on all the same.
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
        let before = Session::open(self.places.main().pool(), id).await?;
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
            // It may have been in use there for a moment, before the directory was to be changed.
            whereabouts::set_elsewhere(to).await?;
        }
        // Whoever died with calls held up has left them so.
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
                // Before the directory says so: whoever still goes to the old place would read there what is changed in
                // the new one, for as long as this program takes to come back if it dies here.
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
        // From here on the old place is never let go: the directory may say already that it is the old one.
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

    /// Removes what the last move has left in the old place.
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

    /// Removes all that is in a place where the organization is not.
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

/// The tables in which the organization has rows in the pool's schema, and how many. Not counting its own row.
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

/// When this has returned, whatever begins to write in the old place is refused.
async fn hold_up(
    main: &Session,
    from: &Session,
    whereabouts: &mut Whereabouts,
    target: &Place,
) -> Result<(), StoreError> {
    // In the directory too, where it is only to be seen: hence first here and last when it ends.
    whereabouts.held_up = true;
    whereabouts::set(main, whereabouts).await?;
    if whereabouts.place == Place::Row {
        return Ok(());
    }
    whereabouts::set_here(from, Some(target)).await
}

/// The organization's own row: made, or brought to what it is.
async fn take_over_self(from: &Session, to: &Session) -> Result<(), StoreError> {
    let id = from.id().as_uuid();
    let rows = from.run(&SELF_OUT, &[&id]).await?;
    let own: Option<&str> = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
    to.run(&SELF_IN, &[&id, &own]).await.map(drop)
}
