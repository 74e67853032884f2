import torch


def topk_step(grad, residual, k):
    n = grad.numel()
    if grad.shape != residual.shape:
        raise ValueError("the shapes differ")
    if k < 1 or k > n:
        raise ValueError(f"k is {k}, n is {n}")
    carried = residual + grad
    order = carried.abs().argsort(descending=True)
    chosen, rest = order[:k], order[k:]
    left = torch.zeros_like(carried)
    left[rest] = carried[rest]
    return carried[chosen], chosen, left
