class ShardedOptimizer:
    def __init__(self, params, cls, **kw):
        self.optimizer = cls(params, **kw)
        self.param_groups = self.optimizer.param_groups

    def step(self):
        self.optimizer.step()

    def zero_grad(self):
        self.optimizer.zero_grad()
