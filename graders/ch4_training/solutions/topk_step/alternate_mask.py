import heapq

import torch


def topk_step(grad, residual, k):
    if grad.size() != residual.size():
        raise ValueError("grad and residual must have the same shape")
    total = (grad + residual).tolist()
    if not 1 <= k <= len(total):
        raise ValueError("k must lie between 1 and the number of entries")
    places = sorted(heapq.nlargest(k, range(len(total)), key=lambda i: abs(total[i])))
    mask = torch.zeros(len(total), dtype=torch.bool)
    mask[places] = True
    p = torch.tensor(total, dtype=torch.float64)
    return p[mask], mask.nonzero().flatten(), torch.where(mask, 0.0, p)
