pub struct City {
    #[schema(primary_key)]
    pub id: i64,
    name: String,
    #[schema(index)]
    pub population: Option<i64>,
}
