//! Writes of this instance that reach the truth by another way than a flush.

use std::sync::Arc;

use crate::behind::Base;
use crate::pipeline::Pipeline;
use crate::schema::Schema;

/// Stands open while such a write goes on: a flush that finds a key changed meanwhile waits to hear what the write stored.
pub(crate) struct Doors<T: Schema> {
    pipeline: Arc<Pipeline<T>>,
    /// `None` if only the truth knows which.
    keys: Option<Vec<T::Key>>,
}

impl<T: Schema> Doors<T> {
    /// Before a write of these keys, or with `None` of any, is sent. `None` for a schema that never has pending writes.
    pub(crate) fn open(pipeline: &Arc<Pipeline<T>>, keys: Option<&[T::Key]>) -> Option<Self> {
        let pending = pipeline.behind.as_ref()?;
        match keys {
            Some(keys) => {
                let mut writes = pending.lock();
                keys.iter().for_each(|key| writes.open_door(key, || Base::Unknown));
            }
            None => pending.lock().open_any_door(),
        }
        Some(Doors { pipeline: Arc::clone(pipeline), keys: keys.map(<[T::Key]>::to_vec) })
    }
}

impl<T: Schema> Drop for Doors<T> {
    fn drop(&mut self) {
        let Some(pending) = &self.pipeline.behind else { return };
        match &self.keys {
            Some(keys) => {
                let mut writes = pending.lock();
                keys.iter().for_each(|key| writes.close_door(key));
            }
            None => pending.lock().close_any_door(),
        }
    }
}
