use store_derive::Schema;

#[derive(Schema)]
#[schema(index, index(), index(columns()), index(unique), index(columns("user_id")), index(columns = "user_id"), index = [columns])]
struct Columns {
    #[schema(primary_key)]
    id: i64,
}

#[derive(Schema)]
#[schema(index(columns(user, created_at)))]
#[schema(index(columns(cached)))]
#[schema(index(columns(user_id, user_id)))]
#[schema(index(columns(user_id, created_at), unique = true, order = "desc"))]
struct Orders {
    #[schema(primary_key)]
    id: i64,
    user_id: i64,
    created_at: i64,
    #[schema(skip)]
    cached: i64,
}

#[derive(Schema)]
#[schema(index(columns(user_id, id), name = "by user"))]
#[schema(index(columns(user_id, id)))]
#[schema(index(columns(id, user_id), name = "twice"))]
#[schema(index(columns(id, user_id), unique, name = "twice"))]
struct Names {
    #[schema(primary_key)]
    id: i64,
    user_id: i64,
}

fn main() {}
