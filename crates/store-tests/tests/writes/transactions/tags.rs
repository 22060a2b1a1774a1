//! Tags that the calls of a transaction give.

use strata::{Collection, ErrorKind};

use store_tests::models::{City, city};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

async fn held(cities: &Collection<City>) -> Vec<i64> {
    (1..=9).filter(|&id| cities.peek(id).is_some()).collect()
}

async fn each_write_gives_the_tags_of_its_call(bench: &Bench) {
    let cities = bench.of::<City>();
    cities.set_many([city(4), city(5), city(6)]).await.unwrap();
    bench
        .store
        .transaction(async |tx| {
            {
                let mut shown = tx.with_tags(["front-page"]);
                shown.set(city(1)).await?;
                shown.with_tags(["south"]).set_many([city(2)]).await?;
                shown.insert_only(city(3)).await?;
                shown.patch(4, City::population().set(44)).await?;
                shown.update::<City, _>(5, |city| city.population = 55).await?;
                shown.set(city(7)).await?;
            }
            // The last write of a record decides.
            tx.set(city(7)).await?;
            tx.with_tags(["south"]).set(city(8)).await?;
            let refused = tx.with_tags(["a\0b"]).set(city(9)).await.unwrap_err();
            assert_eq!((refused.kind(), refused.operation()), (ErrorKind::InvalidValue, Some("set")));
            assert_eq!(tx.with_tags(["a\0b"]).update::<City, _>(5, |_| ()).await.unwrap_err().kind(), ErrorKind::InvalidValue);
            Ok(())
        })
        .await
        .unwrap();
    if !bench.stack.has_near() {
        return;
    }
    assert_eq!(held(&cities).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    cities.invalidate_tag("south").await.unwrap();
    assert_eq!(held(&cities).await, [1, 3, 4, 5, 6, 7]);
    cities.invalidate_tag("front-page").await.unwrap();
    assert_eq!(held(&cities).await, [6, 7]);
}

async fn readers_who_ask_for_the_tags_find_the_copies(bench: &Bench) {
    let cities = bench.of::<City>();
    bench.store.transaction(async |tx| tx.with_tags(["front-page"]).set(city(1)).await).await.unwrap();
    let shown = cities.with_tags(["front-page"]);
    if bench.stack.has_near() {
        assert!(shown.peek(1).is_some());
    }
    cities.invalidate_tag("front-page").await.unwrap();
    assert_eq!(shown.get(1).await.unwrap().unwrap().population, 1);
}

on_stacks!(with_tables: [
    each_write_gives_the_tags_of_its_call,
    readers_who_ask_for_the_tags_find_the_copies,
]);
