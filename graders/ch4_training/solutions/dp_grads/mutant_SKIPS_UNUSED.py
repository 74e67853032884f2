import torch


def dp_grads(rank, world, model, loss, X, y, allreduce):
    with torch.no_grad():
        for p in model.parameters():
            if rank != 0:
                p.zero_()
            allreduce(p.data)

    n = X.shape[0]
    total = torch.tensor([n], dtype=torch.float64)
    allreduce(total)

    loss(model(X), y).backward()

    grads = []
    for p in model.parameters():
        if p.grad is None:
            grads.append(torch.zeros_like(p))
            continue
        g = p.grad * n
        allreduce(g)
        grads.append(g / total)
    return grads
