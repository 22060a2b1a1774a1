//! Dropping the cached copies that have a tag.

use std::sync::Arc;

use super::{Backing, Pipeline};
use crate::error::Result;
use crate::facet::{LogEntry, LogKind};
use crate::schema::Schema;
use crate::tag::Tag;
use crate::version::Version;

impl<T: Schema> Pipeline<T> {
    /// Drops the cached copies with a tag, on every instance.
    pub(crate) async fn invalidate_tag(self: &Arc<Self>, tag: Tag) -> Result<()> {
        self.check_open()?;
        let tag = tag.of_schema(self.schema.definition())?;
        let pipeline = Arc::clone(self);
        self.in_task(Vec::new(), async move {
            let version = pipeline.tell_tag(&tag).await?;
            if !matches!(pipeline.backing, Backing::Memory(_)) {
                pipeline.shared.coherence.announce(pipeline.schema.name(), LogKind::InvalidateTag, [(Some(tag), version)]);
            }
            Ok(())
        })
        .await
    }

    /// Hears of the invalidation of a tag, and writes it where the other instances and the shared tier learn of it.
    pub(super) async fn tell_tag(&self, tag: &str) -> Result<Option<Version>> {
        self.hear_tag(tag);
        let told = match &self.backing {
            Backing::Tables { log, .. } => {
                let (schema, kind) = (self.schema.name().to_owned(), LogKind::InvalidateTag);
                let entry = LogEntry { schema, key: Some(tag.to_owned()), version: Version::default(), kind, columns: None };
                let logged = log.append(&[entry]).await.map(|versions| versions.into_iter().next());
                // Also where the outcome is not known.
                if let Some(trust) = &self.trust {
                    trust.hear_tag(tag);
                }
                logged
            }
            Backing::Records(records) => records.invalidate_tags(&self.schema, &[tag.to_owned()]).await.map(|()| None),
            Backing::Memory(_) => Ok(None),
        };
        // A load that began before the shared tier was told is voided only now.
        self.hear_tag(tag);
        // Not before: the log's telling of it is skipped from here on.
        if let (Ok(Some(version)), true) = (&told, self.trust.is_some()) {
            self.own.add(*version);
        }
        told
    }
}
