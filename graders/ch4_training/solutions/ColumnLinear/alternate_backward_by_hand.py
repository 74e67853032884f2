import torch


class Column(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, comm):
        ctx.save_for_backward(x, weight)
        ctx.comm = comm
        return x @ weight.t() + bias

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ weight
            ctx.comm.all_reduce(grad_x)
        return grad_x, grad.t() @ x, grad.sum(0), None


class Row(torch.autograd.Function):
    @staticmethod
    def forward(ctx, h, weight, bias, comm):
        ctx.save_for_backward(h, weight)
        # The bias enters the sum once: it is given by rank 0.
        partial = h @ weight.t()
        if comm.rank == 0:
            partial += bias
        comm.all_reduce(partial)
        return partial

    @staticmethod
    def backward(ctx, grad):
        h, weight = ctx.saved_tensors
        return grad @ weight, grad.t() @ h, grad.sum(0), None


def bounds(length, comm):
    short, more = divmod(length, comm.size)
    start = comm.rank * short + min(comm.rank, more)
    return slice(start, start + short + (comm.rank < more))


class ColumnLinear(torch.nn.Module):
    def __init__(self, comm, weight, bias):
        super().__init__()
        mine = bounds(weight.shape[0], comm)
        self.comm = comm
        self.weight = torch.nn.Parameter(weight[mine])
        self.bias = torch.nn.Parameter(bias[mine])

    def forward(self, x):
        return Column.apply(x, self.weight, self.bias, self.comm)


class RowLinear(torch.nn.Module):
    def __init__(self, comm, weight, bias):
        super().__init__()
        self.comm = comm
        self.weight = torch.nn.Parameter(weight[:, bounds(weight.shape[1], comm)])
        self.bias = torch.nn.Parameter(bias)

    def forward(self, h):
        return Row.apply(h, self.weight, self.bias, self.comm)
