import uuid

from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph


def tree(parts, op, fan_in):
    """Write the task graph by hand instead of calling delayed."""
    if not parts:
        raise ValueError("no parts")
    if fan_in < 2:
        raise ValueError("fan_in < 2")
    if len(parts) == 1:
        return parts[0]

    name = "tree-" + uuid.uuid4().hex
    tasks = {}
    keys = [part.key for part in parts]
    while len(keys) > 1:
        above = []
        for i in range(0, len(keys), fan_in):
            group = keys[i : i + fan_in]
            if len(group) == 1:
                above += group
            else:
                key = f"{name}-{len(tasks)}"
                tasks[key] = (op, group)
                above.append(key)
        keys = above
    layer = keys[0]
    graph = HighLevelGraph.from_collections(layer, tasks, dependencies=parts)
    return Delayed(layer, graph)
