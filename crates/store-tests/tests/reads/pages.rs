//! Reading page by page.

use strata::{Cursor, ErrorKind, Order, Query};

use store_tests::models::{City, Player, city, player};
use store_tests::on_stacks;
use store_tests::stacks::Bench;

on_stacks!(with_tables: [
    pages_hold_every_record_once,
    pages_survive_what_is_written_between_them,
    pages_cross_null_in_every_direction,
    a_cursor_travels_as_text,
    foreign_and_malformed_cursors_are_refused,
]);

/// Reads all pages of a query, calling `between` after each.
async fn pages(bench: &Bench, query: Query<City>, mut between: impl AsyncFnMut(usize)) -> Vec<Vec<i64>> {
    let cities = bench.of::<City>();
    let mut pages = Vec::new();
    let mut page = cities.page(query.clone()).await.unwrap();
    loop {
        pages.push(page.records.iter().map(|city| city.id).collect());
        let Some(next) = page.next else { return pages };
        between(pages.len()).await;
        page = cities.page(query.clone().after(next)).await.unwrap();
    }
}

async fn pages_hold_every_record_once(bench: &Bench) {
    let cities = bench.of::<City>();
    assert_eq!(pages(bench, Query::new().limit(3), async |_| {}).await, [Vec::<i64>::new()]);
    cities.set_many((1..=7).map(city)).await.unwrap();
    assert_eq!(pages(bench, Query::new().limit(3), async |_| {}).await, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
    let filtered = Query::new().filter(City::id().gt(1)).order_by(City::id().desc()).limit(4);
    assert_eq!(pages(bench, filtered, async |_| {}).await, [vec![7, 6, 5, 4], vec![3, 2]]);
    let whole = cities.page(Query::new().no_limit()).await.unwrap();
    assert_eq!((whole.records.len(), whole.next), (7, None));
    let ordered = Query::new().order_by(City::population().desc()).order_by(City::name()).limit(2);
    assert_eq!(pages(bench, ordered, async |_| {}).await.concat(), [7, 6, 5, 4, 3, 2, 1]);
}

async fn pages_survive_what_is_written_between_them(bench: &Bench) {
    let cities = bench.of::<City>();
    let with = |id, population| City { population, ..city(id) };
    cities.set_many((1..=9).map(|id| with(id * 10, id))).await.unwrap();
    let query = Query::new().order_by(City::population()).limit(3);
    let found = pages(bench, query, async |page| match page {
        // Before the place, right behind it, and with the same value and another key.
        1 => drop(cities.set_many([with(1, 0), with(29, 3), with(31, 3), with(35, 4)]).await.unwrap()),
        2 => drop(cities.delete_many([10, 20, 31, 60]).await.unwrap()),
        _ => {}
    })
    .await;
    assert_eq!(found, [vec![10, 20, 30], vec![31, 35, 40], vec![50, 70, 80], vec![90]]);
}

async fn pages_cross_null_in_every_direction(bench: &Bench) {
    let cities = bench.of::<City>();
    // Countries: NULL for every third city, else C1 or C2; populations in groups.
    cities.set_many((1..=12).map(|id| City { population: id % 2, ..city(id) })).await.unwrap();
    let orders: [fn() -> Vec<Order>; 6] = [
        || vec![City::country().asc()],
        || vec![City::country().desc()],
        || vec![City::country().asc(), City::population().desc()],
        || vec![City::country().desc(), City::population().asc()],
        || vec![City::population().asc(), City::country().desc(), City::id().desc()],
        || vec![City::country().desc(), City::id().asc()],
    ];
    for order in orders {
        let query = order().into_iter().fold(Query::new(), Query::order_by);
        let whole: Vec<i64> = cities.search(query.clone()).await.unwrap().iter().map(|city| city.id).collect();
        assert_eq!(whole.len(), 12);
        for size in [1, 2, 5] {
            let paged = pages(bench, query.clone().limit(size), async |_| {}).await.concat();
            assert_eq!(paged, whole, "{:?}, pages of {size}", order());
        }
    }
}

async fn a_cursor_travels_as_text(bench: &Bench) {
    let players = bench.players();
    let players_with =
        |region: Option<&str>| Player { region: region.map(str::to_owned), seen_at: Some(store_tests::models::moment()), ..player("a", 1) };
    players
        .set_many([players_with(Some("é'\u{1F980}")), Player { id: "b".to_owned(), username: "b".to_owned(), ..players_with(None) }])
        .await
        .unwrap();
    let query = || {
        let query = Query::new().order_by(Player::region()).order_by(Player::score().desc()).order_by(Player::seen_at());
        query.order_by(Player::created_at()).limit(1)
    };
    let first = players.page(query()).await.unwrap();
    let text = first.next.expect("there is more").to_string();
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
    let second = players.page(query().after(text.parse().unwrap())).await.unwrap();
    assert_eq!((first.records[0].id.as_str(), second.records[0].id.as_str()), ("a", "b"));
    let end = players.page(query().after(second.next.unwrap())).await.unwrap();
    assert!(end.records.is_empty() && end.next.is_none());
}

async fn foreign_and_malformed_cursors_are_refused(bench: &Bench) {
    bench.of::<City>().set_many((1..=3).map(city)).await.unwrap();
    bench.players().set(player("a", 1)).await.unwrap();
    let of_players = bench.players().page(Query::new().limit(1)).await.unwrap().next.unwrap();
    let cities = bench.of::<City>();
    let by_name = cities.page(Query::new().order_by(City::name()).limit(1)).await.unwrap().next.unwrap();
    let text = by_name.to_string();
    let cut: Cursor = text[..text.len() - 2].parse().unwrap();
    // The second byte behind the order says how many columns are unset.
    let unset: Cursor = format!("{}0100{}", &text[..16], "00".repeat(2)).parse().unwrap();
    for query in [
        Query::new().after(of_players),
        Query::new().after(by_name.clone()),
        Query::new().order_by(City::name().desc()).after(by_name.clone()),
        Query::new().order_by(City::name()).order_by(City::population()).after(by_name.clone()),
        Query::new().order_by(City::name()).after(cut),
        Query::new().order_by(City::name()).after(unset),
    ] {
        for (operation, error) in [
            ("search", cities.search(query.clone()).await.unwrap_err()),
            ("page", cities.page(query.clone()).await.unwrap_err()),
            ("stream", cities.stream(query).err().unwrap()),
        ] {
            assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidQuery, Some(operation)), "{error}");
            assert!(error.to_string().contains("start again from the first page"), "{error}");
            assert_eq!(error.schema(), Some("city"));
        }
    }
    for text in ["", "0", "zz", &text[..15], &text[..17], "é123456789abcdef0", "0123456789abcde-"] {
        let error = text.parse::<Cursor>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{text}");
    }
}
