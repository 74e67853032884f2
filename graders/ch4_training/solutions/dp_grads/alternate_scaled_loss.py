import torch


def dp_grads(rank, world, model, loss, X, y, allreduce):
    for p in model.parameters():
        p.data *= 1.0 if rank == 0 else 0.0
        allreduce(p.data)

    rows = torch.tensor(float(X.shape[0]), dtype=torch.float64)
    allreduce(rows)

    # Scaled so that the plain average over the ranks is the mean over all rows.
    scaled = loss(model(X), y) * (X.shape[0] * world / rows.item())
    scaled.backward()

    for p in model.parameters():
        if p.grad is None:
            p.grad = torch.zeros_like(p)
        allreduce(p.grad)
        p.grad /= world
    return [p.grad for p in model.parameters()]
