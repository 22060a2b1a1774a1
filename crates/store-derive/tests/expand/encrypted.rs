struct Player {
    #[schema(primary_key)]
    id: i64,
    #[schema(encrypted, plain_in_l2, unique)]
    email: String,
    #[schema(encrypted)]
    note: Option<String>,
}
