//! What may happen in a run of the model, and which protection is off.

use crate::coherence::own::Own;
use crate::facet::LogKind;

/// A protection of the protocol that a run can do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// A load that was overtaken installs nothing into memory.
    Fence,
    /// A slot is filled by whoever holds the lease that is in it.
    FillLease,
    /// A writer creates no slot.
    NoCreate,
    /// A writer puts no record in the place of an absence.
    AbsenceEmptied,
    /// What is older than was heard of is not read from the shared tier.
    Floor,
    /// A mark that went back is not believed.
    MarkCheck,
    /// The mark is read before the slot.
    MarkFirst,
    /// The relayer moves the mark over the connection that it removed over.
    SameConnection,
    /// The relayer removes over the connection that it read the mark over.
    ConnectionOfMark,
    /// The log is followed by snapshot, not by the number of the last row.
    SnapshotCursor,
    /// A freshness lease counts from when the poll was sent, not from when it was answered.
    LeaseFromSending,
    /// Later readers do not join a load from before what the instance was told.
    FlightForgotten,
    /// A writer tells the caches after its commit.
    CommitFirst,
    /// The log's telling of an own commit is skipped only once memory has caught up with it.
    OwnApplied,
    /// An absence in memory counts as long as its fence stands.
    AbsenceFence,
    /// An absence is remembered if nothing was installed since its read began.
    AbsenceNewest,
    /// Whoever finds an absence voids the loads that are under way.
    AbsenceVoids,
    /// A copy in memory is void once its tag was invalidated.
    TagEpoch,
    /// A tag is heard to be invalidated after the commit too.
    TagHeardAgain,
    /// What has a tag that was invalidated is not read from the shared tier before the relayer has told it.
    TagFloor,
    /// A record of the shared tier is void if its tag was invalidated in a later era.
    TagEra,
    /// A standby of the truth that takes over issues no version that the lost primary had issued.
    NewVersions,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The slot is evicted.
    Evict,
    /// The shared tier loses everything.
    Flush,
    /// The shared tier's replica takes over, with an older state.
    FailOver,
    /// The mark is evicted.
    LoseMark,
    /// The relayer ends in the middle of a step.
    RelayerDeath,
    /// The log drops what it holds.
    Prune,
    /// The list of invalidated tags is evicted.
    LoseTags,
    /// An instance ends in the middle of whatever it does, and starts again.
    Crash,
    /// A writer's call of the shared tier fails, or is done after its time limit.
    Timeout,
    /// A writer learns of an error after its commit, or of one that it cannot tell from that.
    UnknownOutcome,
    /// A standby of the truth takes over that never heard of the last commit.
    TruthFailOver,
}

/// The bounds of a run.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) name: &'static str,
    pub(super) without: Option<Protection>,
    /// How many writes, deletions and invalidations begin in all, and which.
    pub(super) changes: u8,
    pub(super) kinds: &'static [LogKind],
    /// Whether caches remember that there is no row, and whether there is none at the start.
    pub(super) absences: bool,
    pub(super) begins_absent: bool,
    /// Whether the row has a tag.
    pub(super) tags: bool,
    /// How many reads and changes an instance has under way at a time.
    pub(super) operations: usize,
    /// Which instances read, which change, and which poll the log.
    pub(super) reads: [bool; 2],
    pub(super) writes: [bool; 2],
    pub(super) polls: [bool; 2],
    /// Whether the slot holds the row at the start.
    pub(super) is_warm: bool,
    pub(super) relayers: usize,
    /// How many faults happen, and of which kinds.
    pub(super) faults: u8,
    pub(super) fault_kinds: &'static [Fault],
    /// How often time goes on.
    pub(super) ticks: u8,
    /// Whether instances tell each other of their commits.
    pub(super) wakes: bool,
    /// Whether steps of one instance that follow each other without a wait are taken one by one, the relayer's too, and reads begin that memory or no cache
    /// could answer.
    pub(super) is_fine: bool,
    /// The run ends after this many states.
    pub(super) most_states: usize,
}

impl Rules {
    pub(super) fn has(&self, protection: Protection) -> bool {
        self.without != Some(protection)
    }

    /// Whether the instances can be exchanged.
    pub(super) fn is_symmetric(&self) -> bool {
        [self.reads, self.writes, self.polls].iter().all(|[one, other]| one == other)
    }

    /// What an instance knows of its own commits at first.
    pub(super) fn own(&self, number: usize) -> Option<Own> {
        (self.writes[number] && self.polls[number]).then(Own::default)
    }

    pub(super) fn may(&self, fault: Fault) -> bool {
        self.fault_kinds.contains(&fault)
    }
}

/// What a run met. A run that met none of one kind has proved nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// A lease that was void.
    RefusedFill,
    /// A load, or a write, that was overtaken.
    RefusedInstall,
    /// A record below a floor.
    Floor,
    /// A mark that was not believed.
    MarkWentBack,
    SharedHit,
    MemoryHit,
    /// A record of another generation.
    DeadRecord,
    /// A slot that a writer emptied, because of a lease or another generation.
    EmptiedByWriter,
    /// A writer met an absence in the slot.
    AbsenceMetByWriter,
    NewGeneration,
    Gap,
    /// The relayer's connection had ended.
    RefusedMark,
    /// A poll that told of an own commit which memory had caught up with.
    OwnSkipped,
    /// A write that the log told of before it was published.
    ToldOfOwn,
    /// An absence in memory that may be answered, and one in the slot.
    Absence,
    SharedAbsence,
    /// A copy whose tag was invalidated, in memory and in the slot.
    VoidByTag,
    SharedVoidByTag,
    /// A slot of an earlier era whose tag was not invalidated.
    EarlierEra,
    /// A slot whose tag was invalidated, which the shared tier has not been told.
    TagFloor,
    /// A state in which nothing is under way, after some commit.
    Quiet,
}

impl Sight {
    pub(super) const ALL: [Sight; 21] = [
        Sight::RefusedFill,
        Sight::RefusedInstall,
        Sight::Floor,
        Sight::MarkWentBack,
        Sight::SharedHit,
        Sight::MemoryHit,
        Sight::DeadRecord,
        Sight::EmptiedByWriter,
        Sight::AbsenceMetByWriter,
        Sight::NewGeneration,
        Sight::Gap,
        Sight::RefusedMark,
        Sight::OwnSkipped,
        Sight::ToldOfOwn,
        Sight::Absence,
        Sight::SharedAbsence,
        Sight::VoidByTag,
        Sight::SharedVoidByTag,
        Sight::EarlierEra,
        Sight::TagFloor,
        Sight::Quiet,
    ];
}

/// A set of sights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sights(u32);

impl Sights {
    pub(super) fn add(&mut self, sight: Sight) {
        self.0 |= 1 << sight as u32;
    }

    pub(super) fn and(self, other: Sights) -> Sights {
        Sights(self.0 | other.0)
    }

    pub(super) fn has(self, sight: Sight) -> bool {
        self.0 & (1 << sight as u32) != 0
    }
}
