//! `Records::tag_eras`, `invalidate_tags`, and what `relay` and `marks` do with lists of tags.

use std::sync::Arc;

use store_core::ErrorKind;
use store_core::facet::{MOST_TAGS, Mark, Relay, TagEras, TagInvalidation};

use super::RecordsServer;
use super::bench::{Bench, mark};

impl<S: RecordsServer> Bench<S> {
    /// A step of a relayer that tells of tags, and moves the marks.
    async fn tell(&self, era: u64, tags: &[&str]) -> store_core::Result<()> {
        let mark = mark("7");
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let told = TagInvalidation { schema: Arc::clone(&self.schema), generation: mark.generation, era, tags };
        let marks = vec![(Arc::clone(&self.schema), Mark { era, ..mark })];
        self.records.relay(&Relay { tags: vec![told], marks, ..Relay::default() }).await
    }

    /// What the shard of each of some keys knows of tags.
    async fn eras(&self, tags: &[&str]) -> Vec<Option<TagEras>> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let mut eras = Vec::new();
        // Enough to meet every shard.
        for key in 0..20 {
            eras.push(self.records.tag_eras(&self.schema, &key.to_string(), &tags).await.expect("asking for eras succeeds"));
        }
        eras
    }

    async fn assert_eras(&self, tags: &[&str], era: u64, of: &[u64]) {
        for eras in self.eras(tags).await {
            assert_eq!(eras, Some(TagEras { generation: mark("").generation, era, of: of.to_vec() }));
        }
    }

    async fn invalidate_tags(&self, tags: &[String]) {
        self.records.invalidate_tags(&self.schema, tags).await.expect("an invalidation succeeds");
    }
}

/// "`None` where it has no list for the schema."
pub async fn there_is_no_list_at_first<S: RecordsServer>(bench: &Bench<S>) {
    assert!(bench.eras(&["a"]).await.iter().all(Option::is_none));
}

/// "In which era each of the tags was invalidated last", in every shard and for every instance; characters of tags have no meaning.
pub async fn every_shard_is_told<S: RecordsServer>(bench: &Bench<S>) {
    let odd = ["", "h", "t", "region=eu:west", "a{b}c", "é \n\u{1F600}"];
    bench.tell(1, &[]).await.expect("a generation begins");
    bench.assert_eras(&odd, 1, &[0; 6]).await;
    bench.tell(2, &odd).await.expect("a list takes a newer era");
    bench.tell(5, &["h"]).await.expect("eras may be left out");
    bench.assert_eras(&odd, 5, &[2, 5, 2, 2, 2, 2]).await;
    bench.assert_eras(&[], 5, &[]).await;
    let marks = bench.marks().await;
    assert_eq!(marks, vec![Some(Mark { era: 5, ..mark("7") }); marks.len()]);
    let other = bench.schema_with_suffix("2");
    assert_eq!(bench.records.tag_eras(&other, "a", &["h".to_owned()]).await.expect("asking for eras succeeds"), None);
}

/// "A list takes nothing, and the call fails, where it is not of the generation, or is at that era already"; no mark is moved then.
pub async fn an_era_begins_once<S: RecordsServer>(bench: &Bench<S>) {
    bench.tell(2, &["a"]).await.expect_err("there is no list");
    bench.marks().await;
    bench.tell(1, &["a"]).await.expect("a generation begins");
    bench.tell(4, &["b"]).await.expect("a list takes a newer era");
    for era in [2, 4] {
        let error = bench.tell(era, &["c"]).await.expect_err("the list is at that era, or past it");
        assert_eq!(error.kind(), ErrorKind::L2Unavailable);
        bench.marks().await;
    }
    let large = [1 << 32, 1 << 60];
    for era in large {
        bench.marks().await;
        bench.tell(era, &["d"]).await.expect("eras are compared over their whole range");
    }
    bench.marks().await;
    bench.tell(1 << 33, &["c"]).await.expect_err("the list is past that era");
    bench.assert_eras(&["a", "b", "c", "d"], large[1], &[1, 4, 0, large[1]]).await;
    assert!(bench.marks().await.iter().all(|mark| mark.as_ref().is_some_and(|mark| mark.era == large[1])));
}

