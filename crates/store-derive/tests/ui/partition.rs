use store_core::Timestamp;
use store_derive::Schema;

#[derive(Schema)]
#[schema(partition_by(range(created_at), every = "1 month"), index(columns(name), unique))]
struct Keys {
    #[schema(primary_key)]
    id: i64,
    created_at: Timestamp,
    #[schema(unique)]
    name: String,
}

#[derive(Schema)]
#[schema(partition_by, partition_by(range(at)), partition_by(range(at, id), every = "1 month"), partition_by(every = "1 month"))]
#[schema(partition_by(range(at), every = "monthly"), partition_by(range(at), every = "1 month", ahead = 0))]
#[schema(partition_by(list(id), values = []), partition_by(list(id), values = [0.5]), partition_by(list(id), partitions = 3))]
#[schema(partition_by(hash(id), 8), partition_by(hash(id), partitions = 8, ahead = 3), partition_by(by(id)))]
struct Spelling {
    #[schema(primary_key)]
    id: i64,
    #[schema(primary_key)]
    at: Timestamp,
}

#[derive(Schema)]
#[schema(partition_by(range(day), every = "1 day"))]
struct Unknown {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(partition_by(list(region), values = ["eu", "us", "eu"]))]
struct Twice {
    #[schema(primary_key)]
    region: String,
}

#[derive(Schema)]
#[schema(partition_by(range(id), every = "1 day"))]
struct NoTime {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(partition_by(list(id), values = [1, "eu"]))]
struct NoText {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(cache_only, partition_by(hash(id), partitions = 8))]
struct Cached {
    #[schema(primary_key)]
    id: i64,
}

fn main() {}
