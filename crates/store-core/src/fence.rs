//! The rule that a load which was overtaken by a write installs nothing.
//!
//! Every write and invalidation of a key raises the count of the key's stripe when it takes effect in memory. A load notes the count before it reads anything
//! and may install only while the count still stands. Stripes are shared by many keys; a foreign write costs a refused install, never a stale one.

use std::hash::{BuildHasher, Hash, RandomState};

use crate::facet::LogKind;
use crate::protection::Protection;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use crate::version::Version;

const STRIPES: usize = if cfg!(all(test, shuttle)) { 2 } else { 1024 };

/// Beyond so many keys all stripes are noted.
const FEW: usize = 32;

/// What became of the keys of one stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Fence {
    /// How often they were touched.
    touched: u64,
    /// How often by what void every load, however new a record it brings.
    voided: u64,
    /// The newest version of those touches that told of a write.
    heard: u64,
    /// How often a read found one of them absent.
    absences: u64,
    /// How often a load installed one of them.
    installs: u64,
}

impl Fence {
    /// Whether nothing was touched or found absent since the fence was noted.
    pub(crate) fn stands(self, noted: Fence) -> bool {
        (self.touched == noted.touched && self.absences == noted.absences) || Protection::Fence.is_off()
    }

    /// Whether a load that noted the fence may install a record of this version: nothing that came between was newer.
    pub(crate) fn admits(self, noted: Fence, loaded: Version) -> bool {
        let is_newest = self.voided == noted.voided && self.absences == noted.absences && self.heard <= loaded.get();
        is_newest || self.stands(noted)
    }

    /// Whether nothing was touched since the fence was noted. That one was found absent or installed is no touch.
    pub(crate) fn is_untouched(self, noted: Fence) -> bool {
        self.touched == noted.touched
    }

    /// A load that the fence let through has installed.
    pub(crate) fn installed(&mut self) {
        self.installs += 1;
    }

    /// Voids every load that noted the fence before, since a read is about to answer that there is no record. Whether nothing was touched or installed since that read
    /// noted it.
    pub(crate) fn find_absent(&mut self, noted: Option<Fence>) -> bool {
        self.absences += 1;
        noted.is_some_and(|noted| self.is_untouched(noted) && self.installs == noted.installs)
    }

    /// What has become of it since a load noted it, as far as that makes a difference.
    #[cfg(test)]
    pub(crate) fn since_load(self, noted: Fence) -> impl Hash {
        let heard = (!self.is_untouched(noted)).then_some(self.heard);
        (self.voided == noted.voided).then_some((heard, self.absences == noted.absences, self.installs == noted.installs))
    }

    /// What has become of it since a write noted it. One touch may be taken for the write's own.
    #[cfg(test)]
    pub(crate) fn since_write(self, noted: Fence) -> impl Hash {
        (self.absences == noted.absences).then(|| (self.touched - noted.touched).min(2))
    }

    /// Voids every load that noted the fence before.
    pub(crate) fn touch(&mut self) {
        self.touched += 1;
        self.voided += 1;
    }

    /// Voids the loads that noted the fence before and bring something older than was heard of. What was heard of a deletion or an invalidation voids all.
    pub(crate) fn hear(&mut self, kind: LogKind, version: Option<Version>) {
        match version.filter(|_| kind == LogKind::Put) {
            Some(version) => {
                self.touched += 1;
                self.heard = self.heard.max(version.get());
            }
            None => self.touch(),
        }
    }

    /// As [`touch`](Self::touch), by a batch that noted the fence itself and that its own touches do not disturb. Returns whether nothing else touched it.
    pub(crate) fn publish(&mut self, noted: Option<&mut Fence>) -> bool {
        let undisturbed = noted.as_deref().is_some_and(|noted| self.stands(*noted));
        self.touch();
        if let Some(noted) = noted.filter(|_| undisturbed) {
            *noted = *self;
        }
        undisturbed
    }
}

/// The fences of one schema's shelf.
#[derive(Debug)]
pub(crate) struct Fences {
    stripes: Box<[Mutex<Fence>]>,
    hasher: RandomState,
}

/// What a single load noted before it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FenceToken {
    stripe: usize,
    noted: Fence,
}

/// What a batch noted before it began, of every stripe or of those that its keys are in; what the batch itself has raised since is in the counts.
#[derive(Debug)]
pub(crate) enum FenceSnapshot {
    All(Vec<Fence>),
    Few(Vec<FenceToken>),
}

impl FenceSnapshot {
    fn noted(&mut self, stripe: usize) -> Option<&mut Fence> {
        match self {
            FenceSnapshot::All(fences) => fences.get_mut(stripe),
            FenceSnapshot::Few(tokens) => tokens.iter_mut().find(|token| token.stripe == stripe).map(|token| &mut token.noted),
        }
    }
}