/// "Era 1 is the first of a generation: it empties the list", whatever it holds.
pub async fn a_generation_begins_with_an_empty_list<S: RecordsServer>(bench: &Bench<S>) {
    bench.tell(1, &["a"]).await.expect("a generation begins");
    bench.tell(2, &["b"]).await.expect("a list takes a newer era");
    bench.marks().await;
    bench.tell(1, &["c"]).await.expect("a generation begins");
    bench.assert_eras(&["a", "b", "c"], 1, &[0, 0, 1]).await;
}

/// "A mark of an era above 0 without a list of its generation and of at least that era counts as none."
pub async fn a_mark_without_its_list_is_none<S: RecordsServer>(bench: &Bench<S>) {
    bench.tell(1, &[]).await.expect("a generation begins");
    let marks = |mark: Mark| [(Arc::clone(&bench.schema), mark)].into();
    for (mark, expected) in [
        (Mark { era: 1, ..mark("8") }, Some(Mark { era: 1, ..mark("8") })),
        (Mark { era: 0, ..mark("8") }, Some(Mark { era: 1, ..mark("8") })),
        (Mark { era: 2, ..mark("8") }, None),
        (Mark { era: 1, generation: 9, ..mark("8") }, None),
        (Mark { era: 0, generation: 9, ..mark("8") }, Some(Mark { era: 0, generation: 9, ..mark("8") })),
    ] {
        bench.records.relay(&Relay { marks: marks(mark), ..Relay::default() }).await.expect("a step of the relayer succeeds");
        let found = bench.marks().await;
        assert_eq!(found, vec![expected; found.len()]);
    }
}

/// "And so does one whose list holds more than `MOST_TAGS`."
pub async fn a_mark_with_a_full_list_is_none<S: RecordsServer>(bench: &Bench<S>) {
    bench.tell(1, &[]).await.expect("a generation begins");
    let tags: Vec<String> = (0..=MOST_TAGS).map(|tag| tag.to_string()).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    bench.tell(2, &tags[1..]).await.expect("a list takes a newer era");
    assert!(bench.marks().await.iter().all(Option::is_some));
    bench.tell(3, &tags[..1]).await.expect("a list takes a newer era");
    assert!(bench.marks().await.iter().all(Option::is_none));
    bench.tell(1, &[]).await.expect("a generation begins");
    assert!(bench.marks().await.iter().all(Option::is_some));
}

/// Lists are no slots: they stay when all of those are emptied, and count for nothing.
pub async fn lists_survive_removals<S: RecordsServer>(bench: &Bench<S>) {
    bench.tell(1, &["a"]).await.expect("a generation begins");
    assert_eq!(bench.records.clear(&bench.schema).await.expect("clearing succeeds"), 0);
    bench.relay([(None, None)], None).await;
    bench.assert_eras(&["a"], 1, &[1]).await;
}

/// "Begins a new era in every shard, in which these tags were invalidated. A shard without a list makes one."
pub async fn the_truth_counts_eras_itself<S: RecordsServer>(bench: &Bench<S>) {
    bench.invalidate_tags(&[]).await;
    let made = bench.eras(&["a", "b"]).await;
    assert!(made.iter().flatten().all(|list| list.generation != 0 && list.era > 0 && list.of == [0, 0]), "{made:?}");
    bench.invalidate_tags(&["a".to_owned()]).await;
    bench.invalidate_tags(&["b".to_owned()]).await;
    for (before, after) in made.into_iter().zip(bench.eras(&["a", "b"]).await) {
        let (before, after) = (before.expect("the list was made"), after.expect("the list stays"));
        assert_eq!(after.generation, before.generation);
        assert!(before.era < after.of[0] && after.of[0] < after.of[1] && after.of[1] == after.era, "{before:?} {after:?}");
    }
}

/// "Of a generation that none had before; so does one whose list holds more than `MOST_TAGS`."
pub async fn a_full_list_of_the_truth_begins_anew<S: RecordsServer>(bench: &Bench<S>) {
    let tags: Vec<String> = (0..=MOST_TAGS).map(|tag| tag.to_string()).collect();
    bench.invalidate_tags(&tags).await;
    let full = bench.eras(&["1"]).await;
    bench.invalidate_tags(&["a".to_owned()]).await;
    for (before, after) in full.into_iter().zip(bench.eras(&["1", "a"]).await) {
        let (before, after) = (before.expect("there is a list"), after.expect("there is a list"));
        assert_eq!(before.of, [before.era]);
        assert_ne!(before.generation, after.generation);
        assert_eq!(after.of, [0, after.era]);
    }
}
