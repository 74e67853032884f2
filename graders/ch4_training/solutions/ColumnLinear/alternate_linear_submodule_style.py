import torch


class _Cut(torch.nn.Linear):
    """A torch.nn.Linear that holds a shard."""

    def __init__(self, comm, weight, bias):
        super().__init__(weight.shape[1], weight.shape[0], dtype=weight.dtype)
        self.comm = comm
        with torch.no_grad():
            self.weight.copy_(weight)
            self.bias.copy_(bias)


class ColumnLinear(_Cut):
    def __init__(self, comm, weight, bias):
        mine = torch.arange(len(bias)).tensor_split(comm.size)[comm.rank]
        super().__init__(comm, weight[mine], bias[mine])

    def forward(self, x):
        # x times one, where the one is a sum over the ranks in the backward pass only
        return super().forward(_Sum.apply(x, self.comm, False, True))


class RowLinear(_Cut):
    def __init__(self, comm, weight, bias):
        mine = torch.arange(weight.shape[1]).tensor_split(comm.size)[comm.rank]
        super().__init__(comm, weight[:, mine], bias)

    def forward(self, h):
        partial = torch.einsum("ni,oi->no", h, self.weight)
        return self.bias + _Sum.apply(partial, self.comm, True, False)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, comm, now, later):
        ctx.comm, ctx.later = comm, later
        if not now:
            return value.clone()
        return _sum(comm, value)

    @staticmethod
    def backward(ctx, gradient):
        return (_sum(ctx.comm, gradient) if ctx.later else gradient), None, None, None


def _sum(comm, value):
    total = value.clone(memory_format=torch.contiguous_format)
    comm.all_reduce(total)
    return total
