import torch
from torch.nn.functional import linear


class SumBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, comm):
        ctx.comm = comm
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.contiguous().clone()
        ctx.comm.all_reduce(gradient)
        return gradient, None


class SumForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, partial, comm):
        total = partial.clone()
        comm.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class Whole(torch.autograd.Function):
    """All features on all ranks: every rank contributes its own and zeros."""

    @staticmethod
    def forward(ctx, mine, comm, width):
        ctx.place = torch.arange(width).tensor_split(comm.size)[comm.rank]
        whole = torch.zeros(len(mine), width, dtype=mine.dtype)
        whole[:, ctx.place] = mine
        comm.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx, gradient):
        return gradient[:, ctx.place], None, None


class ColumnLinear(torch.nn.Module):
    def __init__(self, comm, weight, bias):
        super().__init__()
        self.comm, self.width = comm, len(weight)
        self.weight = torch.nn.Parameter(weight.tensor_split(comm.size)[comm.rank].clone())
        self.bias = torch.nn.Parameter(bias.tensor_split(comm.size)[comm.rank].clone())

    def forward(self, x):
        mine = linear(SumBackward.apply(x, self.comm), self.weight, self.bias)
        return Whole.apply(mine, self.comm, self.width)


class RowLinear(torch.nn.Module):
    def __init__(self, comm, weight, bias):
        super().__init__()
        self.comm = comm
        self.weight = torch.nn.Parameter(weight.tensor_split(comm.size, dim=1)[comm.rank].clone())
        self.bias = torch.nn.Parameter(bias.clone())

    def forward(self, features):
        mine = features.tensor_split(self.comm.size, dim=1)[self.comm.rank]
        return SumForward.apply(linear(mine, self.weight), self.comm) + self.bias
