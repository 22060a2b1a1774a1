#[projection(of = geography::City)]
struct Summary {
    name: String,
    #[projection(column = "type")]
    kind: Option<String>,
}