impl Fences {
    pub(crate) fn new() -> Self {
        Fences { stripes: (0..STRIPES).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    fn stripe<K: Hash + ?Sized>(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % STRIPES
    }

    fn lock(&self, stripe: usize) -> MutexGuard<'_, Fence> {
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before a load of one key reads anything.
    pub(crate) fn begin<K: Hash + ?Sized>(&self, key: &K) -> FenceToken {
        let stripe = self.stripe(key);
        FenceToken { stripe, noted: *self.lock(stripe) }
    }

    /// To be called before a load of many or unknown keys reads anything.
    pub(crate) fn begin_many(&self) -> FenceSnapshot {
        FenceSnapshot::All((0..STRIPES).map(|stripe| *self.lock(stripe)).collect())
    }

    /// As [`begin_many`](Self::begin_many), for keys that are known.
    pub(crate) fn begin_keys<'a, K: Hash + ?Sized + 'a>(&self, keys: impl ExactSizeIterator<Item = &'a K>) -> FenceSnapshot {
        if keys.len() > FEW { self.begin_many() } else { FenceSnapshot::Few(keys.map(|key| self.begin(key)).collect()) }
    }

    /// Notes one more key in what a batch noted, before it touches that key; what was noted first of a stripe stays.
    pub(crate) fn note<K: Hash + ?Sized>(&self, snapshot: &mut FenceSnapshot, key: &K) {
        let FenceSnapshot::Few(tokens) = snapshot else { return };
        let token = self.begin(key);
        if tokens.iter().any(|noted| noted.stripe == token.stripe) {
            return;
        }
        tokens.push(token);
        if tokens.len() > FEW {
            let mut all: Vec<Fence> = (0..STRIPES).map(|stripe| *self.lock(stripe)).collect();
            tokens.iter().for_each(|token| all[token.stripe] = token.noted);
            *snapshot = FenceSnapshot::All(all);
        }
    }

    /// What a batch noted of the stripe of one of its keys.
    pub(crate) fn token<K: Hash + ?Sized>(&self, snapshot: &mut FenceSnapshot, key: &K) -> Option<FenceToken> {
        let stripe = self.stripe(key);
        snapshot.noted(stripe).map(|&mut noted| FenceToken { stripe, noted })
    }

    /// Whether the key was not touched since the token was taken.
    pub(crate) fn is_untouched(&self, token: FenceToken) -> bool {
        self.lock(token.stripe).is_untouched(token.noted)
    }

    /// Runs `install` unless the key was touched since the token was taken. Returns whether it ran.
    pub(crate) fn install(&self, token: FenceToken, install: impl FnOnce()) -> bool {
        self.install_if(token.stripe, |fence| fence.stands(token.noted), install)
    }

    fn install_if(&self, stripe: usize, allows: impl FnOnce(Fence) -> bool, install: impl FnOnce()) -> bool {
        let mut fence = self.lock(stripe);
        let allowed = allows(*fence);
        if allowed {
            install();
            fence.installed();
        }
        drop(fence);
        allowed
    }

    /// As [`install`](Self::install), for a record of this version: what was heard of that is no newer stands not in its way.
    pub(crate) fn install_loaded(&self, token: FenceToken, loaded: Version, install: impl FnOnce()) -> bool {
        self.install_if(token.stripe, |fence| fence.admits(token.noted, loaded), install)
    }

    /// As [`install_loaded`](Self::install_loaded), for one key of a batch.
    pub(crate) fn install_one<K: Hash + ?Sized>(
        &self,
        snapshot: &mut FenceSnapshot,
        key: &K,
        loaded: Version,
        install: impl FnOnce(),
    ) -> bool {
        self.token(snapshot, key).is_some_and(|token| self.install_loaded(token, loaded, install))
    }

    /// Voids every load of the key that is under way, and runs `apply`, which is told whether nothing else touched the key's stripe since `snapshot` was taken.
    /// With `was_heard`, one touch since then was for the very write that is published.
    pub(crate) fn publish<K: Hash + ?Sized>(&self, snapshot: &mut FenceSnapshot, key: &K, was_heard: bool, apply: impl FnOnce(bool)) {
        let stripe = self.stripe(key);
        let mut fence = self.lock(stripe);
        let mut noted = snapshot.noted(stripe);
        if let Some(noted) = noted.as_deref_mut().filter(|_| was_heard) {
            noted.touch();
        }
        apply(fence.publish(noted));
        drop(fence);
    }

    /// Voids every load of the key that is under way, and runs `apply`.
    pub(crate) fn touch<K: Hash + ?Sized>(&self, key: &K, apply: impl FnOnce()) {
        let mut fence = self.lock(self.stripe(key));
        fence.touch();
        apply();
        drop(fence);
    }

    /// Voids the loads of the key that are under way and bring something older than a write that was heard of, and runs `apply`.
    pub(crate) fn hear<K: Hash + ?Sized>(&self, key: &K, kind: LogKind, version: Option<Version>, apply: impl FnOnce()) {
        let mut fence = self.lock(self.stripe(key));
        fence.hear(kind, version);
        apply();
        drop(fence);
    }

    /// Voids every load of the key that is under way, since a read is about to answer that there is none, and runs `apply`, which is told whether nothing was touched
    /// or installed since the read noted its token. What is known of other absences of the stripe stays.
    pub(crate) fn find_absent<K: Hash + ?Sized>(&self, key: &K, token: Option<FenceToken>, apply: impl FnOnce(bool)) {
        let mut fence = self.lock(self.stripe(key));
        apply(fence.find_absent(token.map(|token| token.noted)));
        drop(fence);
    }

    /// Voids every load that is under way.
    pub(crate) fn touch_all(&self) {
        for stripe in 0..STRIPES {
            self.lock(stripe).touch();
        }
    }
}

#[cfg(all(test, shuttle))]
mod interleavings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_overtaken_by_a_touch_installs_nothing() {
        let fences = Fences::new();
        let (early, mut snapshot) = (fences.begin("a"), fences.begin_many());
        fences.touch("a", || {});
        assert!(!fences.install(early, || panic!("installed")));
        assert!(!fences.install_one(&mut snapshot, "a", Version::new(9), || panic!("installed")));
        let late = fences.begin("a");
        let mut installed = false;
        assert!(fences.install(late, || installed = true));
        assert!(installed);
    }

    #[test]
    fn what_is_heard_of_stands_in_the_way_of_what_is_older_alone() {
        let fences = Fences::new();
        let (early, version) = (fences.begin("a"), Version::new);
        fences.hear("a", LogKind::Put, Some(version(5)), || {});
        assert!(!fences.install_loaded(early, version(4), || panic!("installed")));
        assert!(!fences.install(early, || panic!("installed")), "of no known version");
        assert!(fences.install_loaded(early, version(5), || {}));
        fences.find_absent("a", None, |_| {});
        assert!(!fences.install_loaded(early, version(6), || panic!("installed")));
        for (kind, heard) in [(LogKind::Put, None), (LogKind::Delete, Some(version(3))), (LogKind::Invalidate, Some(version(3)))] {
            let load = fences.begin("a");
            fences.hear("a", kind, heard, || {});
            assert!(!fences.install_loaded(load, version(9), || panic!("installed")), "{kind:?}");
        }
    }

    #[test]
    fn touching_everything_voids_every_load() {
        let fences = Fences::new();
        let tokens: Vec<_> = (0..100).map(|key| fences.begin(&key)).collect();
        fences.touch_all();
        assert!(tokens.into_iter().all(|token| !fences.install(token, || {})));
    }

    #[test]
    fn keys_that_are_noted_one_by_one_keep_what_was_noted_first() {
        let fences = Fences::new();
        let mut snapshot = FenceSnapshot::Few(Vec::new());
        fences.note(&mut snapshot, "a");
        fences.touch("a", || {});
        (0..100).for_each(|key| fences.note(&mut snapshot, &key));
        assert!(matches!(snapshot, FenceSnapshot::All(_)));
        fences.note(&mut snapshot, "a");
        fences.publish(&mut snapshot, "a", false, |calm| assert!(!calm));
        let stripe = fences.stripe("a");
        let other = (0..100).find(|key| fences.stripe(key) != stripe).unwrap();
        fences.publish(&mut snapshot, &other, false, |calm| assert!(calm));
    }

    #[test]
    fn a_batch_is_not_disturbed_by_itself_but_by_others() {
        let fences = Fences::new();
        let mut snapshot = fences.begin_many();
        let mut undisturbed = 0;
        for key in 0..10_000 {
            fences.publish(&mut snapshot, &key, false, |calm| undisturbed += u32::from(calm));
        }
        assert_eq!(undisturbed, 10_000);

        let (mut first, mut second) = (fences.begin_many(), fences.begin_many());
        fences.publish(&mut second, "a", false, |calm| assert!(calm));
        fences.publish(&mut first, "a", false, |calm| assert!(!calm));

        let mut third = fences.begin_many();
        fences.touch("a", || {});
        fences.publish(&mut third, "a", true, |calm| assert!(calm, "the one touch was its own"));
    }
}
