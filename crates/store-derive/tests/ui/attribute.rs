use store_derive::Schema;

#[derive(Schema)]
#[schema]
struct WithoutParentheses {
    #[schema = "primary_key"]
    id: i64,
    #[schema(primary_key)]
    key: i64,
}

#[derive(Schema)]
#[schema(name: "broken")]
struct Unreadable {
    #[schema(primary_key; unique)]
    id: i64,
}

#[derive(Schema)]
#[schema(tabel = "cities", l4(ttl = "60s"), something)]
struct Unknown {
    #[schema(primry_key)]
    id: i64,
    #[schema(colour)]
    name: String,
}

#[derive(Schema)]
#[schema(unique, name = "x", name = "y", cache_only, cache_only, l1(ttl = "5m"), l1(ttl = "6m"))]
struct Misplaced {
    #[schema(primary_key, primary_key)]
    id: i64,
    #[schema(unique)]
    #[schema(unique)]
    code: String,
    #[schema(name = "title")]
    heading: String,
    #[schema(write_mode = "write_behind")]
    body: String,
}

#[derive(Schema)]
#[schema(name, write_mode = 1, cache_only = true, l1 = "60s", l2("60s"), index)]
struct WrongValues {
    #[schema(primary_key = true)]
    id: i64,
    #[schema(unique(true))]
    code: String,
    #[schema(default)]
    level: i64,
    #[schema(auto_now(true))]
    updated: std::time::SystemTime,
}

fn main() {}
