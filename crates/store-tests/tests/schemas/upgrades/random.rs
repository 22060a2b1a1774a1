//! Chains of upgrades against the same steps by hand.

use proptest::prelude::*;
use store_testkit::ModelRecords;
use strata::{Upgrade, Versioned};

use super::{Hero, HeroV1, HeroV2, on};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the name, what is read is what the steps make of it, and an error where one of them fails.
    #[test]
    fn a_chain_is_its_steps(names in proptest::collection::vec("[a-z]{0,3}( [a-zé]{0,3})?", 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let records = ModelRecords::new();
            let olds = names.iter().zip(1..).map(|(name, id)| HeroV1 { id, name: name.clone() }).collect::<Vec<_>>();
            let first = on(&records).schema::<HeroV1>().build().await.unwrap();
            first.collection::<HeroV1>().unwrap().set_many(olds.clone()).await.unwrap();
            let third = on(&records).schema::<Hero>().build().await.unwrap();
            let heroes = third.collection::<Hero>().unwrap();
            for old in olds {
                let id = old.id;
                let by_hand = HeroV2::upgrade(old).and_then(Hero::upgrade);
                let read = heroes.get(id).await;
                match by_hand {
                    Ok(hero) => prop_assert_eq!(&*read.unwrap().unwrap(), &hero),
                    Err(_) => prop_assert!(read.is_err()),
                }
            }
            Ok(())
        })?;
    }

    /// A document of any version, anywhere in another value.
    #[test]
    fn documents_are_upgraded_from_any_version(items in proptest::collection::vec("[a-z\"\\\\]{1,4}", 1..4), version in 0_u64..3) {
        use super::documents::Kit;

        let stored = match version {
            0 => serde_json::json!({"item": items[0]}),
            1 => serde_json::json!({"_v": 1, "items": items}),
            _ => serde_json::json!({"_v": 2, "items": items.iter().map(|item| (item, 1)).collect::<Vec<_>>()}),
        };
        let text = serde_json::json!({"nested": [stored]}).to_string();
        let read: std::collections::HashMap<String, Vec<Versioned<Kit>>> = serde_json::from_str(&text).unwrap();
        let expected = items.iter().take(if version == 0 { 1 } else { items.len() }).map(|item| (item.clone(), 1)).collect::<Vec<_>>();
        prop_assert_eq!(&read["nested"][0].items, &expected);
        let again: Versioned<Kit> = serde_json::from_str(&serde_json::to_string(&read["nested"][0]).unwrap()).unwrap();
        prop_assert_eq!(&again, &read["nested"][0]);
    }
}
