use store_derive::Schema;

#[derive(Schema)]
#[schema(index(columns(name), kind = "gin_trigram", unique), index(columns(level), kind = "trigram"))]
#[schema(index(columns(name), kind = "gin_trigram", include(id)))]
#[schema(index(columns(level), include(level, rank)), index(columns(id), include(name, name)))]
#[schema(index(columns(level), where = ""), index(columns(name), where = "level > 0; DROP TABLE player"))]
struct Player {
    #[schema(primary_key)]
    id: i64,
    #[schema(index(columns(level)), index(order = "desc"))]
    name: String,
    level: i64,
}

#[derive(Schema)]
#[schema(index(columns(level), kind = "gin_trigram"))]
struct Types {
    #[schema(primary_key)]
    id: i64,
    level: i64,
    #[schema(index(kind = "gin_trigram"))]
    parts: Vec<String>,
    #[schema(index(where = "level > 0"))]
    lists: Vec<String>,
}

#[derive(Schema)]
#[schema(cache_only)]
struct Cached {
    #[schema(primary_key)]
    id: i64,
    #[schema(index(kind = "gin_trigram"))]
    name: String,
}

fn main() {}
