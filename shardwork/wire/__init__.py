"""What travels between the judge and a sandbox: frames, messages and values.

Both sides import this package; neither trusts the other through it. Nothing here unpickles,
evaluates or opens anything: bytes become closed, typed messages, or a `WireError`.
"""

from shardwork.wire.frames import Connection, Deadline, PeerGone, TimeIsUp
from shardwork.wire.messages import (
    Answer,
    Ask,
    Call,
    CallRanks,
    FromJudge,
    FromSandbox,
    Invoke,
    Raised,
    RankEnded,
    Ready,
    Returned,
)
from shardwork.wire.values import Opaque, Ref, Tensor, WireError, from_wire, to_wire

__all__ = [
    "Answer",
    "Ask",
    "Call",
    "CallRanks",
    "Connection",
    "Deadline",
    "FromJudge",
    "FromSandbox",
    "Invoke",
    "Opaque",
    "PeerGone",
    "Raised",
    "RankEnded",
    "Ready",
    "Ref",
    "Returned",
    "Tensor",
    "TimeIsUp",
    "WireError",
    "from_wire",
    "to_wire",
]
