class ShardedOptimizer:
    def __init__(self, params, cls, **kw):
        self.optimizer = cls(params, **kw)
        world = dist.get_world_size()
        total, passed = sum(p.numel() for p in self.all()), 0
        self.owner = []
        for p in self.all():  # in order, where the middle of the parameter lies
            self.owner.append(min(world - 1, int((passed + p.numel() / 2) * world / total)))
            passed += p.numel()

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    def all(self):
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def step(self):
        # What has no gradient is skipped, and gets no state.
        kept = [p.grad for p in self.all()]
        for p, owner in zip(self.all(), self.owner, strict=True):
            if owner != dist.get_rank():
                p.grad = None
        self.optimizer.step()
        works = []
        for p, grad, owner in zip(self.all(), kept, self.owner, strict=True):
            p.grad = grad
            works.append(dist.broadcast(p.detach(), owner, async_op=True))
        for work in works:
            work.wait()

    def zero_grad(self, set_to_none=False):
        for p in self.all():
            p.grad = torch.zeros_like(p)
