"""Where a cycle went: one named cause a cycle in every block, and the events beside them.

The first cause of every enum is ``BUSY``; the others are stalls. A block picks exactly one each
cycle, in the order of its enum (an earlier cause hides a later one), so that the counted cycles
are the busy ones plus the sum of the stalls, without remainder.
"""

import enum

__all__ = [
    "AttentionCause",
    "ChannelCause",
    "ChannelEvent",
    "DecoderCause",
    "LinkCause",
    "OffStackCause",
    "ProtectedLinkCause",
    "ProtectedLinkEvent",
    "ReductionCause",
    "RouterCause",
    "SliceCause",
    "SoftmaxCause",
    "VaultCause",
    "VaultEvent",
]


class ChannelCause(enum.Enum):
    """A flash channel; busy is a beat on the core-die bus, either way."""

    BUSY = 0
    """A beat of data crossed the core-die bus."""
    WRITE = 1
    """The bus was held for a page to be programmed, and no beat of it was there."""
    CORRECTION = 2
    """A bank held a page ready, and the decoder had no room for it."""
    SCHEDULE = 3
    """The bus was idle although a bank held a page ready for it."""
    HEAT = 4
    """Reading is throttled or halted, and no bank had a page ready."""
    SENSE = 5
    """No bank had a page ready and at least one was sensing."""
    ACCUMULATE = 6
    """Nothing was sensing; reads waited for others to be scheduled with."""
    OUTPUT = 7
    """Nothing was sensing; a beat waited for the reader."""
    BUFFERED = 8
    """Nothing was sensing; a page was looked up, corrected, or read out of its page buffer."""
    IDLE = 9
    """No request was waiting."""


class ChannelEvent(enum.Enum):
    """What a flash channel counts beside its cycles."""

    SENSES = 0
    """Pages sensed by the core dies."""
    HITS = 1
    """Page requests answered out of a page buffer."""
    PAGES = 2
    """Page requests accepted."""
    BEATS = 3
    """Beats delivered to the reader."""


class SliceCause(enum.Enum):
    """A MAC slice; busy is a beat of elements multiplied."""

    BUSY = 0
    """A beat of elements was multiplied and added."""
    SCALES = 1
    """A beat of scales, or of a page's gaps, was taken."""
    TAIL = 2
    """A beat behind the last row, or of unused page bytes, was taken and dropped; or a row that was
    lost with a page ended."""
    RESULTS = 3
    """The pipeline was held by a result that nobody took."""
    CLOCK = 4
    """The slice's slower clock did not move, and a beat waited."""
    HEAT = 5
    """The cycle was taken away by the throttle, and a beat waited."""
    ACTIVATION = 6
    """A beat waited for its activations: the vector, or its row's probabilities."""
    MEMORY = 7
    """A command was open and its next beat had not arrived."""
    IDLE = 8
    """No command was open."""


class SoftmaxCause(enum.Enum):
    """A softmax; busy is a probability delivered."""

    BUSY = 0
    """A probability was taken."""
    OUTPUT = 1
    """A probability, a rescale or a partial waited for its reader."""
    START = 2
    """A tile was complete and none of its probabilities was there."""
    SCORES = 3
    """A tile had begun and its last score had not come."""
    IDLE = 4
    """No tile had begun."""


class RouterCause(enum.Enum):
    """A router; busy is at least one flit forwarded."""

    BUSY = 0
    """At least one flit crossed the crossbar."""
    CREDIT = 1
    """Flits waited: every output that they wanted had no credit, or was in the middle of a packet
    whose next flit had not come."""
    IDLE = 2
    """No flit waited."""


class LinkCause(enum.Enum):
    """A link, seen at its sender; busy is a flit sent."""

    BUSY = 0
    """A flit entered the link."""
    CREDIT = 1
    """A flit waited for a credit."""
    IDLE = 2
    """No flit waited."""


class ProtectedLinkCause(enum.Enum):
    """A protected link, seen at its sender; busy is a unit sent for the first time."""

    BUSY = 0
    """A unit was sent for the first time."""
    REPLAY = 1
    """A unit was sent again."""
    TRAINING = 2
    """The lanes were being tested."""
    WINDOW = 3
    """A unit waited, and all that may be unacknowledged were."""
    CREDIT = 4
    """Units waited, and none had room at the far end."""
    IDLE = 5
    """No unit waited."""


