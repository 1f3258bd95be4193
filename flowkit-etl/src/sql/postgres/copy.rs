//! Rows into a table by `COPY`.

use futures::StreamExt;
use sqlx::postgres::PgDatabaseError;

use super::{PostgresSession, text};
use crate::error::{Error, Result};
use crate::sql::session::Destination;
use crate::sql::{Dialect, plain};
use crate::stream::BatchStream;

impl PostgresSession {
    /// If it does not come to its end, the connection is in the middle of something, and must be dropped.
    pub(super) async fn copy(&mut self, into: &Destination, batches: &mut BatchStream) -> Result<u64> {
        let columns = Dialect::Postgres.list(&into.columns);
        let statement = format!(
            "COPY {} ({columns}) FROM STDIN",
            into.table.quoted(crate::sql::Dialect::Postgres)
        );
        let database = self.database.clone();
        let failed = |error: sqlx::Error| {
            let place = place_of(&error);
            let error = database.failed("load into", error);
            let Some(place) = place else { return error };
            let said = std::error::Error::source(&error).map(ToString::to_string);
            let placed = Error::new(error.kind(), format!("{error}: {place}"));
            match said {
                Some(said) => placed.because(said),
                None => placed,
            }
        };
        let mut copy = self.connection.copy_in_raw(&statement).await.map_err(failed)?;
        let mut buffer = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    // What the server then says is that it was told to.
                    drop(copy.abort("the rows came to no end").await);
                    return Err(error);
                }
            };
            buffer = crate::blocking::run(move || {
                let mut buffer: Vec<u8> = buffer;
                buffer.clear();
                text::write(&plain::of(&batch)?, batch.num_rows(), &mut buffer)?;
                Ok(buffer)
            })
            .await?;
            copy.send(buffer.as_slice()).await.map_err(failed)?;
        }
        copy.finish().await.map_err(failed)
    }
}

/// In which row and column the server found something wrong.
fn place_of(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    error.r#where().or(error.detail()).map(str::to_owned)
}
