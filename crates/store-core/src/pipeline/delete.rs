//! Deleting records.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;

use super::{Backing, Pipeline, may_have_taken_effect};
use crate::behind::RoomWait;
use crate::error::Result;
use crate::facet::LogKind;
use crate::key::Key;
use crate::query_cache::{Effect, KeyChange};
use crate::schema::Schema;
use crate::value::Row;
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// Deletes keys from every tier and answers how many held a record. What is missing is no error. In write-behind `room` is told of a wait for room.
    pub(crate) async fn delete_many(self: &Arc<Self>, keys: Vec<T::Key>, room: &RoomWait) -> Result<u64> {
        self.check_written(&keys)?;
        let mut seen = HashSet::with_capacity(keys.len());
        let distinct: Vec<T::Key> = keys.into_iter().filter(|key| seen.insert(key.clone())).collect();
        if distinct.is_empty() {
            return Ok(0);
        }
        self.before_delete(&distinct)?;
        self.counters().deletes.add(distinct.len() as u64);
        if let Some(pending) = self.writes_behind() {
            return self.delete_behind(pending, distinct, room).await;
        }
        let pipeline = Arc::clone(self);
        self.in_task(distinct.clone(), async move { pipeline.erase(distinct).await }).await
    }

    async fn erase(self: Arc<Self>, keys: Vec<T::Key>) -> Result<u64> {
        let turn = self.turn().await;
        let erased = match &self.backing {
            Backing::Tables { tables, .. } => {
                let values = keys.iter().map(|key| <T::Key as Key>::to_values(key.borrow())).collect::<Result<Vec<Row<'_>>>>()?;
                tables.delete_many(&self.schema, &values).await
            }
            Backing::Records(records) => {
                let texts: Vec<String> = keys.iter().map(Self::text).collect();
                records.delete(&self.schema, &texts).await
            }
            Backing::Memory(versions) => Ok(keys
                .iter()
                .map(|key| {
                    let present = self.near.as_ref().is_some_and(|near| self.live(&**near, key.borrow()).is_some());
                    present.then(|| versions.next())
                })
                .collect()),
        };
        match erased {
            Ok(versions) => {
                self.leave_caches(LogKind::Delete, &keys, &versions, None).await;
                drop(turn);
                self.after_delete(&keys, &versions);
                Ok(versions.iter().flatten().map(|_: &Version| 1).sum())
            }
            Err(error) => {
                if may_have_taken_effect(&error) {
                    self.doubt(&keys).await;
                }
                Err(error)
            }
        }
    }

    /// Drops every copy of keys that the truth has deleted, or has changed in these columns, under these versions, and tells the other instances.
    pub(super) async fn leave_caches(&self, kind: LogKind, keys: &[T::Key], versions: &[Option<Version>], columns: Option<&[usize]>) {
        self.rebase(kind, keys, versions.iter().copied());
        self.hear_own(keys, versions.iter().copied(), || {
            let effect = || columns.map_or(Effect::Gone, |columns| Effect::Columns(columns.to_vec()));
            keys.iter().map(|key| KeyChange { key: key.clone(), version: None, effect: effect() }).collect()
        });
        self.announce(kind, keys, versions.iter().copied());
        self.distrust(keys).await;
        if self.trust.is_some() {
            versions.iter().flatten().for_each(|version| self.own.add(*version));
        }
    }
}