class ProtectedLinkEvent(enum.Enum):
    """What an end of a protected link counts beside its cycles."""

    ERRORS = 0
    """Frames received with a wrong checksum."""
    REPLAYS = 1
    """Times that sending began again at the oldest unacknowledged unit."""
    DUPLICATES = 2
    """Units received again and dropped."""
    TIMEOUTS = 3
    """Times that a unit was overdue."""
    SUBSTITUTES = 4
    """Units given in the place of overdue ones."""


class OffStackCause(enum.Enum):
    """The data pins at a stack's edge; busy is a transfer, either way."""

    BUSY = 0
    """A transfer crossed."""
    CREDIT = 1
    """Payloads waited, and none had room at the far end."""
    IDLE = 2
    """No payload waited."""


class ReductionCause(enum.Enum):
    """A node of a reduction tree, on the way up; busy is a word added and sent."""

    BUSY = 0
    """A word went up, or at the root around."""
    OWN = 1
    """A word waited for this node's own."""
    CHILD = 2
    """A word waited for a child's."""
    CREDIT = 3
    """A word waited for room at the parent, or at the root for room below it."""
    IDLE = 4
    """No command was there."""


class VaultCause(enum.Enum):
    """A DRAM vault; busy is a column command, so a beat over the TSVs, either way.

    Where nothing is moved, it is told what the oldest access waits for.
    """

    BUSY = 0
    """A column command was given."""
    LANES = 1
    """The TSVs were being tested, or have too many bad ones."""
    REFRESH = 2
    """Its bank was being refreshed, or closed for a refresh."""
    CONFLICT = 3
    """Its bank had another row open, or was closing it."""
    ACTIVATE = 4
    """Its row was being opened, or could not be yet (tRRD, tFAW, tRCD)."""
    TURNAROUND = 5
    """The bus had to turn between reading and writing."""
    COLUMN = 6
    """Its bank group had just had a column command (tCCD)."""
    OUTPUT = 7
    """Nothing was accepted: the answers before it were not taken."""
    IDLE = 8
    """Nothing was asked."""


class VaultEvent(enum.Enum):
    """What a DRAM vault counts beside its cycles."""

    READS = 0
    """Beats read from the DRAM."""
    WRITES = 1
    """Beats written."""
    ACTIVATES = 2
    """Rows opened."""
    REFRESHES = 3
    """Refresh commands."""
    OVERTAKEN = 4
    """Beats that passed the oldest access."""
    HOT = 5
    """Cycles in which refresh ran at twice the rate."""
    THROTTLED = 6
    """Cycles in which the reader was to rest because of the heat."""


class AttentionCause(enum.Enum):
    """Attention beside a memory; busy is a beat of keys or values taken."""

    BUSY = 0
    """A beat of a page was taken."""
    QUERIES = 1
    """A beat waited, and the queries of a tile had not come."""
    OUTPUT = 2
    """A beat waited, and a partial or a sum was not taken."""
    PACE = 3
    """A beat waited for the slice's slower clock, or the throttle took the cycle away."""
    SOFTMAX = 4
    """A beat waited for its tile's command or probabilities, or for room for its scores."""
    MEMORY = 5
    """Rows were to be read, and no beat had come."""
    RESULTS = 6
    """All was read, and softmax or sums were under way."""
    IDLE = 7
    """Nothing was asked."""


class DecoderCause(enum.Enum):
    """The token decoder; busy is a cycle in which slices work and results are to come."""

    BUSY = 0
    """Activations were sent, and results were to come."""
    ACTIVATIONS = 1
    """Activations were being sent."""
    ATTENTION = 2
    """Activations, or the next sequence's heads, waited for what heads attend to."""
    VECTOR = 3
    """The vector unit worked, and nothing else could."""
    TABLE = 4
    """A row of a table was waited for: embedding, sines and cosines, or a norm's weights."""
    EXCHANGE = 5
    """Words were on their way between chips, and nothing else could be done."""
    SEQUENCE = 6
    """A descriptor was fetched, or a unit began."""
    HOST = 7
    """A token was not taken."""
    IDLE = 8
    """No token was to be read."""
