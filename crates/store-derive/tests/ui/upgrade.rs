use store_derive::Schema;

#[derive(Schema)]
#[schema(version = 0, upgrade_policy = "write-back")]
struct Zero {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(upgrade_from = Zero, upgrade_from = Zero)]
struct WithoutVersion {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(version = 1, upgrade_from = Zero)]
struct First {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(version = "2", upgrade_from = "Zero", upgrade_incomplete = true)]
struct Types {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(version = 4_294_967_296, upgrade_incomplete)]
struct Large {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(version = 2, upgrade_from = Zero, upgrade_incomplete, cache_only)]
struct WithoutTable {
    #[schema(primary_key)]
    #[schema(upgrade_from = Zero)]
    id: i64,
}

fn main() {}
