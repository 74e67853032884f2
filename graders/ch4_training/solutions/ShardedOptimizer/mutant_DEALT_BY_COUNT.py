class ShardedOptimizer:
    def __init__(self, params, cls, **kw):
        whole = cls(params, **kw)  # keeps no state before its first step, and makes none
        self.param_groups = whole.param_groups
        everything = [p for group in self.param_groups for p in group["params"]]

        world = dist.get_world_size()
        self.owner = {parameter: i % world for i, parameter in enumerate(everything)}

        me = dist.get_rank()
        self.local = cls(
            [
                {**group, "params": [p for p in group["params"] if self.owner[p] == me]}
                for group in self.param_groups
            ],
            **kw,
        )

    def step(self):
        for group, own in zip(self.param_groups, self.local.param_groups, strict=True):
            own.update({name: value for name, value in group.items() if name != "params"})
        self.local.step()
        for group in self.param_groups:
            for parameter in group["params"]:
                dist.broadcast(parameter.data, src=self.owner[parameter])

    def zero_grad(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
