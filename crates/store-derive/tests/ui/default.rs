use store_derive::Schema;

#[derive(Schema)]
struct Literals {
    #[schema(primary_key)]
    id: i64,
    #[schema(default = None)]
    nothing: Option<i64>,
    #[schema(default = 'c')]
    letter: String,
    #[schema(default = "a\0b")]
    cut: String,
    #[schema(default = b"bytes")]
    bytes: Vec<u8>,
    #[schema(default = 1 + 1)]
    sum: i64,
    #[schema(default = 9_223_372_036_854_775_808)]
    large: u64,
    #[schema(default = 1e999)]
    infinite: f64,
    #[schema(default = -true)]
    negated: bool,
    #[schema(default = -5)]
    unsigned: u64,
    #[schema(default = -1)]
    byte: Option<u8>,
}

fn main() {}
