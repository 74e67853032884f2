"""Functions, arguments and return values as bytes, between a notebook and its ranks.

Functions of a notebook are pickled by value (cloudpickle). A tensor is sent as its numbers: it
shares no memory with the sender, and no graph comes along.
"""

from __future__ import annotations

import io
import pickle
import sys
from typing import Any

import cloudpickle


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and type(obj) is torch.Tensor and obj.layout is torch.strided:
            # A view would bring its whole storage along, a result of a computation its graph.
            storage_bytes = obj.untyped_storage().nbytes()
            if not obj.is_leaf or storage_bytes > obj.numel() * obj.element_size():
                lean = obj.detach().clone()
                lean.requires_grad_(obj.requires_grad and obj.is_leaf)
                return lean.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        return super().reducer_override(obj)


def dump(value: Any, problem: str) -> bytes:
    """Pickle `value`; TypeError that begins with `problem` where that is not possible."""
    stream = io.BytesIO()
    try:
        _Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except Exception as error:
        raise TypeError(f"{problem} ({type(value).__name__}): {error}") from error
    return stream.getvalue()
