#[schema(name = "orders")]
#[schema(l1(ttl = "60s", max_entries = 50_000, eviction = "lfu"), l2(ttl = "never", key_prefix = "o"), l3(table = "old_orders"))]
#[schema(write_mode = "write_through_lazy_l1", negative_ttl = "5s")]
#[schema(index(columns(user_id, created_at)), index(columns(code, r#type), unique, name = "codes"))]
struct Order {
    #[schema(primary_key)]
    user_id: Uuid,
    #[schema(primary_key)]
    number: i32,
    #[schema(unique)]
    code: String,
    #[schema(index, tag, default = "new")]
    r#type: Option<String>,
    #[schema(default = -1)]
    level: i16,
    #[schema(nullable)]
    notes: String,
    #[schema(auto_now_add)]
    created_at: SystemTime,
    #[schema(auto_now)]
    updated_at: SystemTime,
    #[schema(omit_cache)]
    document: Deferred<Vec<u8>>,
    #[schema(omit_l1, nullable, default = 0.5)]
    weight: strata::Deferred<f64>,
    parts: Vec<Self>,
    #[schema(skip)]
    dirty: bool,
}
