//! `l1(…)`, `l2(…)`, `l3(…)` `negative_ttl`, `write_mode` and `upgrade_policy`.

use super::check_text;
use crate::argument::{Argument, set_once};
use crate::context::Context;
use crate::schema::model::{Lifetime, NearPolicy, SharedPolicy, TruthPolicy};
use crate::{duration, name, suggestion};

const NEAR: &str = "l1(ttl = \"60s\", max_entries = 50_000, eviction = \"lru\")";
const SHARED: &str = "l2(ttl = \"30m\", key_prefix = \"players\")";
const TRUTH: &str = "l3(table = \"players\")";

const EVICTIONS: [(&str, &str); 3] = [("lru", "Lru"), ("lfu", "Lfu"), ("fifo", "Fifo")];
const WRITE_MODES: [(&str, &str); 3] =
    [("write_through", "WriteThrough"), ("write_through_lazy_l1", "WriteThroughLazyL1"), ("write_behind", "WriteBehind")];

const UPGRADE_POLICIES: [(&str, &str); 2] = [("on_read", "OnRead"), ("write_back", "WriteBack")];

pub(super) fn near(context: &Context, argument: &Argument) -> Option<NearPolicy> {
    let mut policy = NearPolicy::default();
    for part in argument.list(context, NEAR)? {
        match part.name.to_string().as_str() {
            "ttl" => {
                if let Some(ttl) = lifetime(context, &part) {
                    set_once(context, &mut policy.ttl, &part.name, ttl);
                }
            }
            "max_entries" => match part.number(context, "max_entries = 50_000") {
                Some((0, span)) => context.error(span, "memory that holds no entry is of no use; leave `max_entries` out for no limit"),
                Some((number, _)) => set_once(context, &mut policy.max_entries, &part.name, number),
                None => {}
            },
            "eviction" => {
                if let Some(variant) = choice(context, &part, "eviction = \"lru\"", &EVICTIONS) {
                    set_once(context, &mut policy.eviction, &part.name, variant);
                }
            }
            other => context.error(part.span(), suggestion::unknown("argument of `l1`", other, &["ttl", "max_entries", "eviction"])),
        }
    }
    Some(policy)
}

pub(super) fn shared(context: &Context, argument: &Argument) -> Option<SharedPolicy> {
    let mut policy = SharedPolicy::default();
    for part in argument.list(context, SHARED)? {
        match part.name.to_string().as_str() {
            "ttl" => {
                if let Some(ttl) = lifetime(context, &part) {
                    set_once(context, &mut policy.ttl, &part.name, ttl);
                }
            }
            "key_prefix" => {
                if let Some(text) = part.text(context, "key_prefix = \"players\"") {
                    check_text(context, &text, name::check_key_prefix);
                    set_once(context, &mut policy.key_prefix, &part.name, text.value());
                }
            }
            other => context.error(part.span(), suggestion::unknown("argument of `l2`", other, &["ttl", "key_prefix"])),
        }
    }
    Some(policy)
}

pub(super) fn truth(context: &Context, argument: &Argument) -> Option<TruthPolicy> {
    let mut table = None;
    for part in argument.list(context, TRUTH)? {
        match part.name.to_string().as_str() {
            "table" => {
                if let Some(text) = part.text(context, "table = \"players\"") {
                    check_text(context, &text, name::check_table);
                    set_once(context, &mut table, &part.name, text.value());
                }
            }
            other => context.error(part.span(), suggestion::unknown("argument of `l3`", other, &["table"])),
        }
    }
    Some(TruthPolicy { span: argument.span(), table })
}

/// The variant of `WriteMode`.
pub(super) fn write_mode(context: &Context, argument: &Argument) -> Option<&'static str> {
    choice(context, argument, "write_mode = \"write_through\"", &WRITE_MODES)
}

/// The variant of `UpgradePolicy`.
pub(super) fn upgrade_policy(context: &Context, argument: &Argument) -> Option<&'static str> {
    choice(context, argument, "upgrade_policy = \"write_back\"", &UPGRADE_POLICIES)
}

/// Milliseconds.
pub(super) fn negative_ttl(context: &Context, argument: &Argument) -> Option<u64> {
    let text = argument.text(context, "negative_ttl = \"5s\"")?;
    duration::milliseconds(&text.value()).map_err(|reason| context.error(text.span(), reason)).ok()
}

fn lifetime(context: &Context, argument: &Argument) -> Option<Lifetime> {
    let text = argument.text(context, "ttl = \"60s\"")?;
    match text.value().as_str() {
        "inherit" => Some(Lifetime::Inherit),
        "never" => Some(Lifetime::Never),
        duration => match duration::milliseconds(duration) {
            Ok(milliseconds) => Some(Lifetime::Milliseconds(milliseconds)),
            Err(reason) => {
                context.error(text.span(), format!("{reason}; \"never\" and \"inherit\" (the store's default) are life times too"));
                None
            }
        },
    }
}

/// One of some words, as the variant that it stands for.
pub(super) fn choice<T: Copy>(context: &Context, argument: &Argument, example: &str, choices: &[(&str, T)]) -> Option<T> {
    let text = argument.text(context, example)?;
    let found = choices.iter().find(|(word, _)| *word == text.value());
    if found.is_none() {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        context.error(text.span(), suggestion::unknown(&format!("value of `{}`", argument.name), &text.value(), &words));
    }
    found.map(|(_, variant)| *variant)
}
