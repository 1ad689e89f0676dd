//! The ways in which the model can be wrong.

/// The fault of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Nothing, and one process has the log.
    Single,
    /// Reads events in the wrong order.
    Reverses,
    /// Says that one event more was read.
    MiscountsRead,
    /// Parses and prints the events.
    Rebuilds,
    /// Takes the place for events before it has it.
    Races,
    /// Takes the events before one that is refused.
    TakesBeforeRefusing,
    /// The same, and says so, although it claims to take all or none.
    SaysPartly,
    /// Takes one event after the other, with waits in between.
    Piecemeal,
    /// Counts calls instead of events.
    CountsCalls,
    /// Says that it knows duplicates, and takes them.
    CountsNoDuplicates,
    /// Looks at types only.
    TypesOnly,
    /// Looks at everything but the tenant.
    IgnoresTenants,
    /// Goes on with the filter that it had.
    KeepsFilter,
    /// Begins with what is published next, whatever was asked.
    AlwaysAtTheEnd,
    /// Begins a known hook where a new one would begin.
    BeginsAnew,
    /// Goes on behind what was read, settled or not.
    SkipsUnsettled,
    /// Forgets what was settled out of order when another reader comes.
    RedeliversSettled,
    /// Lets the reader before go on.
    TwoReaders,
    /// Takes every position for settled just now.
    SettlesAnything,
    /// Takes everything up to a position for settled.
    SettlesUpTo,
    /// Takes events and then waits.
    TakesThenWaits,
    /// Reads on and on.
    NoWindow,
    /// Drops events of a hook that holds few, and does not say so.
    DropsUncounted,
    /// Never asks for what is in hand.
    NeverFlushes,
    /// Settles for all hooks what one settles.
    SettlesForAll,
    /// Makes publishers wait for every hook.
    WaitsForTheSlow,
    /// Makes publishers wait for a hook that does not want their events.
    WaitsForUnwanted,
    /// Makes publishers wait for disabled hooks.
    IgnoresDisabled,
    /// A closed reader waits on.
    NeverDry,
    /// A closed reader reads nothing more.
    DryAtOnce,
    /// Begins a page of the past behind its first event.
    LosesBetweenPages,
    /// Takes events when it is closed.
    AcceptsWhenClosed,
    /// Gives up what was not read when it is closed.
    LosesAtClose,
    /// Does not count what is in hand.
    LagOfUnread,
    /// Counts what the hook does not want, and calls that exact.
    LagOfAll,
    /// Takes what a removed hook had in hand for settled.
    UnsubscribeSettles,
    /// Leaves the events in flight of a removed hook in its ledger.
    LeavesItInFlight,
    /// Forgets a hook that is subscribed.
    ForgetsInUse,
    /// Keeps the override of a hook that was forgotten.
    ForgetKeepsOverride,
    /// Says that a hook was moved that stays where it is.
    MovesNowhere,
    /// Moves a hook ahead that may skip nothing.
    SkipsUnasked,
    /// Moves a hook when it is only asked what that would do.
    MovesWhenAsked,
    /// Leaves a hook alone that goes where it is.
    StaysWhereItIs,
    /// Keeps for settled what lies behind the place that a hook goes back to.
    KeepsWhatWasSettled,
    /// Forgets what was settled behind the place that a hook goes ahead to.
    ForgetsWhatWasSettled,
    /// Counts what the hook does not want, and calls that exact.
    CountsOthers,
    /// Does not enter what was skipped in the ledger.
    SkipsUncounted,
    /// Has a moved hook where it was after a crash.
    MovesInMemory,
    /// Keeps overrides only as long as the process lives.
    OverridesInMemory,
    /// Keeps since when receivers fail only as long as the process lives.
    FailingInMemory,
    /// Says that every hook has the override of one.
    OverridesOfAll,
    /// Keeps a dead letter beside the one of the same position.
    DeadLettersTwice,
    /// Keeps the dead letters of all hooks together.
    DeadLettersOfAll,
    /// Cuts what is known about a dead letter.
    CutsDeadLetters,
    /// Says that it removed what there never was.
    MiscountsRemoved,
    /// Keeps as many of the dead letters of a call as there is room for.
    KeepsSome,
    /// Says that it ends with its process.
    DeniesOutliving,
    /// Forgets at a restart what was settled out of order.
    ForgetsOutOfOrder,
    /// Names the log anew at a restart.
    NewLogId,
    /// Loses at a crash what was not settled.
    LosesAtCrash,
    /// Lets several processes have what is for one.
    OpensTwice,
    /// Makes the next owner begin at the end.
    TakesOverAtTheEnd,
    /// Says that a hook is still its own that is another's.
    HoldsForEver,
    /// Does not notice that a process has crashed.
    OwnerForEver,
    /// Delivers in every process.
    OwnedByAll,
    /// Tells no other process of overrides.
    TellsNobody,
    /// Defines a hook whatever the caller expects.
    DefinesAnything,
    /// Gives a hook no position when it is defined.
    DefinesWithoutPlace,
    /// Keeps definitions only as long as the process lives.
    DefinitionsInMemory,
    /// Undefines a hook that is subscribed.
    UndefinesInUse,
    /// Keeps the position of a hook that was undefined.
    UndefineKeepsPosition,
    /// Keeps the override of a hook that was undefined.
    UndefineKeepsOverride,
    /// Keeps the dead letters of a hook that was undefined.
    UndefineKeepsDeadLetters,
    /// Counts the revisions of a hook from one again when it is defined again.
    RepeatsRevisions,
    /// Tells no other process of definitions.
    DefinesInSecret,
}

impl Fault {
    pub(crate) fn is_of_a_single_process(self) -> bool {
        matches!(self, Self::Single | Self::OpensTwice)
    }
}
