import math


class ShardedOptimizer:
    """Equal slices of the numbers of each group; the last one is moved back to have full length."""

    def __init__(self, params, cls, **kw):
        whole = cls(params, **kw)
        self.param_groups = whole.param_groups
        inner, self.bounds = [], []
        for group in self.param_groups:
            flat = torch.cat([p.detach().reshape(-1) for p in group["params"]])
            size = math.ceil(flat.numel() / dist.get_world_size()) + 1
            starts = [
                min(rank * size, max(0, flat.numel() - size))
                for rank in range(dist.get_world_size())
            ]
            self.bounds.append((starts, min(size, flat.numel())))
            begin = starts[dist.get_rank()]
            own = torch.nn.Parameter(flat[begin : begin + size].clone())
            inner.append({**group, "params": [own]})
        self.inner = cls(inner, **kw)

    @torch.no_grad()
    def step(self):
        groups = list(zip(self.param_groups, self.inner.param_groups, self.bounds, strict=True))
        for group, own, (starts, size) in groups:
            own.update({name: value for name, value in group.items() if name != "params"})
            (shard,) = own["params"]
            begin = starts[dist.get_rank()]
            gradient = torch.cat([p.grad.reshape(-1) for p in group["params"]])
            shard.grad = gradient[begin : begin + size].clone()
        self.inner.step()
        for group, own, (starts, size) in groups:
            (shard,) = own["params"]
            flat = torch.cat([p.detach().reshape(-1) for p in group["params"]])
            parts = [torch.empty_like(shard) for _ in starts]
            dist.all_gather(parts, shard.detach())
            for begin, part in zip(starts, parts, strict=True):
                flat[begin : begin + size] = part
            at = 0
            for p in group["params"]:
                p.copy_(flat[at : at + p.numel()].view_as(p))
                at += p.numel()

    def zero_grad(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None
