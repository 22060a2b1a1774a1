//! The flights of one schema: what a load installs has the tags of the calls that share it.

use std::hash::Hash;

use tokio::runtime::Handle;

use crate::error::Result;
use crate::flight::Flights;
use crate::tag::CallTags;

/// The loads under way, one for each key and set of tags that readers give.
#[derive(Debug)]
pub(crate) struct TaggedFlights<K, V> {
    plain: Flights<K, V>,
    /// Of collections that give tags.
    tagged: Flights<(K, CallTags), V>,
}

impl<K, V> TaggedFlights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        TaggedFlights { plain: Flights::new(), tagged: Flights::new() }
    }

    /// Joins the flight of a key and tags, or starts `load` as one.
    pub(crate) async fn run<F>(&self, runtime: &Handle, key: K, tags: &CallTags, load: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        if tags.is_empty() { self.plain.run(runtime, key, load).await } else { self.tagged.run(runtime, (key, tags.clone()), load).await }
    }

    /// Starts `load` as the key's flight unless there is one, and waits for neither.
    pub(crate) fn start<F>(&self, runtime: &Handle, key: K, tags: &CallTags, load: impl FnOnce() -> F)
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        if tags.is_empty() { self.plain.start(runtime, key, load) } else { self.tagged.start(runtime, (key, tags.clone()), load) }
    }

    /// Lets later readers of the key start anew. Those already waiting keep the flight.
    pub(crate) fn forget(&self, key: &K) {
        self.plain.forget(key);
        self.tagged.forget_if(|(tagged, _)| tagged == key);
    }

    /// Lets later readers of every key start anew.
    pub(crate) fn forget_all(&self) {
        self.plain.forget_all();
        self.tagged.forget_all();
    }
}
