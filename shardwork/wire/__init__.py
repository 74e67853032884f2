"""What travels between the judge and a sandbox: frames, messages and values.

Both sides import this package; neither trusts the other through it. Nothing here unpickles,
evaluates or opens anything: bytes become closed, typed messages, or a `WireError`.
"""

from shardwork.wire.frames import Allowance, Connection, Deadline, PeerGone, TimeIsUp
from shardwork.wire.messages import (
    Answer,
    Ask,
    Call,
    CallRanks,
    CellRan,
    FromJudge,
    FromRunner,
    FromSandbox,
    Invoke,
    Listening,
    Raised,
    RankEnded,
    Ready,
    Returned,
    RunCell,
    Serve,
    ToRunner,
)
from shardwork.wire.values import Opaque, Ref, Tensor, WireError, from_wire, to_wire

__all__ = [
    "Allowance",
    "Answer",
    "Ask",
    "Call",
    "CallRanks",
    "CellRan",
    "Connection",
    "Deadline",
    "FromJudge",
    "FromRunner",
    "FromSandbox",
    "Invoke",
    "Listening",
    "Opaque",
    "PeerGone",
    "Raised",
    "RankEnded",
    "Ready",
    "Ref",
    "Returned",
    "RunCell",
    "Serve",
    "Tensor",
    "TimeIsUp",
    "ToRunner",
    "WireError",
    "from_wire",
    "to_wire",
]
