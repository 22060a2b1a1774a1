use store_derive::{Projection, Schema};

#[derive(Schema)]
struct City {
    #[schema(primary_key)]
    id: i64,
    name: String,
    population: Option<i64>,
}

#[derive(Projection)]
#[projection(of = City)]
struct Unknown {
    nam: String,
    #[projection(column = "people")]
    population: Option<i64>,
}

#[derive(Projection)]
#[projection(of = City)]
struct OtherType {
    name: Vec<u8>,
    population: i64,
}

fn main() {}
