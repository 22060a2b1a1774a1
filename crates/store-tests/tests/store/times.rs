//! The time types of jiff, chrono and time as columns.

use strata::mem::MemTier;
use strata::{Collection, Store};

use store_tests::stacks::{open_sqlite, sqlite};

/// Nanoseconds since 1970, and what a tier keeps of them.
const MOMENTS: [(i128, i128); 4] = [
    (1_700_000_000_123_456_789, 1_700_000_000_123_456_000),
    (-1_500, -2_000),
    (0, 0),
    (-62_000_000_000_000_000_001, -62_000_000_000_000_001_000),
];

macro_rules! times {
    ($($module:ident $time:ty, $of_nanoseconds:expr, $ends:expr;)*) => {$(
        mod $module {
            use strata::{ErrorKind, Query, Role, Schema, Timestamp, params};

            use super::*;

            #[derive(Debug, Clone, PartialEq, Schema)]
            #[schema(name = "event")]
            struct Event {
                #[schema(primary_key)]
                id: i64,
                at: $time,
                until: Option<$time>,
                #[schema(auto_now)]
                touched: $time,
            }

            fn moment(nanoseconds: i128) -> $time {
                $of_nanoseconds(nanoseconds)
            }

            async fn check(events: Collection<Event>) {
                for (id, (given, kept)) in (1..).zip(MOMENTS) {
                    let event = Event { id, at: moment(given), until: Some(moment(given)), touched: moment(0) };
                    let stored = events.set(event.clone()).await.unwrap();
                    assert!(stored.touched > moment(1_600_000_000_000_000_000), "the store stamps it");
                    let expected = Event { at: moment(kept), until: Some(moment(kept)), touched: stored.touched, ..event };
                    assert_eq!(**stored.model(), expected);
                    for _ in 0..2 {
                        assert_eq!(**events.from(Role::Shared).get(id).await.unwrap().unwrap().model(), expected);
                    }
                    let found = events.search(Query::new().filter(Event::at().eq(moment(kept))).filter(Event::until().is_not_null())).await.unwrap();
                    assert_eq!(found.iter().map(|event| event.id).collect::<Vec<_>>(), [id]);
                }
                let (first, cursor) = {
                    let page = events.page(Query::new().order_by(Event::at()).limit(2)).await.unwrap();
                    (page.records, page.next.unwrap())
                };
                assert_eq!(first.iter().map(|event| event.id).collect::<Vec<_>>(), [4, 2]);
                let rest = events.search(Query::new().order_by(Event::at()).after(cursor)).await.unwrap();
                assert_eq!(rest.iter().map(|event| event.id).collect::<Vec<_>>(), [3, 1]);

                events.set(Event { id: 5, at: moment(0), until: None, touched: moment(0) }).await.unwrap();
                let fine = moment(-1_500);
                for (condition, expected) in [
                    (Event::until().lt(fine), vec![2, 4]),
                    (Event::until().le(fine), vec![2, 4]),
                    (Event::until().gt(fine), vec![1, 3]),
                    (Event::until().ge(fine), vec![1, 3]),
                    (Event::until().between(fine, moment(1)), vec![3]),
                    (Event::until().eq(fine), vec![]),
                    (!Event::until().eq(fine), vec![1, 2, 3, 4]),
                    (Event::until().ne(fine), vec![1, 2, 3, 4]),
                    (!Event::until().ne(fine), vec![]),
                    (Event::until().one_of([fine, moment(0)]), vec![3]),
                    (!Event::until().one_of([fine, moment(-1)]), vec![1, 2, 3, 4]),
                ] {
                    let found = events.search(Query::new().filter(condition.clone())).await.unwrap();
                    assert_eq!(found.iter().map(|event| event.id).collect::<Vec<_>>(), expected, "{condition:?}");
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn the_ends_of_the_range_are_kept_or_refused() {
                let (_directory, tier) = sqlite().await;
                let builder = Store::builder().near(MemTier::new()).tier(store_testkit::ModelRecords::new()).tier(tier);
                let events: Collection<Event> = builder.schema::<Event>().build().await.unwrap().collection().unwrap();
                let ends: [($time, Option<$time>); 3] = $ends;
                for (id, (given, kept)) in (1..).zip(ends) {
                    let event = Event { id, at: given, until: Some(given), touched: moment(0) };
                    if let Some(kept) = kept {
                        assert_eq!(events.set(event).await.unwrap().at, kept);
                        assert_eq!(events.from(Role::Truth).get(id).await.unwrap().unwrap().until, Some(kept));
                        assert_eq!(events.count(Query::new().where_sql("at = $1", params![given])).await.unwrap(), 1);
                    } else {
                        let error = events.set(event).await.unwrap_err();
                        assert_eq!((error.kind(), error.column()), (ErrorKind::InvalidValue, Some("at")), "{given:?}: {error}");
                        let error = events.count(Query::new().where_sql("at = $1", params![given])).await.unwrap_err();
                        assert_eq!(error.kind(), ErrorKind::InvalidQuery, "{given:?}: {error}");
                    }
                }
                events.search(Query::new()).await.unwrap();
            }

            /// The same table as a program with another type of time fills it.
            #[derive(Debug, Clone, PartialEq, Schema)]
            #[schema(name = "event")]
            struct Wider {
                #[schema(primary_key)]
                id: i64,
                at: Timestamp,
                until: Option<Timestamp>,
                #[schema(auto_now)]
                touched: Timestamp,
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_lies_beyond_the_range_of_the_type_is_an_error() {
                let (directory, tier) = sqlite().await;
                let wider = Store::builder().tier(tier).schema::<Wider>().build().await.unwrap();
                let now = Timestamp::from_microseconds(0).unwrap();
                let last = Wider { id: 1, at: now, until: Some(Timestamp::MAX), touched: now };
                wider.collection::<Wider>().unwrap().set(last).await.unwrap();
                let builder = Store::builder().near(MemTier::new()).tier(store_testkit::ModelRecords::new()).tier(open_sqlite(&directory).await);
                let events: Collection<Event> = builder.schema::<Event>().build().await.unwrap().collection().unwrap();
                for error in [events.get(1).await.unwrap_err(), events.search(Query::new()).await.unwrap_err()] {
                    assert_eq!((error.kind(), error.column()), (ErrorKind::DecodeFailed, Some("until")), "{error}");
                    assert!(error.to_string().contains("the stored time lies outside"), "{error}");
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn moments_travel_through_sqlite() {
                let (_directory, tier) = sqlite().await;
                let builder = Store::builder().near(MemTier::new()).tier(store_testkit::ModelRecords::new()).tier(tier);
                check(builder.schema::<Event>().build().await.unwrap().collection().unwrap()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn moments_travel_through_postgres() {
                let (_database, tier) = store_tests::stacks::postgres::open().await;
                let builder = Store::builder().near(MemTier::new()).tier(tier);
                check(builder.schema::<Event>().build().await.unwrap().collection().unwrap()).await;
            }
        }
    )*};
}
times! {
    with_jiff jiff::Timestamp, |nanoseconds| jiff::Timestamp::from_nanosecond(nanoseconds).unwrap(),
        [
            (jiff::Timestamp::MAX, Some(jiff::Timestamp::constant(253_402_207_200, 999_999_000))),
            (jiff::Timestamp::constant(253_402_207_200, 1), Some(jiff::Timestamp::constant(253_402_207_200, 0))),
            (jiff::Timestamp::MIN, None),
        ];
    with_chrono chrono::DateTime<chrono::Utc>, |nanoseconds: i128| {
        let seconds = nanoseconds.div_euclid(1_000_000_000);
        chrono::DateTime::from_timestamp(seconds as i64, nanoseconds.rem_euclid(1_000_000_000) as u32).unwrap()
    }, [
        (chrono::DateTime::<chrono::Utc>::MAX_UTC, chrono::Timelike::with_nanosecond(&chrono::DateTime::<chrono::Utc>::MAX_UTC, 999_999_000)),
        (chrono::DateTime::from_timestamp(chrono::DateTime::<chrono::Utc>::MAX_UTC.timestamp(), 1_999_999_999).unwrap(), None),
        (chrono::DateTime::<chrono::Utc>::MIN_UTC, None),
    ];
    with_time time::OffsetDateTime, |nanoseconds| time::OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap(), [
        (time::PrimitiveDateTime::MAX.assume_utc(), time::PrimitiveDateTime::MAX.assume_utc().replace_nanosecond(999_999_000).ok()),
        (time::PrimitiveDateTime::MAX.assume_offset(time::UtcOffset::from_hms(-23, 0, 0).unwrap()), None),
        (time::PrimitiveDateTime::MIN.assume_utc(), None),
    ];
}
