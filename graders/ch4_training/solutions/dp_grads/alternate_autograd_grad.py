import torch


def dp_grads(rank, world, model, loss, X, y, allreduce):
    params = tuple(model.parameters())

    # One slot per rank: afterwards everybody knows the size of every shard.
    sizes = torch.zeros(world, dtype=torch.float64)
    sizes[rank] = X.shape[0]
    allreduce(sizes)
    share = sizes[rank] / sizes.sum()

    state = {}
    for name, p in model.named_parameters():
        state[name] = p.detach().clone() if rank == 0 else torch.zeros_like(p)
        allreduce(state[name])
    model.load_state_dict(state, strict=False)

    grads = torch.autograd.grad(share * loss(model(X), y), params, allow_unused=True)
    result = []
    for p, g in zip(params, grads):
        total = torch.zeros_like(p, requires_grad=False) if g is None else g.clone()
        allreduce(total)
        result.append(total)
    return result
