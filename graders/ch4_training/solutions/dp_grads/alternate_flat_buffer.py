import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def dp_grads(rank, world, model, loss, X, y, allreduce):
    params = list(model.parameters())

    # All weights in one buffer, and one call.
    weights = parameters_to_vector(params).detach().clone()
    if rank != 0:
        weights.zero_()
    allreduce(weights)
    vector_to_parameters(weights, params)

    loss(model(X), y).backward()

    # All gradients and the number of rows in one buffer, and one call.
    n = len(X)
    pieces = [torch.zeros(p.numel()) if p.grad is None else p.grad.reshape(-1) * n for p in params]
    buffer = torch.cat([piece.double() for piece in pieces] + [torch.tensor([n]).double()])
    allreduce(buffer)
    mean = buffer[:-1] / buffer[-1]

    sizes = [p.numel() for p in params]
    return [g.view_as(p) for g, p in zip(torch.split(mean, sizes), params)]
