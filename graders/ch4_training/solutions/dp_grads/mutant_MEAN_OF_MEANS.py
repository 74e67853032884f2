import torch


def dp_grads(rank, world, model, loss, X, y, allreduce):
    with torch.no_grad():
        for p in model.parameters():
            if rank != 0:
                p.zero_()
            allreduce(p.data)

    loss(model(X), y).backward()

    grads = []
    for p in model.parameters():
        g = torch.zeros_like(p) if p.grad is None else p.grad
        allreduce(g)
        g /= world
        grads.append(g)
    return grads
