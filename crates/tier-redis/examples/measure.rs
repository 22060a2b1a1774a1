#![allow(missing_docs)]
use std::time::{Duration, Instant};
use store_core::facet::*;
use store_core::*;
use tier_redis::*;
static D: std::sync::LazyLock<SchemaDefinition> = std::sync::LazyLock::new(|| SchemaDefinition::new("measure", vec![ColumnDefinition::new("id", ColumnType::Text)], vec![], Policies::default()));
#[tokio::main]
async fn main() {
    let mut url = std::env::var("REDIS_URL").unwrap();
    let cluster = (url == "cluster").then(|| store_testkit::servers::RedisCluster::start(3).unwrap());
    if let Some(c) = &cluster { url = c.url(); }
    let tier = RedisTier::connect(RedisConfig::from_url(&url).unwrap().with_read_timeout(Duration::from_secs(30)).with_write_timeout(Duration::from_secs(30))).await.unwrap();
    let s = BoundSchema::standalone(&D);
    let rec = EncodedRecord { version: Version::new(1), fingerprint: 1, codec: 1, deadline: None, payload: bytes::Bytes::from(vec![7u8; 200]) };
    for n in [1usize, 100, 1000, 34006] {
        let keys: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        tier.remove(&s, &keys).await.unwrap();
        let t = Instant::now(); let slots = tier.fetch(&s, &keys, Some(Duration::from_secs(100))).await.unwrap(); let lease = t.elapsed();
        let fills: Vec<Fill> = keys.iter().zip(slots).map(|(k, sl)| match sl { Slot::Leased(lease) => Fill { key: k.clone(), lease, record: rec.clone() }, _ => panic!() }).collect();
        let t = Instant::now(); tier.fill(&s, &fills).await.unwrap(); let fill = t.elapsed();
        let t = Instant::now(); tier.fetch(&s, &keys, None).await.unwrap(); let get = t.elapsed();
        let recs: Vec<_> = keys.iter().map(|k| (k.clone(), rec.clone())).collect();
        let t = Instant::now(); tier.put(&s, &recs).await.unwrap(); let put = t.elapsed();
        let t = Instant::now(); tier.remove(&s, &keys).await.unwrap(); let rm = t.elapsed();
        println!("{n:6}: lease {lease:?} fill {fill:?} get {get:?} put {put:?} remove {rm:?}");
    }
}
