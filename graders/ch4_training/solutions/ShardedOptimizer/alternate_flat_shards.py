import math


class ShardedOptimizer:
    """Each rank owns an equal slice of the numbers of each group, across parameters."""

    def __init__(self, params, cls, **kw):
        params = list(params)
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        world, rank = dist.get_world_size(), dist.get_rank()
        inner = []
        self.param_groups = []
        for group in groups:
            group = dict(group, params=list(group["params"]))
            flat = self.flat([p.detach() for p in group["params"]], world)
            own = torch.nn.Parameter(flat.chunk(world)[rank].clone())
            inner.append({**group, "params": [own]})
            self.param_groups.append(group)
        self.inner = cls(inner, **kw)
        for group, own in zip(self.param_groups, self.inner.param_groups, strict=True):
            for name, value in own.items():
                group.setdefault(name, value)

    @staticmethod
    def flat(tensors, world):
        flat = torch.cat([t.reshape(-1) for t in tensors])
        size = math.ceil(flat.numel() / world) * world
        return torch.nn.functional.pad(flat, (0, size - flat.numel()))

    @torch.no_grad()
    def step(self):
        world, rank = dist.get_world_size(), dist.get_rank()
        for group, own in zip(self.param_groups, self.inner.param_groups, strict=True):
            for name in group:
                if name != "params":
                    own[name] = group[name]
            (shard,) = own["params"]
            shard.grad = self.flat([p.grad for p in group["params"]], world).chunk(world)[rank]
        self.inner.step()
        for group, own in zip(self.param_groups, self.inner.param_groups, strict=True):
            (shard,) = own["params"]
            parts = [torch.empty_like(shard) for _ in range(world)]
            dist.all_gather(parts, shard.detach())
            flat, at = torch.cat(parts), 0
            for p in group["params"]:
                p.copy_(flat[at : at + p.numel()].view_as(p))
                at += p.numel()

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None
