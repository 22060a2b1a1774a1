//! Running a loader.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::chain::Chain;
use super::{Pipeline, Wanted};
use crate::error::{Error, ErrorKind, Result};
use crate::load::{Known, Load, LoadError, LoadResult};
use crate::pipeline::Borrowed;
use crate::schema::Schema;

/// A key that a loader is asked for, with what is known of it.
type Asked<T> = (<T as Schema>::Key, Option<Known<T>>);

/// What a loader answers for the keys that it mentions.
type Answered<T> = std::result::Result<Vec<(<T as Schema>::Key, Load<T>)>, LoadError>;

/// What keys are loaded by.
pub(crate) trait Loader<T: Schema>: Send + 'static {
    fn load(&mut self, asked: Vec<Asked<T>>) -> impl Future<Output = Answered<T>> + Send;
}

/// The loader of one key.
pub(crate) struct LoadOne<F>(Option<F>);

impl<F> LoadOne<F> {
    pub(crate) fn new(loader: F) -> Self {
        LoadOne(Some(loader))
    }
}

impl<T, F, L> Loader<T> for LoadOne<F>
where
    T: Schema,
    F: FnOnce(Option<Known<T>>) -> L + Send + 'static,
    L: Future<Output = LoadResult<T>> + Send + 'static,
{
    async fn load(&mut self, mut asked: Vec<Asked<T>>) -> Answered<T> {
        let (Some(loader), Some((key, known))) = (self.0.take(), asked.pop()) else { return Ok(Vec::new()) };
        Ok(vec![(key, loader(known).await?)])
    }
}

/// The loader of many keys.
pub(crate) struct LoadMany<F>(F);

impl<F> LoadMany<F> {
    pub(crate) fn new(loader: F) -> Self {
        LoadMany(loader)
    }
}

impl<T, F, L, A> Loader<T> for LoadMany<F>
where
    T: Schema,
    F: FnOnce(Vec<Asked<T>>) -> L + Clone + Send + 'static,
    L: Future<Output = std::result::Result<A, LoadError>> + Send + 'static,
    A: IntoIterator<Item = (T::Key, Load<T>)> + Send,
{
    async fn load(&mut self, asked: Vec<Asked<T>>) -> Answered<T> {
        let loader = self.0.clone();
        Ok(loader(asked).await?.into_iter().collect())
    }
}

impl<T: Schema> Pipeline<T> {
    /// Asks the loader for keys, within the time limit and until the store closes.
    pub(super) async fn ask(&self, ready: &[Wanted<T>], loader: &mut impl Loader<T>) -> Result<HashMap<T::Key, Load<T>>> {
        let known = |wanted: &Wanted<T>| wanted.known.as_ref().map(|known| Known::new(known.record.clone()));
        let asked = ready.iter().map(|wanted| (wanted.key.clone(), known(wanted))).collect();
        self.counters().loads.add(ready.len() as u64);

        let limit = self.shared.settings.load_timeout;
        let chain = Chain::new(self.address(), ready.iter().map(|wanted| wanted.text.clone()).collect());
        let load = Chain::run(Some(Arc::new(chain)), async { loader.load(asked).await });
        let load = pin!(tokio::time::timeout(limit, AssertUnwindSafe(load).catch_unwind()));
        let answer = match select(pin!(self.shared.closing.announced()), load).await {
            Either::Left(_) => return Err(Error::closed()),
            Either::Right((answer, _)) => answer,
        };
        let loads = match answer {
            Ok(Ok(Ok(loads))) => loads,
            Ok(Ok(Err(source))) => return Err(self.load_failed(source.to_string()).with_source(source)),
            Ok(Err(_)) => return Err(self.load_failed("it panicked; the panic's own message says where".to_owned())),
            Err(_) => {
                let message = format!("the loader gave no answer within {limit:?} (`load_timeout`)");
                return Err(Error::new(ErrorKind::Timeout, message).with_schema(self.schema.name()));
            }
        };
        let mut answers: HashMap<T::Key, Option<Load<T>>> = ready.iter().map(|wanted| (wanted.key.clone(), None)).collect();
        for (key, load) in loads {
            match answers.get_mut::<Borrowed<T>>(key.borrow()) {
                Some(answer @ None) => *answer = Some(load),
                Some(Some(_)) => {
                    return Err(self.load_failed(format!("it answered twice for the key `{}`; give one answer a key", Self::text(&key))));
                }
                None => return Err(self.load_failed(format!("it answered for the key `{}`, which it was not asked for", Self::text(&key)))),
            }
        }
        Ok(answers.into_iter().map(|(key, load)| (key, load.unwrap_or_else(Load::absent))).collect())
    }

    pub(super) fn load_failed(&self, message: String) -> Error {
        Error::new(ErrorKind::LoadFailed, message).with_schema(self.schema.name())
    }
}
