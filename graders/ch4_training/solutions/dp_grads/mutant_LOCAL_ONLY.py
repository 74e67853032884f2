import torch


def dp_grads(rank, world, model, loss, X, y, allreduce):
    # All replicas start from the weights of rank 0.
    with torch.no_grad():
        for p in model.parameters():
            if rank != 0:
                p.zero_()
            allreduce(p.data)

    loss(model(X), y).backward()
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
