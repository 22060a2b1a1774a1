use store_derive::Projection;

#[derive(Projection)]
struct NoModel {
    name: String,
}

#[derive(Projection)]
#[projection(of = "City", off = City)]
struct NoPath {
    #[projection(colum = "name")]
    name: String,
    #[projection(column = "not a name")]
    other: String,
    #[projection(column = "self")]
    this: String,
    #[projection(of = City)]
    misplaced: String,
}

#[derive(Projection)]
#[projection(of = City, of = City, column = "x")]
struct Twice {
    #[projection(column = "name", column = "name")]
    name: String,
}

#[derive(Projection)]
#[projection(of = City)]
struct Generic<T> {
    name: T,
}

#[derive(Projection)]
#[projection(of = City)]
enum Choice {
    Name(String),
}

#[derive(Projection)]
#[projection(of = City)]
struct Pair(String, i64);

fn main() {}
