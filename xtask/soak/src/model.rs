//! What the workers store.

use strata::Schema;

/// How stale a plain read may be.
pub(crate) const BOUND: std::time::Duration = std::time::Duration::from_millis(500);

/// A record whose number says which write it is of: no two writes of a key share one in a run.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "soak_item", l1(ttl = "20s"), l2(ttl = "60s"), negative_ttl = "5s")]
pub(crate) struct Item {
    #[schema(primary_key)]
    pub(crate) id: i64,
    pub(crate) number: i64,
}

/// A record whose number grows behind the store's back.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(name = "soak_tagged", l1(ttl = "20s"), l2(ttl = "60s"))]
pub(crate) struct Tagged {
    #[schema(primary_key)]
    pub(crate) id: i64,
    #[schema(tag)]
    pub(crate) category: i64,
    pub(crate) number: i64,
}

/// A copy of a number that is kept elsewhere and grows.
#[derive(Debug, Clone, PartialEq, Schema)]
#[schema(cache_only, name = "soak_loaded", l1(ttl = "20s"), l2(ttl = "5s"))]
pub(crate) struct Loaded {
    #[schema(primary_key)]
    pub(crate) id: i64,
    pub(crate) number: i64,
}

/// The bit of a number whose write takes long to commit.
pub(crate) const SLOW_COMMIT: u64 = 1 << 30;

/// Holds transactions up in their commit that wrote a number with [`SLOW_COMMIT`].
pub(crate) const SLOW_COMMIT_TRIGGER: &str = "
    CREATE FUNCTION soak_slow_commit() RETURNS TRIGGER LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER soak_slow_commit AFTER INSERT OR UPDATE ON soak_item DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.number & (1::BIGINT << 30) <> 0) EXECUTE FUNCTION soak_slow_commit();";

/// The bits of the numbers that a transaction wrote to a key and to the next one; else the two are the same.
pub(crate) const FIRST: u64 = 1 << 28;
pub(crate) const SECOND: u64 = 1 << 27;

/// How long a statement may take.
pub(crate) const STATEMENT: std::time::Duration = std::time::Duration::from_millis(900);

/// The bit of a number whose write hangs on the server for longer than a statement may take, hears of no cancellation, and commits then.
pub(crate) const DEAF: u64 = 1 << 29;

/// Lets inserts of a number with [`DEAF`] hang, before they lock a row.
pub(crate) const DEAF_TRIGGER: &str = "
    CREATE FUNCTION soak_deaf() RETURNS TRIGGER LANGUAGE plpgsql AS
        $$ DECLARE wakes TIMESTAMPTZ := clock_timestamp() + INTERVAL '1.2 s'; BEGIN
            WHILE clock_timestamp() < wakes LOOP
                BEGIN PERFORM pg_sleep(extract(epoch FROM wakes - clock_timestamp())); EXCEPTION WHEN query_canceled THEN NULL; END;
            END LOOP;
            RETURN NEW;
        END $$;
    CREATE TRIGGER soak_deaf BEFORE INSERT ON soak_item
        FOR EACH ROW WHEN (NEW.number & (1::BIGINT << 29) <> 0) EXECUTE FUNCTION soak_deaf();";
