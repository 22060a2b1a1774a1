//! What a server tells of itself.

use store_core::{Tier, Weight};
use tier_redis::{RedisConfig, RedisTier};

use crate::support::{impatient, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_lacks_is_told_with_what_mends_it() {
    let mut server = start_server();
    let tier = RedisTier::connect(impatient(&server.url())).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1gb"]).unwrap();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    let findings = tier.diagnose().await;
    assert!(findings.iter().all(|finding| finding.weight != Weight::Problem), "{findings:?}");
    for told in ["Redis ", "evicts by allkeys-lru", "a round trip takes", "apart", "scripts may run"] {
        assert!(findings.iter().any(|finding| finding.what.contains(told)), "nothing says `{told}`: {findings:?}");
    }

    server.command(&["ACL", "SETUSER", "reader", "on", ">pass", "~strata:*", "+@connection", "+info", "+get", "+time"]).unwrap();
    let config = RedisConfig::standalone("127.0.0.1", server.port()).with_username("reader").with_password("pass");
    let findings = RedisTier::connect(config).await.unwrap().diagnose().await;
    let right = findings.last().unwrap();
    assert_eq!(right.weight, Weight::Problem);
    assert!(right.remedy.as_ref().is_some_and(|remedy| remedy.contains("ACL SETUSER")), "{right:?}");

    server.kill().unwrap();
    let findings = tier.diagnose().await;
    assert!(findings.iter().any(|finding| finding.weight == Weight::Problem), "{findings:?}");
}
