use store_derive::Schema;

#[derive(Schema)]
struct City {
    #[schema(primary_key)]
    id: i64,
    name: String,
    population: Option<i64>,
}

fn main() {
    let _ = City::population().eq(Some(3));
    let _ = City::population().eq(None);
    let _ = City::population().eq("3");
    let _ = City::name().eq(3);
}
