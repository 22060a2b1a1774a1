use store_core::Deferred;
use store_derive::Schema;

#[derive(Schema)]
#[schema(l1(ttl = "60", max_entries = 0, eviction = "random"))]
#[schema(l2(ttl = "0s", key_prefix = "_version"))]
#[schema(l3(table = "_strata_log"))]
#[schema(write_mode = "write_back", negative_ttl = "never")]
struct Values {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(l1(ttl = 60, ttl = "999999999999999999d", max_entries = "many", max_entry = 1))]
#[schema(l2(key_prefix = "", prefix = "x"))]
#[schema(l3(name = "x"), negative_ttl = 5)]
struct Types {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(cache_only, l3(table = "sessions"), index(columns(user, expires)))]
struct Session {
    #[schema(primary_key)]
    id: i64,
    #[schema(unique)]
    user: i64,
    #[schema(index)]
    expires: i64,
    #[schema(omit_cache)]
    data: Deferred<String>,
}

fn main() {}
